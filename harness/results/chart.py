# SPDX-License-Identifier: MIT
"""The picture of a report: ratio to VM beside the paper's, and where the traps went."""

import io

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.bench.application import applications

_CONFIGURATIONS = ("#b04a4a", "#2f6f9f", "#5b9a5b", "#7f6bb0")
_LEVELS = ("#b5b0a5", "#7fa8c4", *_CONFIGURATIONS)
_KINDS = {
    "memory": "#2f6f9f", "memory (reads)": "#7fa8c4", "EL1 register": "#5b9a5b",
    "trap": "#b04a4a", "exit of a guest": "#b5b0a5",
}
_NOTHING = 0.05  # exits per operation below which a bar would not be seen


def figure(table: pd.DataFrame, kinds: pd.DataFrame) -> Figure:
    """Both panels, for `summary` and `by_redirection` of `harness.results.tables`."""
    drawn = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = drawn.subplots(1, 2)
    _ratios(left, table[table["configuration"] != "vm"])
    _traps(right, kinds)
    return drawn


def overheads(table: pd.DataFrame) -> Figure:
    """Bars by application, one per configuration, for `harness.results.overhead.overheads`; on a
    logarithmic scale, as a nested VM on ARMv8.3 may cost a hundred times what NEVE's does."""
    known = table[table["overhead"].notna()]
    names = list(dict.fromkeys(known["benchmark"]))
    configurations = list(dict.fromkeys(known["configuration"]))
    drawn = Figure(figsize=(11, 4.4), layout="constrained")
    axes = drawn.subplots()
    for number, configuration in enumerate(configurations):
        rows = known[known["configuration"] == configuration]
        places, width = _places(names, rows, number, len(configurations))
        bars = axes.bar(
            places, rows["overhead"], width * 0.9, yerr=rows["overhead_error"].fillna(0.0),
            error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "#444444"}, label=configuration,
            color=_LEVELS[number % len(_LEVELS)])
        axes.bar_label(bars, fmt="%.1f", fontsize=7, padding=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}x")
    axes.set_xticks(range(len(names)), [applications()[name].title for name in names], fontsize=9)
    axes.axhline(1, color="#222222", linewidth=0.8)
    axes.set_ylabel("cost, native = 1 (lower is better)")
    axes.set_title("What virtualization costs applications")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return drawn


def _places(
    benchmarks: list[str], rows: pd.DataFrame, number: int, count: int
) -> tuple[list[float], float]:
    """Where the bars of the configuration `number` of `count` stand, a group a benchmark, and how
    wide the place of each is."""
    width = 0.8 / count
    return [benchmarks.index(name) - 0.4 + width * (number + 0.5)
            for name in rows["benchmark"]], width


def svg(drawn: Figure) -> str:
    """The figure as an <svg> element, the same for the same data."""
    sink = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "neve", "svg.fonttype": "none"}):
        drawn.savefig(sink, format="svg", metadata={"Date": None})
    text = sink.getvalue()
    return text[text.index("<svg"):]


def _ratios(axes: Axes, nested: pd.DataFrame) -> None:
    """Bars by benchmark, one per nested configuration; the paper's ratio as a diamond."""
    benchmarks = list(dict.fromkeys(nested["benchmark"]))
    configurations = list(dict.fromkeys(nested["configuration"]))
    papers: list[tuple[float, float]] = []
    for number, name in enumerate(configurations):
        rows = nested[nested["configuration"] == name]
        places, width = _places(benchmarks, rows, number, len(configurations))
        bars = axes.bar(places, rows["ratio"], width * 0.9, label=name,
                        color=_CONFIGURATIONS[number % len(_CONFIGURATIONS)])
        axes.bar_label(bars, fmt="%.0fx", fontsize=8, padding=2)
        papers += [(place + 0.38 * width, ratio) for place, ratio in
                   zip(places, rows["paper_ratio"], strict=True) if pd.notna(ratio)]
    axes.scatter([x for x, _ in papers], [y for _, y in papers], marker="D", s=26, color="white",
                 edgecolors="#222222", zorder=3, label="paper (cycles)")
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
    for kind, color in _KINDS.items():
        if kind in trapping.index:
            values = trapping.T[kind]
            axes.bar(range(len(values)), values, 0.7, bottom=bottom, color=color, label=kind)
            bottom = bottom + values
    labels = [f"{cell[1]}, {cell[2].removeprefix('nested-')}"
              for cell in trapping.columns.to_list()]
    axes.set_xticks(range(len(labels)), labels, fontsize=8, rotation=35, ha="right")
    axes.legend(frameon=False, fontsize=8)
