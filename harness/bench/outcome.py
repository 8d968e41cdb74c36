# SPDX-License-Identifier: MIT
"""What a cell gave."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Value:
    """A metric's value per operation; the caller adds which cell it belongs to."""

    metric: str
    unit: str
    value: float
    stdev: float | None
    iterations: int
    reason: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What a cell gave: a value a metric, and the statistics that they were made of. With an
    `error` the cell has failed, for all that was measured."""

    values: Sequence[Value] = ()
    samples: Sequence[dict[str, Any]] = ()
    error: str = ""
