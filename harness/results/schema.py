# SPDX-License-Identifier: MIT
"""The one schema of measurements: a tidy frame, one measurement a row."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import ClassVar

import pandas as pd
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


def frame(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """Rows in the order they came, columns in the contract's order."""
    return pd.DataFrame([asdict(row) for row in measurements], columns=COLUMNS)


def read_csv(path: str) -> pd.DataFrame:
    """A results.csv with the schema's types: a host may be called `NA` or `007`."""
    numbers = {"gic": int, "value": float, "stdev": float, "iterations": int}
    return pd.read_csv(
        path, dtype={name: numbers.get(name, str) for name in COLUMNS}, encoding="utf-8",
        keep_default_na=False, na_values={"stdev": [""], "value": [""]},
    )
