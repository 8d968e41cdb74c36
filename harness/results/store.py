# SPDX-License-Identifier: MIT
"""The run folder, written so that a crash at any moment loses no finished cell.

metadata.json   first, and again at every step, atomically
cells.jsonl     a line per finished cell, appended and flushed to disk: the truth from
                which everything else is derived again
results.csv     their measurements, derived; report.md, report.html and junit.xml likewise
consoles/*.log
"""

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.cache import write_atomically
from harness.errors import UserError
from harness.model.cell import CellRecord
from harness.model.measurement import SCHEMA
from harness.model.metadata import Metadata
from harness.results import schema1
from harness.results.results_csv import ResultsCsv

_RECORD = TypeAdapter(CellRecord)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Standing:
    """How far a run has come. `missing` are the cells that were planned and have not ended."""

    state: str  # "unfinished" (running, or killed), "cut off" or "finished"
    passed: int
    failed: int
    missing: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether all that was planned was measured."""
        return not self.failed and not self.missing

    @classmethod
    def of(cls, metadata: Metadata, records: Iterable[CellRecord]) -> "Standing":
        """Of a run whose cells have ended as `records` say."""
        ended = {record.id: record.passed for record in records}
        passed = sum(ended.values())
        missing = tuple(cell for cell in metadata.planned if cell not in ended)
        return cls(metadata.state, passed, len(ended) - passed, missing)

    def __str__(self) -> str:
        total = self.passed + self.failed + len(self.missing)
        parts = [f"{self.passed} of {total} cell{'' if total == 1 else 's'} passed"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.missing:
            parts.append(f"{len(self.missing)} not measured")
        return f"{self.state}: {', '.join(parts)}"


@dataclass
class RunFolder:
    """One run on disk."""

    path: Path
    metadata: Metadata

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def consoles(self) -> Path:
        return self.path / "consoles"

    @cached_property
    def results(self) -> ResultsCsv:
        return ResultsCsv(self.path / "results.csv")

    @classmethod
    def create(cls, runs: Path, name: str, facts: Mapping[str, Any]) -> "RunFolder":
        """A new folder below `runs`, whose metadata begins with `facts`; `latest` points to it."""
        path = new_folder(runs, name)
        folder = cls.at(path, facts)
        link_latest(runs, path.name)
        return folder

    @classmethod
    def at(cls, path: Path, facts: Mapping[str, Any]) -> "RunFolder":
        """A run in the folder `path`, whose metadata begins with `facts`."""
        (path / "consoles").mkdir(parents=True)
        known = {"schema": SCHEMA, "run_id": path.name, "started": datetime.now(UTC)}
        folder = cls(path, Metadata.model_validate({**facts, **known}))
        folder.update()
        return folder

    @classmethod
    def open(cls, runs: Path, name: str) -> "RunFolder":
        """The run `name` (`latest` too), or the folder at that path. Raises UserError if there is
        none, it is damaged, or a newer harness wrote it."""
        path = cls.find(runs, name)
        return cls(path.resolve(), _read_metadata(path / "metadata.json"))

    @staticmethod
    def find(runs: Path, name: str) -> Path:
        """Where the run `name` (`latest` too) is, or that at this path. Raises UserError."""
        for path in (runs / name, Path(name)):
            if (path / "metadata.json").is_file():
                return path
        raise UserError(f"no run {name!r} in {runs}: `neve runs` lists them")

    def update(self, **entries: Any) -> None:
        """Merge `entries` into the metadata and write it; a mapping adds to the one there."""
        self.metadata = self.metadata.merged(entries)
        write_atomically(self.path / "metadata.json", self.metadata.text())

    def append(self, record: CellRecord) -> None:
        """Add a finished cell; it is on the disk when this returns."""
        with (self.path / "cells.jsonl").open("ab+") as stream:
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                # A line that a crash tore is closed first, so that it can't swallow this one.
                stream.write(b"" if stream.read(1) == b"\n" else b"\n")
            stream.write(json.dumps(asdict(record)).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        if not self.results.add(record):
            self.results.write(self.records())

    def records(self) -> list[CellRecord]:
        """The newest record of every cell, in the order of the plan: which of two hosts was first
        is chance. A torn last line of a crashed run is passed over.

        Raises UserError if it is damaged, or a newer harness wrote it.
        """
        newest: dict[str, CellRecord] = {}
        for record in self._read():
            newest[record.id] = record
        planned = {cell: place for place, cell in enumerate(self.metadata.planned)}
        return sorted(newest.values(), key=lambda each: planned.get(each.id, len(planned)))

    def standing(self) -> Standing:
        """What has passed, failed, and was planned but has not ended."""
        return Standing.of(self.metadata, self.records())

    def _read(self) -> Iterator[CellRecord]:
        file = self.path / "cells.jsonl"
        if not file.exists():
            return
        for number, line in enumerate(file.read_bytes().splitlines(), 1):
            try:
                data = json.loads(line)
            except json.JSONDecodeError:
                continue
            except UnicodeDecodeError as error:
                raise UserError(f"{file}, line {number}, is damaged: {error}") from error
            yield _valid(data, schema1.cell, _RECORD.validate_python, f"{file}, line {number},")


def _read_metadata(file: Path) -> Metadata:
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is damaged: {error}") from error
    return _valid(data, schema1.metadata, Metadata.model_validate, str(file))


def _valid(data: Any, newer: Callable[[Any], Any], validate: Callable[[Any], _T], where: str) -> _T:
    """`data` of whichever schema; `newer` makes schema 2 of schema 1."""
    number = data.get("schema", 1) if isinstance(data, dict) else SCHEMA
    if isinstance(number, int) and number > SCHEMA:
        raise UserError(
            f"{where} was written by a newer harness (schema {number}; "
            f"this one reads up to {SCHEMA}): update it"
        )
    try:
        return validate(newer(data) if number == 1 else data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = _first(error) if isinstance(error, ValidationError) else str(error)
        reason += " is missing" if isinstance(error, KeyError) else ""
        raise UserError(f"{where} is damaged, or not a run of neve: {reason}") from error


def _first(error: ValidationError) -> str:
    """Where the first mistake is, and what is wrong."""
    found = error.errors()[0]
    where = ".".join(map(str, found["loc"]))
    return f"{where}: {found['msg']}" if where else found["msg"]


def link_latest(runs: Path, name: str | None = None) -> None:
    """Have `latest` point to the run `name`; by default, and if it leads nowhere, to the newest, or
    be gone where there is none."""
    latest = runs / "latest"
    if name is None:
        if latest.exists() or not latest.is_symlink():
            return
        names = [path.name for path in run_folders(runs)]
        if not names:
            latest.unlink()
            return
        name = names[-1]
    link = runs / f".latest-{secrets.token_hex(4)}"
    link.symlink_to(name)
    link.replace(latest)


def new_folder(runs: Path, name: str) -> Path:
    """A new folder below `runs`, named by the time and `name`."""
    path = runs / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}-{secrets.token_hex(2)}"
    path.mkdir(parents=True)
    return path


def run_folders(runs: Path) -> list[Path]:
    """Where the runs below `runs` lie, by name; `latest` is none of its own."""
    return sorted(
        file.parent for file in runs.glob("*/metadata.json") if not file.parent.is_symlink()
    )
