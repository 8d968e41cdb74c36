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

from harness.cache import write_atomically
from harness.errors import UserError
from harness.results.schema import Measurement, frame


@dataclass(frozen=True)
class CellRecord:
    """How a cell ended. `samples` keeps all statistics of the guest, not only the median."""

    id: str
    status: str  # "passed" or "failed"
    seconds: float
    measurements: tuple[Measurement, ...] = ()
    samples: tuple[dict[str, Any], ...] = ()
    error: str = ""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "CellRecord":
        rows = tuple(Measurement(**row) for row in data.pop("measurements"))
        samples = tuple(data.pop("samples"))
        return cls(measurements=rows, samples=samples, **data)


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
        folder.update(run_id=path.name, started=datetime.now(UTC).isoformat(), **metadata)
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
        with (self.path / "cells.jsonl").open("a") as stream:
            # A line that a crash tore is closed first, so that it can't swallow this one.
            stream.write("\n" if stream.tell() else "")
            stream.write(json.dumps(asdict(record)) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.write_results()

    def records(self) -> list[CellRecord]:
        """The newest record of every cell; a torn last line of a crashed run is passed over."""
        newest: dict[str, CellRecord] = {}
        for record in self._read():
            newest[record.id] = record
        return list(newest.values())

    def _read(self) -> Iterator[CellRecord]:
        file = self.path / "cells.jsonl"
        if not file.exists():
            return
        for line in file.read_text().splitlines():
            try:
                yield CellRecord.from_json(json.loads(line))
            except json.JSONDecodeError:
                continue

    def write_results(self) -> None:
        """Derive results.csv from the cells."""
        rows = [row for record in self.records() for row in record.measurements]
        write_atomically(self.path / "results.csv", frame(rows).to_csv(index=False))


def _read_metadata(file: Path) -> dict[str, Any]:
    try:
        metadata = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is damaged: {error}") from error
    if not isinstance(metadata, dict):
        raise UserError(f"{file} is damaged: no mapping")
    return metadata


def all_runs(runs: Path) -> list[RunFolder]:
    """Every run below `runs`, oldest first."""
    return [RunFolder.open(runs, folder.name) for folder in run_folders(runs)]


def run_folders(runs: Path) -> list[Path]:
    """Where the runs below `runs` lie, by name; `latest` is none of its own."""
    return sorted(file.parent for file in runs.glob("*/metadata.json")
                  if not file.parent.is_symlink())
