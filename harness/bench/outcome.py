# SPDX-License-Identifier: MIT
"""What a cell gave."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.model.measurement import Metric, Statistic


@dataclass(frozen=True)
class Value:
    """A row of results.csv without the cell that it belongs to, which the caller adds."""

    metric: Metric
    unit: str
    value: float
    stdev: float | None
    iterations: int
    reason: str = ""
    statistic: Statistic = field(kw_only=True)
    level: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What a cell gave: a value a metric, and the statistics that they were made of. With an
    `error` the cell has failed, for all that was measured."""

    values: Sequence[Value] = ()
    samples: Sequence[dict[str, Any]] = ()
    error: str = ""
