# SPDX-License-Identifier: MIT
"""The picture of a report: ratio to VM beside the paper's, and where the traps went."""

import io
from collections.abc import Mapping
from itertools import cycle
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.model.legend import ApplicationLegend

_Look = dict[str, Any]

# Of the palette by Okabe and Ito, for all kinds of colour vision; hatches tell what grey merges.
_CONFIGURATIONS: tuple[_Look, ...] = (
    {"color": "#d55e00"},
    {"color": "#56b4e9", "hatch": "//"},
    {"color": "#009e73", "hatch": ".."},
    {"color": "#e69f00", "hatch": "\\\\"},
)
_LEVELS: tuple[_Look, ...] = (
    {"color": "#bbbbbb"},
    {"color": "#f0e442", "hatch": "xx"},
    *_CONFIGURATIONS,
)
_KINDS: dict[str, _Look] = {
    "memory": {"color": "#0072b2"},
    "memory (reads)": {"color": "#56b4e9", "hatch": "//"},
    "EL1 register": {"color": "#009e73", "hatch": ".."},
    "trap": {"color": "#d55e00"},
    "exit of a guest": {"color": "#bbbbbb"},
}
_EDGE: _Look = {"edgecolor": "white", "linewidth": 0.3}  # also the colour of hatches
_NOTHING = 0.05  # exits per operation below which a bar would not be seen


def figure(table: pd.DataFrame, kinds: pd.DataFrame) -> Figure:
    """Both panels for each host, for `summary` and `by_redirection` of `harness.results.tables`.

    What is the same in both has the same colour for all hosts.
    """
    nested = table[(table["configuration"] != "vm") & table["ratio"].notna()]
    colours = dict(zip(nested["configuration"].unique(), cycle(_CONFIGURATIONS), strict=False))
    hosts = list(table["host"].unique())
    drawn, rows = _panels(hosts, 2)
    for host, (left, right) in zip(hosts, rows, strict=True):
        _ratios(left, nested[nested["host"] == host], colours)
        _traps(right, kinds[[cell for cell in kinds.columns if cell[0] == host]])
        if len(hosts) > 1:
            left.set_title(f"{host}: what nesting costs")
            right.set_title(f"{host}: what traps, by what NEVE makes of it")
    return drawn


def _panels(hosts: list[str], columns: int) -> tuple[Figure, Any]:
    """A figure with a row of so many panels for each host."""
    drawn = Figure(figsize=(11, 4.4 * len(hosts)), layout="constrained")
    return drawn, drawn.subplots(len(hosts), columns, squeeze=False)


def overheads(table: pd.DataFrame, applications: Mapping[str, ApplicationLegend]) -> Figure:
    """Bars by application, one per configuration, for `harness.results.overhead.overheads`; on a
    logarithmic scale, as a nested VM on ARMv8.3 may cost a hundred times what NEVE's does."""
    known = table[table["overhead"].notna()]
    colours = dict(zip(known["configuration"].unique(), cycle(_LEVELS), strict=False))
    hosts = list(table["host"].unique())
    drawn, panels = _panels(hosts, 1)
    for host, (axes,) in zip(hosts, panels, strict=True):
        _overheads(axes, known[known["host"] == host], applications, colours)
        axes.set_title(
            "What virtualization costs applications" + (f" on {host}" if len(hosts) > 1 else "")
        )
    return drawn


def _overheads(
    axes: Axes,
    known: pd.DataFrame,
    applications: Mapping[str, ApplicationLegend],
    colours: dict[str, _Look],
) -> None:
    names = list(dict.fromkeys(known["benchmark"]))
    configurations = list(dict.fromkeys(known["configuration"]))
    for number, configuration in enumerate(configurations):
        rows = known[known["configuration"] == configuration]
        places, width = _places(names, rows, number, len(configurations))
        bars = axes.bar(
            places,
            rows["overhead"],
            width * 0.9,
            yerr=[
                (rows["overhead"] - rows["overhead_low"]).fillna(0.0),
                (rows["overhead_high"] - rows["overhead"]).fillna(0.0),
            ],
            error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "#444444"},
            label=configuration,
            **colours[configuration],
            **_EDGE,
        )
        axes.bar_label(bars, fmt="%.1f", fontsize=7, padding=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}x")
    axes.set_xticks(range(len(names)), [applications[name].title for name in names], fontsize=9)
    axes.axhline(1, color="#222222", linewidth=0.8)
    axes.set_ylabel("cost, native = 1 (lower is better)")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _places(
    benchmarks: list[str], rows: pd.DataFrame, number: int, count: int
) -> tuple[list[float], float]:
    """Where the bars of the configuration `number` of `count` stand, a group a benchmark, and how
    wide the place of each is."""
    width = 0.8 / count
    return [
        benchmarks.index(name) - 0.4 + width * (number + 0.5) for name in rows["benchmark"]
    ], width


def svg(drawn: Figure) -> str:
    """The figure as an <svg> element, the same for the same data."""
    sink = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "neve", "svg.fonttype": "none"}):
        drawn.savefig(sink, format="svg", metadata={"Date": None})
    text = sink.getvalue()
    return text[text.index("<svg") :]


def _ratios(axes: Axes, nested: pd.DataFrame, colours: dict[str, _Look]) -> None:
    """Bars by benchmark, one per nested configuration; the paper's ratio as a diamond."""
    benchmarks = list(dict.fromkeys(nested["benchmark"]))
    configurations = list(dict.fromkeys(nested["configuration"]))
    papers: list[tuple[float, float]] = []
    for number, name in enumerate(configurations):
        rows = nested[nested["configuration"] == name]
        places, width = _places(benchmarks, rows, number, len(configurations))
        bars = axes.bar(places, rows["ratio"], width * 0.9, label=name, **colours[name], **_EDGE)
        axes.bar_label(bars, fmt="%.0fx", fontsize=8, padding=2)
        papers += [
            (place + 0.38 * width, ratio)
            for place, ratio in zip(places, rows["paper_ratio"], strict=True)
            if pd.notna(ratio)
        ]
    axes.scatter(
        [x for x, _ in papers],
        [y for _, y in papers],
        marker="D",
        s=26,
        color="white",
        edgecolors="#222222",
        zorder=3,
        label="paper (cycles)",
    )
    axes.set_xticks(range(len(benchmarks)), benchmarks, fontsize=9)
    axes.set_ylabel("cost, ratio to VM")
    axes.set_title("What nesting costs")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _traps(axes: Axes, kinds: pd.DataFrame) -> None:
    """Stacked bars, one per cell that traps at all: what NEVE redirects, and what is left."""
    axes.set_title("What traps, by what NEVE makes of it")
    axes.set_ylabel("exits to L0 per operation")
    axes.spines[["top", "right"]].set_visible(False)
    if kinds.empty:
        return
    cells = [cell for cell in kinds.columns.to_list() if kinds[cell].sum() > _NOTHING]
    benchmarks = list(dict.fromkeys(cell[1] for cell in cells))
    trapping = kinds[[cell for name in benchmarks for cell in cells if cell[1] == name]]
    bottom = pd.Series(0.0, index=trapping.columns)
    for kind, look in _KINDS.items():
        if kind in trapping.index:
            values = trapping.T[kind]
            axes.bar(range(len(values)), values, 0.7, bottom=bottom, label=kind, **look, **_EDGE)
            bottom = bottom + values
    labels = [
        f"{cell[1]}, {cell[2].removeprefix('nested-')}" for cell in trapping.columns.to_list()
    ]
    axes.set_xticks(range(len(labels)), labels, fontsize=8, rotation=35, ha="right")
    axes.legend(frameon=False, fontsize=8)
