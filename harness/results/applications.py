# SPDX-License-Identifier: MIT
"""What a report says about applications."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.model.legend import ApplicationLegend
from harness.results import tables
from harness.results.content import Content, number
from harness.results.measured import Measured
from harness.results.overhead import geometric_mean

_INTERVALS = {
    False: "The intervals are those of runs in one boot: they do not say how much another boot "
    "would differ.",
    True: "The intervals are those of the means of boots.",
}


def content(measured: Measured, table: pd.DataFrame) -> Content:
    from harness.results import chart

    known = measured.legend.applications
    sizes = {sample["size"] for record in measured.records for sample in record.samples}
    return Content(
        "applications",
        {
            "title": f"Applications: {measured.folder.id}",
            "headline": headline(table),
            "small": "small" in sizes,
            "emulated": bool(measured.metadata.emulator),
            "intervals": _INTERVALS[measured.boots],
        },
        readable(table, known),
        {},
        chart.applications(table, known),
    )


def headline(table: pd.DataFrame) -> str:
    """The mean overhead of each configuration, in a sentence."""
    known = table[table["overhead"].notna() & (table["configuration"] != "native")]
    parts = [
        f"{name}: {geometric_mean(rows['overhead']):.1f}x over {len(rows)} "
        f"application{'' if len(rows) == 1 else 's'}"
        for name, rows in known.groupby("configuration", sort=False)
    ]
    if not parts:
        return "No overhead is known: nothing was measured both natively and in a VM."
    return f"Geometric mean of the cost, native being 1: {'; '.join(parts)}."


def readable(table: pd.DataFrame, known: Mapping[str, ApplicationLegend]) -> pd.DataFrame:
    """The overheads as text; an unknown cell stays empty."""
    rows = tables.records(table)
    columns = {
        "application": [known[row["benchmark"]].title for row in rows],
        "configuration": table["configuration"],
        "overhead": [
            number(row["overhead"], 2, "x")
            + ("" if pd.isna(row["overhead_low"]) else f" ({_interval(row)})")
            for row in rows
        ],
        "measured": [
            _with_error(row["value"], row["error"], 4 if row["value"] < 10 else 1) for row in rows
        ],
        "unit": table["unit"],
        "runs": [str(row["runs"]) for row in rows],
        "traps/s": [number(value, 0) for value in table["traps"]],
        "busy CPUs": table["cpu"],
    }
    if table["host"].nunique() > 1:
        columns = {"host": table["host"], **columns}
    return pd.DataFrame(columns)


def _interval(row: Mapping[str, Any]) -> str:
    return f"{number(row['overhead_low'], 2)}-{number(row['overhead_high'], 2)}"


def _with_error(value: float, error: float, digits: int) -> str:
    return number(value, digits) + ("" if pd.isna(error) else f" ± {number(error, digits)}")
