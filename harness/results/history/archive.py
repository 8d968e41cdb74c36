# SPDX-License-Identifier: MIT
"""Run folders into the database, and frames out of it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import sqlalchemy as sa
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
)

from harness.cache import content_key
from harness.errors import UserError
from harness.results.history.database import Database
from harness.results.history.models import StoredMeasurement, StoredRun
from harness.results.schema import COLUMNS
from harness.results.store import CellRecord, RunFolder, run_folders

RUN_COLUMNS = ["started", "state", "playbook", "repetitions", "harness", "emulator", "kernels",
               "folder"]


class Outcome(StrEnum):
    """What an import did."""

    NEW = "new"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    EMPTY = "no finished cell"


def _storable(text: str) -> str:
    """Text that every database takes."""
    if "\0" in text:
        raise ValueError("a NUL character")
    text.encode()  # an unpaired surrogate raises UnicodeEncodeError, which is a ValueError
    return text


_Text = Annotated[str, Field(max_length=4096), AfterValidator(_storable)]
_Count = Annotated[int, Field(ge=0, lt=2**31)]


class _Run(BaseModel):
    """What a run's metadata must hold. Folders come from elsewhere: nothing is taken on trust."""

    model_config = ConfigDict(frozen=True)

    id: Annotated[_Text, Field(min_length=1)]
    started: AwareDatetime
    state: _Text = "unfinished"
    playbook: _Text = ""
    repetitions: Annotated[_Count, Field(ge=1)] = 1
    harness: _Text = ""
    emulator: _Text | None = None
    kernels: _Text = ""
    folder: _Text


class _Measurement(BaseModel):
    """A row of results.csv and its repetition."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: _Text
    host: _Text
    track: _Text
    cpu: _Text
    gic: _Count
    configuration: _Text
    mechanism: _Text
    benchmark: _Text
    repetition: Annotated[_Count, Field(ge=1)]
    metric: _Text
    unit: _Text
    value: FiniteFloat
    stdev: FiniteFloat | None
    iterations: Annotated[int, Field(ge=0, lt=2**63)]
    reason: _Text


def find(path: Path) -> list[Path]:
    """The run folder at `path`, or those in it, by name. Raises UserError if there is none."""
    if (path / "metadata.json").is_file():
        return [path]
    found = run_folders(path)
    if not found:
        raise UserError(f"{path}: no run folder, and none in it")
    return found


@dataclass(frozen=True)
class Archive:
    """All runs that a database knows."""

    database: Database

    def take(self, path: Path) -> Outcome:
        """Import the run folder at `path`. A run that is known is brought up to date; the same
        folder twice is the same rows. Raises UserError if it is no run of ours, or damaged."""
        run, rows = _read(path)
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
        return Outcome.UPDATED if known else Outcome.NEW

    def load(self, *, reasons: bool = True, **where: str) -> pd.DataFrame:
        """See `harness.results.load`."""
        runs, measurements = StoredRun.__table__, StoredMeasurement.__table__
        columns = [*(measurements.c[name] for name in COLUMNS), measurements.c.repetition,
                   *(runs.c[name] for name in RUN_COLUMNS)]
        query = sa.select(*columns).join_from(measurements, runs).order_by(
            runs.c.started, runs.c.id, measurements.c.host, measurements.c.configuration,
            measurements.c.benchmark, measurements.c.repetition, measurements.c.metric,
            measurements.c.reason,
        )
        for name, value in where.items():
            if name not in COLUMNS:
                raise UserError(f"the history has no column {name!r}: {', '.join(COLUMNS)}")
            query = query.where(measurements.c[name] == value)
        if not reasons:
            query = query.where(measurements.c.reason == "")
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        table = pd.DataFrame(rows, columns=[column.name for column in columns])
        table["started"] = pd.to_datetime(table["started"], utc=True)
        table["repeated"] = table["repetition"] > table["repetitions"]
        types = {"value": "float64", "stdev": "float64", "repeated": "bool"}
        return table.astype(types).drop(columns="repetitions")


def _read(path: Path) -> tuple[_Run, list[_Measurement]]:
    try:
        folder = RunFolder.open(path.parent, path.name)
        run = _Run.model_validate(_facts(folder))
        rows = [row for record in folder.records() for row in _rows(run, record)]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: no run of ours: {where}: {first['msg']}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise UserError(f"{path}: no run of ours, or damaged: {_line(error)}") from error
    return run, rows


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _facts(folder: RunFolder) -> dict[str, Any]:
    metadata = folder.metadata
    if not isinstance(metadata, dict):
        raise ValueError("metadata.json is no object")
    playbook = metadata.get("playbook") or {}
    kernels = metadata.get("kernels") or {}
    started = datetime.fromisoformat(metadata["started"])
    known = {
        "id": metadata["run_id"],
        "started": started.replace(tzinfo=started.tzinfo or UTC).astimezone(UTC),
        "playbook": playbook.get("name"), "repetitions": playbook.get("repetitions"),
        "state": metadata.get("state"), "harness": metadata.get("harness"),
        "emulator": metadata.get("emulator"), "folder": str(folder.path),
        "kernels": "; ".join(
            f"{name}: {kernel['version']} {kernel['key']}"
            for name, kernel in sorted(kernels.items())
        ),
    }
    return {key: value for key, value in known.items() if value is not None}


def _rows(run: _Run, record: CellRecord) -> Iterator[_Measurement]:
    """What the cell measured, if it belongs to `run`."""
    repetition = record.id.split("/")[2]
    for row in record.measurements:
        if row.run_id != run.id:
            raise ValueError(f"a measurement belongs to the run {json.dumps(row.run_id)}")
        yield _Measurement.model_validate({**asdict(row), "repetition": repetition})
