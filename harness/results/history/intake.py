# SPDX-License-Identifier: MIT
"""Run folders as rows of the database. They may come from elsewhere, so nothing in them is
trusted."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

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
from harness.model.cell import CellName, CellRecord
from harness.model.measurement import Metric
from harness.model.sequence import Exits, modal
from harness.results.history import settings, subject
from harness.results.store import RunFolder, run_folders


def _storable(text: str) -> str:
    """Text that every database takes."""
    if "\0" in text:
        raise ValueError("a NUL character")
    text.encode()  # an unpaired surrogate raises UnicodeEncodeError, which is a ValueError
    return text


_Long = Annotated[str, Field(max_length=2**20), AfterValidator(_storable)]
_Text = Annotated[_Long, Field(max_length=4096)]
_Count = Annotated[int, Field(ge=0, lt=2**31)]


class Run(BaseModel):
    """What a run's metadata must hold."""

    model_config = ConfigDict(frozen=True)

    id: Annotated[_Text, Field(min_length=1)]
    started: AwareDatetime
    state: _Text = "unfinished"
    playbook: _Text = ""
    repetitions: Annotated[_Count, Field(ge=1)] = 1
    harness: _Text = ""
    emulator: _Text | None = None
    kernels: _Text = ""
    microbench: _Text = ""
    rootfs: _Text = ""
    settings: _Long = "{}"
    folder: _Text


class Row(BaseModel):
    """A row of results.csv, and the name of its sequence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: _Text
    host: _Text
    track: _Text
    cpu: _Text
    gic: _Count
    configuration: _Text
    mechanism: _Text
    benchmark: _Text
    metric: _Text
    unit: _Text
    value: FiniteFloat
    stdev: FiniteFloat | None
    iterations: Annotated[int, Field(ge=0, lt=2**63)]
    reason: _Text
    repetition: Annotated[_Count, Field(ge=1)]
    statistic: _Text
    level: _Text
    share: FiniteFloat | None
    sequence: str | None = None


@dataclass(frozen=True)
class Taken:
    """What a run folder holds: the run, its measurements, and the sequences that these name."""

    run: Run
    rows: list[Row]
    sequences: dict[str, Exits]


def find(path: Path) -> list[Path]:
    """The run folder at `path`, or those in it, by name. Raises UserError if there is none."""
    if (path / "metadata.json").is_file():
        return [path]
    found = run_folders(path)
    if not found:
        raise UserError(f"{path}: neither a run folder nor a folder with runs")
    return found


def read(path: Path) -> Taken:
    """What is in the run folder at `path`. Raises UserError if it is no run of ours, or damaged."""
    try:
        folder = RunFolder.open(path.parent, path.name)
        run = Run.model_validate(facts(folder))
        rows, sequences = [], {}
        for record in folder.records():
            exits = modal(record.samples)
            name = None if exits is None else content_key(exits)
            mine = list(_rows(run, record, name))
            rows += mine
            if exits is not None:
                sequences.update({row.sequence: exits for row in mine if row.sequence})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: not a run of neve: {where}: {first['msg']}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise UserError(f"{path}: not a run of neve, or damaged: {_line(error)}") from error
    return Taken(run, rows, sequences)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def facts(folder: RunFolder) -> dict[str, Any]:
    """Of a `Run`, as far as the metadata says them."""
    metadata = folder.metadata
    started, playbook = metadata.started, metadata.playbook
    known = {
        "id": metadata.run_id,
        "started": started.replace(tzinfo=started.tzinfo or UTC).astimezone(UTC),
        "playbook": playbook.get("name"),
        "repetitions": _rounds(playbook),
        "state": metadata.state,
        "harness": metadata.harness,
        "emulator": metadata.emulator,
        "folder": str(folder.path),
        "microbench": metadata.microbench.sha256 if metadata.microbench else None,
        "rootfs": metadata.rootfs.sha256 if metadata.rootfs else None,
        "settings": json.dumps(settings.by_host(playbook), sort_keys=True),
        "kernels": subject.written(metadata.kernels),
    }
    return {key: value for key, value in known.items() if value is not None}


def _rounds(playbook: Mapping[str, Any]) -> Any:
    """How often the run was to measure each cell before any was measured again."""
    boots = playbook.get("boots")
    return boots if isinstance(boots, int) and boots > 1 else playbook.get("repetitions")


def _rows(run: Run, record: CellRecord, sequence: str | None) -> Iterator[Row]:
    """What the cell measured, if it belongs to `run`, and its measurements to it. The total of
    exact traps is the length of its `sequence`."""
    for row in record.measurements:
        if row.run_id != run.id:
            raise ValueError(f"a measurement belongs to the run {json.dumps(row.run_id)}")
        own = sequence if row.exact and row.metric == Metric.TRAPS and not row.reason else None
        storable = Row.model_validate({**vars(row), "sequence": own})
        cell = CellName(row.host, row.configuration, row.repetition, row.benchmark)
        if cell != record.name:
            raise ValueError(f"the cell {record.id} has a measurement of {cell}")
        yield storable
