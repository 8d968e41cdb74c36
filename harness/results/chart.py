# SPDX-License-Identifier: MIT
"""The picture of a report: ratio to VM beside the paper's, and where the traps went."""

import io

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.results import tables

_OURS, _PAPER = "#2f6f9f", "#c9c4b8"
_REASONS = ("#2f6f9f", "#d98032", "#5b9a5b", "#b04a4a", "#7f6bb0", "#8c6d52", "#c98bb4", "#8a8a8a")
_SHOWN = len(_REASONS) - 1


def figure(table: pd.DataFrame, reasons: pd.DataFrame) -> Figure:
    """Both panels for the tables of `harness.results.tables`."""
    drawn = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = drawn.subplots(1, 2)
    _ratios(left, table[table["configuration"] != "vm"])
    _traps(right, reasons)
    return drawn


def svg(drawn: Figure) -> str:
    """The figure as an <svg> element, the same for the same data."""
    sink = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "neve", "svg.fonttype": "none"}):
        drawn.savefig(sink, format="svg", metadata={"Date": None})
    text = sink.getvalue()
    return text[text.index("<svg"):]


def _ratios(axes: Axes, nested: pd.DataFrame) -> None:
    labels = [f"{row['benchmark']}\n{row['configuration']}" for row in tables.records(nested)]
    places = range(len(labels))
    ours = axes.bar([p - 0.2 for p in places], nested["ratio"], 0.4, color=_OURS,
                    label="measured here")
    axes.bar_label(ours, fmt="%.1fx", fontsize=8)
    paper = axes.bar([p + 0.2 for p in places], nested["paper_ratio"].fillna(0), 0.4,
                     color=_PAPER, label="paper (cycles)")
    axes.bar_label(paper, labels=[f"{v:.0f}x" if pd.notna(v) else "" for v in
                                  nested["paper_ratio"]], fontsize=8)
    axes.set_xticks(list(places), labels, fontsize=8)
    axes.set_ylabel("cost, ratio to VM")
    axes.set_title("What nesting costs")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _traps(axes: Axes, reasons: pd.DataFrame) -> None:
    axes.set_title("Where the traps went")
    axes.set_ylabel("exits to L0 per operation")
    axes.spines[["top", "right"]].set_visible(False)
    if reasons.empty:
        return
    shown = reasons.iloc[:_SHOWN]
    rest = reasons.iloc[_SHOWN:]
    if len(rest):
        shown = pd.concat([shown, rest.sum().to_frame("other").T])
    labels = ["\n".join(cell[1:]) for cell in reasons.columns.to_list()]
    bottom = pd.Series(0.0, index=reasons.columns)
    for color, (reason, values) in zip(_REASONS, shown.iterrows(), strict=False):
        axes.bar(range(len(labels)), values, 0.6, bottom=bottom, color=color, label=str(reason))
        bottom = bottom + values
    axes.set_xticks(range(len(labels)), labels, fontsize=7, rotation=45, ha="right")
    axes.legend(frameon=False, fontsize=8)
