# SPDX-License-Identifier: MIT
"""What the report of one kind of run has of its own, and how it formats figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from harness.results.drawing import Panel


@dataclass(frozen=True)
class Content:
    """The template of the report and what that is filled
    with, the readable table, exits by reason for each benchmark, and the pictures."""

    template: str
    values: Mapping[str, Any]
    table: pd.DataFrame
    reasons: Mapping[str, pd.DataFrame]
    panels: "Sequence[Panel]" = ()


def number(value: float, digits: int, unit: str = "") -> str:
    """As text; what is unknown stays empty."""
    if pd.isna(value):
        return ""
    return f"{round(value, digits) + 0.0:,.{digits}f}{unit}"  # + 0.0: no negative zero


def figure(value: float) -> str:
    """An exact figure: a whole number mostly, and no more digits than it has."""
    return number(value, 0 if value == round(value) else 2)


def signed(difference: float) -> str:
    """A difference of exact figures; nothing of none."""
    return f"{'+' if difference > 0 else ''}{figure(difference)}" if difference else ""
