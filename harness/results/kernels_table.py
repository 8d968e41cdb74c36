# SPDX-License-Identifier: MIT
"""Traps and costs over kernels, as a table and a chart."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from harness.cache import write_atomically
from harness.results.content import figure
from harness.results.drawing import FILE, Panel, described, pictures, svg
from harness.results.drawing import figure as figure_of
from harness.results.palette import Look, looks
from harness.results.rendering import html_table, rendered

COLUMNS = [
    "kernel",
    "version",
    "host",
    "configuration",
    "benchmark",
    "metric",
    "unit",
    "value",
    "exact",
    "run_id",
    "source",  # "measured", or "history"
]
CELL = ["host", "configuration", "benchmark"]
_METRICS = ("traps", "cost")


def wide(rows: pd.DataFrame, kernels: Sequence[str]) -> pd.DataFrame:
    """A row per cell and metric, a column per kernel, of `rows` in COLUMNS: figures as text, what
    is not known empty. What comes from the history has a star."""
    keys = [name for name in CELL if name != "host" or rows["host"].nunique() > 1]
    keys += ["metric", "unit"]
    told = rows.assign(
        text=[
            figure(value) + ("*" if source == "history" else "")
            for value, source in zip(rows["value"], rows["source"], strict=True)
        ]
    )
    table = told.groupby([*keys, "kernel"], sort=False)["text"].first().unstack("kernel")
    return table.reindex(columns=list(kernels)).astype(object).fillna("").reset_index()


def chart(rows: pd.DataFrame, kernels: Sequence[str]) -> list[Panel]:
    """A panel for traps and one for costs: bars by cell, one per kernel."""
    colours, panels = looks(kernels), []
    for metric in _METRICS:
        mine = rows[rows["metric"] == metric]
        cells = list(dict.fromkeys(zip(*(mine[name] for name in CELL), strict=True)))
        what = "exits to L0 per operation" if metric == "traps" else "cost per operation"
        panels.append(
            Panel(
                metric,
                "",
                what,
                f"Bars: {what}, over kernels {', '.join(kernels)}; the table has the figures.",
                max(3, len(cells) * (len(kernels) + 1) - 1),
                partial(_bars, rows=mine, cells=cells, colours=colours),
            )
        )
    return panels


def _bars(
    axes: Axes, *, rows: pd.DataFrame, cells: Sequence[tuple[str, ...]], colours: dict[str, Look]
) -> None:
    several = rows["host"].nunique() > 1
    step = len(colours) + 1
    for place, (kernel, look) in enumerate(colours.items()):
        mine = rows[rows["kernel"] == kernel].set_index(CELL)["value"]
        known = [(spot, mine[cell]) for spot, cell in enumerate(cells) if cell in mine.index]
        axes.barh(
            [spot * step + place for spot, _ in known],
            [value for _, value in known],
            0.86,
            label=kernel,
            **look.bar,
        )
    names = [", ".join(cell if several else cell[1:]) for cell in cells]
    middle = (len(colours) - 1) / 2
    axes.set_yticks([spot * step + middle for spot in range(len(cells))], names)
    if (rows["value"] > 0).any():
        axes.set_xscale("log")
        # Plain numbers: powers of ten would need fonts that not everybody has.
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())


def write(folder: Path, rows: pd.DataFrame, kernels: Sequence[str], notes: Sequence[str]) -> None:
    """report.md, report.html, report.svg and results.csv into `folder`."""
    table = wide(rows, kernels)
    panels = chart(rows, kernels)
    drawn = svg(figure_of(panels, FILE), described(panels))
    rows.to_csv(folder / "results.csv", index=False)
    write_atomically(folder / "report.svg", drawn)
    write_atomically(folder / "report.md", text(rows, kernels, notes) + "\n")
    page = rendered(
        "kernels.html.j2",
        table=html_table(table, len(table.columns) - len(kernels)),
        pictures=pictures(panels),
        notes=notes,
    )
    write_atomically(folder / "report.html", page)


def text(rows: pd.DataFrame, kernels: Sequence[str], notes: Sequence[str]) -> str:
    """For people, as markdown."""
    parts = [wide(rows, kernels).to_markdown(index=False, disable_numparse=True)]
    if (rows["source"] == "history").any():
        parts.append("\\* measured before, by the history")
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])
