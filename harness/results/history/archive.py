# SPDX-License-Identifier: MIT
"""Run folders into the database, and frames out of it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from harness.cache import content_key
from harness.errors import UserError
from harness.model.measurement import COLUMNS
from harness.model.sequence import Exits
from harness.results import schema1
from harness.results.history import intake, older, subject
from harness.results.history.acknowledgement import Acknowledgement
from harness.results.history.database import Database
from harness.results.history.models import (
    StoredAcknowledgement,
    StoredMeasurement,
    StoredRun,
    StoredSequence,
)

RUN_COLUMNS = [
    "started",
    "state",
    "playbook",
    "repetitions",
    "harness",
    "emulator",
    "kernels",
    "microbench",
    "rootfs",
    "folder",
    "settings",
]

_ORDER = [
    "host",
    "configuration",
    "benchmark",
    "repetition",
    "metric",
    "level",
    "statistic",
    "reason",
]
# Where an older schema has no such column.
_EMPTY = {"microbench": "", "rootfs": "", "settings": "{}"}
_SUBJECT = ["kernels", "microbench", "host", "track", "configuration"]


class Outcome(StrEnum):
    """What an import did."""

    NEW = "new"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    EMPTY = "no finished cell"


@dataclass(frozen=True)
class Archive:
    """All runs that a database knows."""

    database: Database

    def take(self, path: Path) -> Outcome:
        """Import the run folder at `path`. A run that is known is brought up to date; the same
        folder twice is the same rows. Raises UserError if it is no run of ours, or damaged."""
        taken = intake.read(path)
        run, rows = taken.run, taken.rows
        if not rows:
            return Outcome.EMPTY
        facts = run.model_dump(exclude={"folder"}, mode="json")
        digest = content_key([facts, [row.model_dump() for row in rows]])
        with self.database.writing() as connection:
            known = connection.scalar(sa.select(StoredRun.digest).where(StoredRun.id == run.id))
            if known == digest:
                return Outcome.UNCHANGED
            connection.execute(sa.delete(StoredRun).where(StoredRun.id == run.id))
            connection.execute(sa.insert(StoredRun), [{**run.model_dump(), "digest": digest}])
            connection.execute(sa.insert(StoredMeasurement), [row.model_dump() for row in rows])
            _keep(connection, taken.sequences)
        return Outcome.UPDATED if known else Outcome.NEW

    def load(self, *, reasons: bool = True, **where: str) -> pd.DataFrame:
        """See `harness.results.load`."""
        unknown = [name for name in where if name not in COLUMNS]
        if unknown:
            raise UserError(f"the history has no column {unknown[0]!r}: {', '.join(COLUMNS)}")
        runs, measurements = StoredRun.__table__, StoredMeasurement.__table__
        columns = older.columns(measurements, self.database.columns["measurements"])
        query = (
            sa.select(*(columns[name].label(name) for name in (*COLUMNS, "sequence")))
            .join_from(measurements, runs)
            .order_by(runs.c.started, runs.c.id, *(columns[name] for name in _ORDER))
        )
        for name, value in where.items():
            query = query.where(columns[name] == value)
        if not reasons:
            query = query.where(columns["reason"] == "")
        # An older schema, which reading does not upgrade, lacks columns.
        there = [name for name in RUN_COLUMNS if name in self.database.columns["runs"]]
        with self.database.reading() as connection:
            table = _frame(connection.execute(query), [*COLUMNS, "sequence"])
            of_runs = pd.DataFrame(
                connection.execute(sa.select(*(runs.c[name] for name in ["id", *there]))).all(),
                columns=["id", *there],
            ).set_index("id")
            for name in set(RUN_COLUMNS) - set(there):
                of_runs[name] = _EMPTY[name]
        return _joined(table, of_runs)

    def sequences(self, digests: Iterable[str]) -> dict[str, Exits]:
        """The trap sequences that the column `sequence` names, by their `digests`."""
        wanted = set(digests)
        if not wanted:
            return {}
        query = sa.select(StoredSequence.digest, StoredSequence.exits).where(
            StoredSequence.digest.in_(wanted)
        )
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return {digest: tuple(map(tuple, json.loads(exits))) for digest, exits in rows}

    def acknowledge(
        self, series: Iterable[Mapping[str, str]], until: datetime, by: str, note: str
    ) -> None:
        """What changed in `series`, each by what names it, up to the run that started at `until`
        is the new normal: says `by`, and why."""
        rows = [
            {
                "series": json.dumps(dict(each), sort_keys=True),
                "until": until,
                "by": by,
                "note": note,
                "at": datetime.now(UTC),
            }
            for each in series
        ]
        known = StoredAcknowledgement.__table__
        with self.database.writing() as connection:
            for row in rows:
                connection.execute(
                    sa.delete(StoredAcknowledgement).where(
                        known.c.series == row["series"], known.c.until == until
                    )
                )
            connection.execute(sa.insert(StoredAcknowledgement), rows)

    def acknowledged(self) -> list[Acknowledgement]:
        """What `acknowledge` was told, oldest first."""
        there = self.database.columns.get("acceptances", frozenset())
        if not there:
            return []
        known = StoredAcknowledgement.__table__.c
        # An older schema, which reading does not upgrade, lacks columns.
        by = known.by if "by" in there else sa.literal("")
        at = known.at if "at" in there else sa.null()
        query = sa.select(
            known.series, known.until, by.label("by"), known.note, at.label("at")
        ).order_by(known.until, known.series)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            Acknowledgement(
                _series(json.loads(row.series)),
                _utc(row.until),
                row.by,
                row.note,
                None if row.at is None else _utc(row.at),
            )
            for row in rows
        ]


def _keep(connection: sa.Connection, sequences: Mapping[str, Exits]) -> None:
    """Store those that the database does not have yet."""
    digests = StoredSequence.digest
    stored = set(connection.scalars(sa.select(digests).where(digests.in_(sequences))))
    if new := [
        {"digest": digest, "exits": json.dumps(exits)}
        for digest, exits in sequences.items()
        if digest not in stored
    ]:
        connection.execute(sa.insert(StoredSequence), new)


def _series(names: dict[str, str]) -> dict[str, str]:
    """What names a series, also one that was acknowledged before schema 2."""
    return {"level": "", "statistic": schema1.statistic(names.get("metric", "")), **names}


def _frame(rows: Iterable[Sequence[Any]], names: Sequence[str]) -> pd.DataFrame:
    """The rows as a frame; the same text is one object, of which there are few."""
    known: dict[str, str] = {}
    columns: list[list[Any]] = [[] for _ in names]
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(known.setdefault(value, value) if isinstance(value, str) else value)
    return pd.DataFrame(dict(zip(names, columns, strict=True)), columns=list(names))


def _joined(table: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Measurements with what is known of their runs, each host's settings, and what each cell
    measured."""
    runs = runs.assign(started=pd.to_datetime(runs["started"], utc=True))[RUN_COLUMNS]
    runs.index = runs.index.astype("str")  # of no runs it is of no type
    table = table.astype({"run_id": "str"}).join(runs, on="run_id")
    of_hosts = {
        (run_id, host): text
        for run_id, settings in runs["settings"].items()
        for host, text in json.loads(settings).items()
    }
    pairs = zip(table["run_id"], table["host"], strict=True)
    table["settings"] = pd.Series([of_hosts.get(pair, "") for pair in pairs], dtype="str")
    of_cell = cache(subject.subject)
    cells = zip(*(table[name] for name in _SUBJECT), strict=True)
    table["subject"] = pd.Series([of_cell(*cell) for cell in cells], dtype="str")
    table["repeated"] = table["repetition"] > table["repetitions"]
    types = {"value": "float64", "stdev": "float64", "share": "float64", "repeated": "bool"}
    return table.astype(types).drop(columns="repetitions")


def _utc(moment: datetime) -> pd.Timestamp:
    """SQLite forgets that it is UTC."""
    stamp = pd.Timestamp(moment)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
