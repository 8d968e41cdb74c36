# SPDX-License-Identifier: MIT
"""The one schema of measurements, a row each, for micro-benchmarks and applications alike."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

SCHEMA: Final = 2  # of all files of a run


class Metric(StrEnum):
    """What was measured."""

    COST = "cost"  # of an operation of a micro-benchmark
    TRAPS = "traps"  # exits to L0
    CPU = "cpu"  # how many CPUs of a level were busy
    TIME = "time"  # that a run of an application took
    THROUGHPUT = "throughput"  # of an application


class Statistic(StrEnum):
    """How a value sums up what it was made of."""

    MEDIAN = "median"
    MODE = "mode"
    MEAN = "mean"
    COUNT = "count"


class Mechanism(StrEnum):
    """How the guest hypervisor's EL2 accesses reach L0."""

    NONE = "none"
    ARCHITECTED = "architected"
    PARAVIRTUAL = "paravirtual"


USUAL: Final = 0.9  # of a cell's operations: a commonest value that as many have stands for it

# A field that we don't know is another program's …
STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
# … and where later harnesses may add some, theirs, and is kept.
OPEN = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A row of results.csv: one figure of one cell."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    run_id: str
    """The run: the name of its folder."""
    host: str
    """The playbook's name of the machine that is L0."""
    track: str
    """The kernel line: v4.10 or upstream."""
    cpu: str
    """L0's processor: a model of QEMU's, or "host" on a server."""
    gic: int
    """The version of L0's interrupt controller: 2 or 3."""
    configuration: str
    """Where the benchmark ran: native, vm, nested-v8.3, nested-neve, …"""
    mechanism: Mechanism
    """How EL2 accesses of the guest hypervisor reached L0; none without one."""
    benchmark: str
    """A micro-benchmark or an application."""
    metric: Metric
    """What was measured: cost, traps (exits to L0), cpu (busy CPUs), or an application's time or
    throughput."""
    unit: str
    """Of `value` and `stdev`. Per operation of a micro-benchmark: instructions, cycles or ticks
    (cost), exits (traps). Per run of an application: s (time). Per second of an application:
    exits per second (traps), CPUs (cpu: CPU seconds per second), and what ends in /s
    (throughput)."""
    value: float
    """The figure: per operation, per run or per second, as `unit` says."""
    stdev: float | None
    """Standard deviation of one operation or one run, not an error of `value`; none where it was
    not measured, as for operations timed in batches."""
    iterations: int
    """How many operations or runs `value` was made of."""
    reason: str = ""
    """The register, instruction or exception that made these exits; empty in the row with the
    total, and for all other metrics."""
    repetition: Annotated[int, Field(ge=1)]
    """Which repetition of the cell it belongs to, from 1; the boot, if each was in one of its
    own."""
    level: Literal["", "L0", "L1", "L2"] = ""
    """Whose CPUs were busy; empty for all metrics but cpu."""
    statistic: Statistic
    """What `value` is over `iterations`: their median, mode (the commonest), mean or count."""
    share: Annotated[float, Field(ge=0, le=1)] | None = None
    """The part of all operations that had exactly this value, from 0 to 1; none where that was
    not counted."""

    @property
    def exact(self) -> bool:
        """Whether another value is a difference for certain, without statistics."""
        return self.statistic == Statistic.MODE and (self.share or 0.0) >= USUAL


COLUMNS = [field.name for field in fields(Measurement)]
CELL = ["host", "track", "cpu", "gic", "configuration", "mechanism", "benchmark"]
