# SPDX-License-Identifier: MIT
"""The one schema of measurements, one a row."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict


class Metric(StrEnum):
    """What was measured."""

    COST = "cost"
    TRAPS = "traps"


class Mechanism(StrEnum):
    """How the guest hypervisor's EL2 accesses reach L0."""

    NONE = "none"
    ARCHITECTED = "architected"
    PARAVIRTUAL = "paravirtual"


STRICT = ConfigDict(extra="forbid")  # a field that we don't know is another program's


@dataclass(frozen=True)
class Measurement:
    """A row of results.csv.

    `value` is the median over `iterations` (cost) or the mean per operation (traps); `stdev`
    belongs to one operation and is None where none was measured. `reason` is set only on
    per-reason trap rows.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    run_id: str
    host: str
    track: str
    cpu: str
    gic: int
    configuration: str
    mechanism: str
    benchmark: str
    metric: str
    unit: str
    value: float
    stdev: float | None
    iterations: int
    reason: str = ""


COLUMNS = [field.name for field in fields(Measurement)]
CELL = ["host", "track", "cpu", "gic", "configuration", "mechanism", "benchmark"]
