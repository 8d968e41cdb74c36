# SPDX-License-Identifier: MIT
"""The charts of a report: what nesting costs, beside the paper's figures, and what traps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from harness.model.legend import ApplicationLegend
from harness.results.drawing import Panel
from harness.results.palette import CONFIGURATIONS, INK, KINDS, PAPER, SHADE, Look, looks
from harness.results.tables import records

PANELS = ("cost", "traps")
_NOTHING = 0.05  # exits per operation below which a bar would not be seen
_WIDTH = 0.86  # of a bar, of the place that it has


@dataclass(frozen=True)
class _Costs:
    """What a panel of costs compares: columns group, configuration, value, low, high and paper, and
    in words what 1 is."""

    rows: pd.DataFrame
    base: str


def operations(table: pd.DataFrame, kinds: pd.DataFrame) -> list[Panel]:
    """Two panels for each host, for `summary` and `by_redirection` of `harness.results.tables`."""
    nested = table[(table["configuration"] != "vm") & table["ratio"].notna()]
    rows = nested[["host", "configuration"]].assign(
        group=nested["benchmark"],
        value=nested["ratio"],
        low=nested["ratio_low"],
        high=nested["ratio_high"],
        paper=nested["paper_ratio"],
    )
    panels = []
    for host in table["host"].unique():
        panels.append(_costs(str(host), _Costs(rows[rows["host"] == host], "VM")))
        panels.append(
            _traps(str(host), kinds[[cell for cell in kinds.columns.to_list() if cell[0] == host]])
        )
    return panels


def applications(table: pd.DataFrame, known: Mapping[str, ApplicationLegend]) -> list[Panel]:
    """A panel for each host, for `harness.results.overhead.overheads`."""
    measured = table[table["overhead"].notna() & (table["configuration"] != "native")]
    rows = measured[["host", "configuration"]].assign(
        group=[known[name].title for name in measured["benchmark"]],
        value=measured["overhead"],
        low=measured["overhead_low"],
        high=measured["overhead_high"],
        paper=float("nan"),
    )
    return [
        _costs(str(host), _Costs(rows[rows["host"] == host], "native"))
        for host in table["host"].unique()
    ]


def _costs(host: str, costs: _Costs) -> Panel:
    """Bars by group, one per configuration; on a logarithmic scale, as one may cost a hundred times
    what another does."""
    rows = costs.rows
    groups, configurations = (list(dict.fromkeys(rows[key])) for key in ("group", "configuration"))
    said = [
        f"{group}: "
        + ", ".join(
            f"{row['configuration']} {_times(row['value'])}{_beside(row)}"
            for row in records(rows[rows["group"] == group])
        )
        for group in groups
    ]
    what = f"Bars: cost, that of {costs.base} being 1, on {host}."
    return Panel(
        "cost",
        host,
        f"what it costs, {costs.base} = 1",
        f"{what} {'; '.join(said) or 'Nothing was measured'}.",
        max(3, len(groups) * (len(configurations) + 1) - 1),
        partial(_draw_costs, costs=costs, groups=groups, configurations=configurations),
    )


def _times(value: float) -> str:
    return f"{value:.0f}x" if value >= 100 else f"{value:.1f}x"


def _beside(row: Mapping[str, Any]) -> str:
    """The interval and the paper's figure, in words."""
    parts = []
    if pd.notna(row["low"]):
        parts.append(f"from {_times(row['low'])} to {_times(row['high'])}")
    if pd.notna(row["paper"]):
        parts.append(f"{row['paper']:.0f}x in the paper")
    return f" ({', '.join(parts)})" if parts else ""


def _draw_costs(
    axes: Axes, *, costs: _Costs, groups: Sequence[str], configurations: Sequence[str]
) -> None:
    places = _places(groups, configurations)
    for name in configurations:
        rows = costs.rows[costs.rows["configuration"] == name]
        at = [places[group, name] for group in rows["group"]]
        look = CONFIGURATIONS.get(name) or Look("#888888", "xx")
        axes.barh(at, rows["value"] - 1, _WIDTH, left=1, label=name, **look.bar)
        known = rows[rows["low"].notna()].assign(at=pd.Series(at, index=rows.index))
        axes.errorbar(
            known["value"],
            known["at"],
            xerr=[known["value"] - known["low"], known["high"] - known["value"]],
            fmt="none",
            ecolor=INK,
            elinewidth=1,
            capsize=2,
        )
        for place, row in zip(at, records(rows), strict=True):
            beyond = pd.Series([row[key] for key in ("value", "high", "paper")] + [1.0]).max()
            axes.annotate(
                _times(row["value"]),
                (beyond, place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
            )
    _paper(axes, costs.rows, places)
    axes.set_xscale("log")
    axes.margins(x=0.13)
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.xaxis.set_major_formatter("{x:g}x")
    axes.set_xlabel(f"cost, {costs.base} = 1 (log scale; lower is better)")
    middle = (len(configurations) - 1) / 2
    axes.set_yticks([places[group, configurations[0]] + middle for group in groups], groups)
    axes.tick_params(axis="y", length=0)


def _places(groups: Sequence[str], names: Sequence[str]) -> dict[tuple[str, str], float]:
    """Where the bars are, from the top: a group below the other, a gap between."""
    return {
        (group, name): float(number * (len(names) + 1) + place)
        for number, group in enumerate(groups)
        for place, name in enumerate(names)
    }


def _paper(axes: Axes, rows: pd.DataFrame, places: Mapping[tuple[str, str], float]) -> None:
    known = records(rows[rows["paper"].notna()])
    if known:
        axes.scatter(
            [row["paper"] for row in known],
            [places[row["group"], row["configuration"]] for row in known],
            marker="D",
            s=22,
            color=PAPER,
            edgecolors=SHADE,
            zorder=3,
            label="paper (cycles)",
        )


def _traps(host: str, kinds: pd.DataFrame) -> Panel:
    """Stacked bars, one per cell that traps at all: what NEVE redirects, and what is left."""
    cells: list[Any] = [cell for cell in kinds.columns.to_list() if kinds[cell].sum() > _NOTHING]
    benchmarks = list(dict.fromkeys(cell[1] for cell in cells))
    cells = [cell for name in benchmarks for cell in cells if cell[1] == name]
    said = [
        f"{_cell(cell)} {_exits(kinds[cell].sum())} ("
        + ", ".join(
            f"{kind} {_exits(value)}" for kind, value in kinds[cell].items() if value > _NOTHING
        )
        + ")"
        for cell in cells
    ]
    what = f"Stacked bars: exits to L0 per operation, by what NEVE makes of them, on {host}."
    return Panel(
        "traps",
        host,
        "what traps, by what NEVE makes of it",
        f"{what} {'; '.join(said) or 'None were counted'}.",
        max(3, len(cells) + len(benchmarks) - 1),
        partial(_draw_traps, kinds=kinds, cells=cells),
    )


def _cell(cell: tuple[str, ...]) -> str:
    return f"{cell[1]}, {cell[2].removeprefix('nested-')}"


def _exits(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def _draw_traps(axes: Axes, *, kinds: pd.DataFrame, cells: Sequence[tuple[str, ...]]) -> None:
    axes.set_xlabel("exits to L0 per operation")
    axes.set_yticks([])
    if not cells:
        return
    benchmarks = [cell[1] for cell in cells]
    gaps = [len(set(benchmarks[: number + 1])) - 1 for number in range(len(cells))]
    at = [float(number + gap) for number, gap in enumerate(gaps)]
    left = [0.0] * len(cells)
    known = {kind: look for kind, look in KINDS.items() if kind in kinds.index}
    others = looks(str(kind) for kind in kinds.index if kind not in KINDS)
    for kind, look in {**known, **others}.items():
        values = [float(kinds[cell][kind]) for cell in cells]
        axes.barh(at, values, _WIDTH, left=left, label=kind, **look.bar)
        left = [start + value for start, value in zip(left, values, strict=True)]
    for place, total in zip(at, left, strict=True):
        axes.annotate(
            _exits(total),
            (total, place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
    axes.set_yticks(at, [_cell(cell) for cell in cells])
    axes.tick_params(axis="y", length=0)
