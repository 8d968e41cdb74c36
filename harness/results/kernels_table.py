# SPDX-License-Identifier: MIT
"""Traps and costs over kernels, as a table and a chart."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import jinja2
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from harness.cache import write_atomically
from harness.results.chart import svg
from harness.results.content import figure, number

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
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#777777")
_METRICS = ("traps", "cost")


def wide(rows: pd.DataFrame, kernels: Sequence[str]) -> pd.DataFrame:
    """A row per cell and metric, a column per kernel, of `rows` in COLUMNS: figures as text, what
    is not known empty. What comes from the history has a star."""
    keys = [name for name in CELL if name != "host" or rows["host"].nunique() > 1]
    keys += ["metric", "unit"]
    told = rows.assign(
        text=[
            (figure(value) if exact else number(value, 2)) + ("*" if source == "history" else "")
            for value, exact, source in zip(
                rows["value"], rows["exact"], rows["source"], strict=True
            )
        ]
    )
    table = told.groupby([*keys, "kernel"], sort=False)["text"].first().unstack("kernel")
    return table.reindex(columns=list(kernels)).astype(object).fillna("").reset_index()


def chart(rows: pd.DataFrame, kernels: Sequence[str]) -> Figure:
    """A panel for traps and one for costs: bars by cell, one per kernel."""
    drawn = Figure(figsize=(11, 4.4), layout="constrained")
    for axes, metric in zip(drawn.subplots(1, 2), _METRICS, strict=True):
        _bars(axes, rows[rows["metric"] == metric], kernels)
        axes.set_title("exits to L0 per operation" if metric == "traps" else "cost per operation")
    return drawn


def _bars(axes: Axes, rows: pd.DataFrame, kernels: Sequence[str]) -> None:
    several = rows["host"].nunique() > 1
    cells = list(dict.fromkeys(zip(*(rows[name] for name in CELL), strict=True)))
    width = 0.8 / max(1, len(kernels))
    for place, (kernel, colour) in enumerate(zip(kernels, cycle(_COLOURS), strict=False)):
        mine = rows[rows["kernel"] == kernel].set_index(CELL)["value"]
        known = [(spot, mine[cell]) for spot, cell in enumerate(cells) if cell in mine.index]
        axes.bar(
            [spot + place * width for spot, _ in known],
            [value for _, value in known],
            width,
            color=colour,
            label=kernel,
        )
    names = ["\n".join(cell if several else cell[1:]) for cell in cells]
    middle = (len(kernels) - 1) * width / 2
    axes.set_xticks([spot + middle for spot in range(len(cells))], names, fontsize=7)
    if (rows["value"] > 0).any():
        axes.set_yscale("log")
        # Plain numbers: powers of ten would be set in fonts that not all have.
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if cells:
        axes.legend(fontsize=8)


def write(folder: Path, rows: pd.DataFrame, kernels: Sequence[str], notes: Sequence[str]) -> None:
    """report.md, report.html, report.svg and results.csv into `folder`."""
    table = wide(rows, kernels)
    drawn = svg(chart(rows, kernels))
    rows.to_csv(folder / "results.csv", index=False)
    write_atomically(folder / "report.svg", drawn)
    write_atomically(folder / "report.md", text(rows, kernels, notes) + "\n")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.results"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
    )
    page = environment.get_template("kernels.html.j2").render(
        table=table.to_html(index=False, border=0), chart=drawn, notes=notes
    )
    write_atomically(folder / "report.html", page)


def text(rows: pd.DataFrame, kernels: Sequence[str], notes: Sequence[str]) -> str:
    """For people, as markdown."""
    parts = [wide(rows, kernels).to_markdown(index=False, disable_numparse=True)]
    if (rows["source"] == "history").any():
        parts.append("\\* measured before, by the history")
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])
