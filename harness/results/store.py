# SPDX-License-Identifier: MIT
"""The run folder: written so that a crash at any moment loses no finished cell.

metadata.json   first, and again at every step, atomically
cells.jsonl     a line per finished cell, appended and flushed to disk: the truth from
                which everything else is derived again
results.csv, report.md, report.html, junit.xml, consoles/*.log
"""

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from harness.cache import write_atomically
from harness.errors import UserError
from harness.model.cell import CellRecord
from harness.results.frames import frame

SCHEMA = 1  # of all files of a run


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

    def __str__(self) -> str:
        total = self.passed + self.failed + len(self.missing)
        parts = [f"{self.passed} of {total} cell{'' if total == 1 else 's'} passed"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.missing:
            parts.append(f"{len(self.missing)} not measured")
        return f"{self.state}: {', '.join(parts)}"


class _Kernel(BaseModel):
    version: str
    key: str
    origin: str = ""


class _Accounting(BaseModel):
    all_exits: bool


class _Metadata(BaseModel):
    """The shape of those entries that are read again; the others are for people."""

    schema_number: int = Field(SCHEMA, alias="schema")
    track: str | None = None
    state: str = "unfinished"
    playbook: dict[str, Any] = {}
    kernels: dict[str, _Kernel] = {}
    accounting: dict[str, _Accounting] = {}
    skipped: list[str] = []
    planned: list[str] = []
    changes: list[dict[str, Any]] = []


_RECORD = TypeAdapter(CellRecord)


@dataclass(frozen=True)
class RunFolder:
    """One run on disk."""

    path: Path
    _metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def consoles(self) -> Path:
        return self.path / "consoles"

    @classmethod
    def create(cls, runs: Path, name: str, metadata: dict[str, Any]) -> "RunFolder":
        """A new folder below `runs`; `latest` points to it."""
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        path = runs / f"{stamp}-{name}-{secrets.token_hex(2)}"
        (path / "consoles").mkdir(parents=True)
        folder = cls(path)
        folder.update(
            schema=SCHEMA, run_id=path.name, started=datetime.now(UTC).isoformat(), **metadata
        )
        link = runs / f".latest-{secrets.token_hex(4)}"
        link.symlink_to(path.name)
        link.replace(runs / "latest")
        return folder

    @classmethod
    def open(cls, runs: Path, name: str) -> "RunFolder":
        """The run `name` (`latest` too), or the folder at that path."""
        for path in (runs / name, Path(name)):
            if (path / "metadata.json").is_file():
                return cls(path.resolve(), _read_metadata(path / "metadata.json"))
        raise UserError(f"no run {name!r} in {runs}: `neve runs` lists them")

    @property
    def metadata(self) -> dict[str, Any]:
        return self._metadata

    def update(self, **entries: Any) -> None:
        """Merge `entries` into the metadata and write it; a mapping adds to the one there."""
        for key, value in entries.items():
            old = self._metadata.get(key)
            if isinstance(value, dict) and isinstance(old, dict):
                self._metadata[key] = {**old, **value}
            else:
                self._metadata[key] = value
        text = json.dumps(self._metadata, indent=2, sort_keys=True, default=str)
        write_atomically(self.path / "metadata.json", text + "\n")

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
        self.write_results()

    def records(self) -> list[CellRecord]:
        """The newest record of every cell; a torn last line of a crashed run is passed over."""
        newest: dict[str, CellRecord] = {}
        for record in self._read():
            newest[record.id] = record
        return list(newest.values())

    def standing(self) -> Standing:
        """What has passed, failed, and was planned but has not ended."""
        records = self.records()
        passed = sum(record.passed for record in records)
        ended = {record.id for record in records}
        return Standing(
            self.metadata.get("state", "unfinished"),
            passed,
            len(records) - passed,
            tuple(cell for cell in self.metadata.get("planned", []) if cell not in ended),
        )

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
            try:
                yield _RECORD.validate_python(data)
            except ValidationError as error:
                raise UserError(
                    f"{file}, line {number}, is damaged, or no run of ours: {_first(error)}"
                ) from error

    def write_results(self) -> None:
        """Derive results.csv from the cells."""
        rows = [row for record in self.records() for row in record.measurements]
        write_atomically(self.path / "results.csv", frame(rows).to_csv(index=False))


def _read_metadata(file: Path) -> dict[str, Any]:
    try:
        metadata = json.loads(file.read_bytes())
        known = _Metadata.model_validate(metadata)
    except ValidationError as error:
        raise UserError(f"{file} is damaged, or no run of ours: {_first(error)}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is damaged: {error}") from error
    if known.schema_number > SCHEMA:
        raise UserError(
            f"{file} was written by a newer harness (schema {known.schema_number}; "
            f"this one reads up to {SCHEMA}): update it"
        )
    return {str(key): value for key, value in metadata.items()}


def _first(error: ValidationError) -> str:
    """Where the first mistake is, and what it is."""
    found = error.errors()[0]
    where = ".".join(map(str, found["loc"]))
    return f"{where}: {found['msg']}" if where else found["msg"]


def run_folders(runs: Path) -> list[Path]:
    """Where the runs below `runs` lie, by name; `latest` is none of its own."""
    return sorted(
        file.parent for file in runs.glob("*/metadata.json") if not file.parent.is_symlink()
    )
