# SPDX-License-Identifier: MIT
"""Converts schema 1 to schema 2.

In schema 1, rows had no repetition (the cell's id had it), no statistic, and no level (for busy
CPUs, the reason had it). Its changes called the median of a series its level.
"""

from collections.abc import Mapping
from typing import Any

from harness.model.cell import CellName
from harness.model.measurement import SCHEMA, Metric, Statistic

MEDIANS = (Metric.COST,)  # all others were means


def metadata(data: Mapping[str, Any]) -> dict[str, Any]:
    """metadata.json. Raises KeyError, TypeError or ValueError if it is none."""
    newer = {**data, "schema": SCHEMA}
    if "changes" in data:
        newer["changes"] = [{**change, **_change(change)} for change in data["changes"]]
    return newer


def _change(change: Mapping[str, Any]) -> dict[str, Any]:
    return {"median": change["level"], "level": "", "statistic": statistic(change["metric"])}


def cell(data: Mapping[str, Any]) -> dict[str, Any]:
    """A line of cells.jsonl. Raises KeyError, TypeError or ValueError if it is none."""
    repetition = CellName.of(data["id"]).repetition
    rows = [
        {**row, **told_apart(row["metric"], row["reason"]), "repetition": repetition}
        for row in data["measurements"]
    ]
    return {**data, "schema": SCHEMA, "measurements": rows}


def told_apart(metric: str, reason: str) -> dict[str, str]:
    """What the columns statistic, level and reason say of a row."""
    busy = metric == Metric.CPU
    return {
        "statistic": statistic(metric),
        "level": reason if busy else "",
        "reason": "" if busy else reason,
    }


def statistic(metric: str) -> Statistic:
    """What a value of `metric` was."""
    return Statistic.MEDIAN if metric in MEDIANS else Statistic.MEAN
