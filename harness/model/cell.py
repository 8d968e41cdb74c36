# SPDX-License-Identifier: MIT
"""A cell of the matrix: its name, and its outcome."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import ConfigDict

from harness.model.document import Form
from harness.model.measurement import SCHEMA, STRICT, Measurement

CellId = Annotated[
    str,
    Form(r"[^/\n]+/[^/\n]+/[1-9][0-9]*/[^\n]+", "host/configuration/repetition/benchmark"),
]


class CellName(NamedTuple):
    """What tells a cell from the others of its run; as text, `tcg/vm/1/hypercall`."""

    host: str
    configuration: str
    repetition: int  # from 1
    benchmark: str

    @classmethod
    def of(cls, text: str) -> "CellName":
        """The name in an id that a `CellRecord` has."""
        host, configuration, repetition, benchmark = text.split("/", 3)
        return cls(host, configuration, int(repetition), benchmark)

    def __str__(self) -> str:
        return "/".join(map(str, self))


@dataclass(frozen=True)
class CellRecord:
    """How a cell ended: a line of cells.jsonl."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    schema: Literal[2] = field(default=SCHEMA, kw_only=True)
    """The number of the format that the line is in."""
    id: CellId
    """The cell's name: host/configuration/repetition/benchmark. A later line with the same id
    replaces an earlier one."""
    status: Literal["passed", "failed"]
    """A cell that passed has measurements, one that failed an error."""
    seconds: float
    """How long it took, in seconds."""
    measurements: tuple[Measurement, ...] = ()
    """What it measured: its rows of results.csv."""
    samples: tuple[dict[str, Any], ...] = ()
    """All statistics that the guest gave, of which a row has one: of a micro-benchmark its
    minimum, median and 99th percentile, in ticks of `timer` that `batch` operations took, `counts`
    ({ticks: how many samples}), and the same of as many that do nothing (`empty`, on servers); of
    an application the figure of each run."""
    error: str = ""
    """Why it failed; the first line says it in short."""

    @property
    def name(self) -> CellName:
        return CellName.of(self.id)

    @property
    def passed(self) -> bool:
        return self.status == "passed"
