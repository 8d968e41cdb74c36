# SPDX-License-Identifier: MIT
"""history.html: a chart per host, benchmark and configuration, every night linked to its run."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import matplotlib.dates as mdates
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.cache import write_atomically
from harness.model.application import applications
from harness.model.measurement import Metric
from harness.results.chart import svg
from harness.results.history import verdicts
from harness.results.history.changes import LEARNING, Change, Key, Series
from harness.results.history.verdicts import KEY, History, Night, in_words
from harness.results.tables import records

_POINT, _LEVEL, _BAND = "#2f6f9f", "#222222", "#e6e2d8"
_WORSE, _BETTER = "#b04a4a", "#5b9a5b"
_SIGMAS = 2  # of the band
_OF_A_PANEL = ("metric", "level", "unit", "statistic")  # the rest names the chart
# Only what is known goes into a chart.
_KNOWN = {
    *Metric,
    "instructions",
    "cycles",
    "ticks",
    "exits",
    "exits per second",
    "CPUs",
    "L0",
    "L1",
    "L2",
    *(each.unit for each in applications().values()),
}


@dataclass(frozen=True)
class _Panel:
    """One metric of a cell."""

    key: Key
    of: str
    series: Series
    sigma: float
    changes: list[Change]


def write(history: History, folders: dict[str, str], file: Path) -> None:
    """Write the page; `folders` are the run folders by run, of which those that are there are
    linked. All names come from run folders, maybe others': they only go through the template,
    which escapes them, never into a chart."""
    links = {run_id: _link(Path(folder), file) for run_id, folder in folders.items()}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.results"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    judged = verdicts.table(history)
    keys = [key for key, _, _ in history.series()]
    apart = dict(zip(keys, verdicts.distinguished(judged), strict=True))
    text = environment.get_template("history.html.j2").render(
        nights=history.nights,
        learning=LEARNING,
        sigmas=_SIGMAS,
        alarms=records(judged[judged["verdict"] == verdicts.Verdict.REGRESSED]),
        changes=[_described(history, change, links, apart) for change in history.changes()],
        floors=records(verdicts.noise_floors(judged)),
        cells=_cells(history, links, apart),
    )
    write_atomically(file, text)


def _link(folder: Path, file: Path) -> str:
    """Where the report of a run lies as seen from the page; empty if it does not."""
    if not (folder / "report.html").is_file():
        return ""
    way = os.path.relpath(folder.resolve(), file.resolve().parent)
    # "./" keeps a name like "javascript:…" from being taken for a scheme.
    return "./" + "/".join(quote(part, safe="") for part in Path(way).parts) + "/report.html"


def _described(
    history: History, change: Change, links: dict[str, str], apart: dict[Key, str]
) -> dict[str, Any]:
    start, called = history.nights[change.start], history.nights[change.called]
    series = history.of_change(change)
    seen = [night for night in series.nights if change.start <= night <= change.called]
    return {
        **dict(zip(KEY, change.key, strict=True)),
        "of": apart[change.key],
        "since": start.run_id,
        "date": f"{start.started:%Y-%m-%d}",
        "link": links.get(start.run_id, ""),
        "called": called.run_id,
        "measurements": len(seen),
        "runs": len(set(seen)),
        "before": change.before,
        "after": change.after,
        "confidence": change.confidence,
        "effect": in_words(change.effect, change.before, change.after),
        "worse": verdicts.worse(change),
        "differences": history.differences(change),
    }


def _cells(history: History, links: dict[str, str], apart: dict[Key, str]) -> list[dict[str, Any]]:
    """Per host, benchmark, configuration and settings: a heading and the chart of its metrics."""
    panels: dict[tuple[str, ...], list[_Panel]] = {}
    changes: dict[Key, list[Change]] = {}
    for change in history.changes():
        changes.setdefault(change.key, []).append(change)
    for key, series, monitor in history.series():
        named = dict(zip(KEY, key, strict=True))
        cell = (
            named["host"],
            named["benchmark"],
            named["configuration"],
            *(value for name, value in named.items() if name not in _OF_A_PANEL),
        )
        panels.setdefault(cell, []).append(
            _Panel(key, apart[key], series, series.noise(monitor.prior).sigma, changes.get(key, []))
        )
    return [
        {
            "host": cell[0],
            "benchmark": cell[1],
            "configuration": cell[2],
            "of": " ".join(
                mark for mark in mine[0].of.split() if mark.partition("=")[0] not in _OF_A_PANEL
            ),
            "rows": [_row(panel) for panel in mine],
            "anchor": f"series-{number}",
            "chart": svg(_figure(history.nights, mine, links)),
        }
        for number, (cell, mine) in enumerate(sorted(panels.items()), 1)
    ]


def _row(panel: _Panel) -> dict[str, Any]:
    named = dict(zip(KEY, panel.key, strict=True))
    return {
        **named,
        "median": panel.series.level,
        "noise": panel.sigma,
        "runs": len(set(panel.series.nights)),
    }


def _figure(nights: Sequence[Night], panels: Sequence[_Panel], links: dict[str, str]) -> Figure:
    drawn = Figure(figsize=(5.5 * max(2, len(panels)), 2.6), layout="constrained")
    for axes, panel in zip(
        drawn.subplots(1, max(2, len(panels)), squeeze=False)[0], panels, strict=False
    ):
        _draw(axes, nights, panel, links)
    for axes in drawn.axes[len(panels) :]:
        axes.set_visible(False)
    return drawn


def _draw(axes: Axes, nights: Sequence[Night], panel: _Panel, links: dict[str, str]) -> None:
    """Nights as points that lead to their runs, regimes as lines in their noise, changes."""
    series = panel.series
    days = [
        float(mdates.date2num(night.started))  # type: ignore[no-untyped-call]
        for night in nights
    ]
    dates = [days[number] for number in series.nights]
    bounds = [*series.starts, len(series.values)]
    for start, end in pairwise(bounds):
        level = float(pd.Series(series.values[start:end]).median())
        reach = _SIGMAS * panel.sigma * max(abs(level), 1.0)
        span = [dates[start], dates[end - 1]]
        axes.fill_between(span, level - reach, level + reach, color=_BAND, linewidth=0)
        axes.plot(span, [level, level], color=_LEVEL, linewidth=0.8)
    points = axes.scatter(dates, series.values, s=12, color=_POINT, zorder=3)
    points.set_urls([links.get(nights[number].run_id) or None for number in series.nights])
    for change in panel.changes:
        color = _WORSE if verdicts.worse(change) else _BETTER
        axes.axvline(days[change.start], color=color, linewidth=1.2)
        axes.annotate(
            f"{change.effect:+.1%}" if math.isfinite(change.effect) else "",
            (days[change.start], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -9),
            textcoords="offset points",
            color=color,
            fontsize=8,
        )
    named = dict(zip(KEY, panel.key, strict=True))
    metric, whose, unit = (
        named[name] if named[name] in _KNOWN else "" for name in ("metric", "level", "unit")
    )
    what = f"{metric} of {whose}" if whose else metric
    axes.set_ylabel(f"{what} ({unit})" if metric and unit else "", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.ticklabel_format(axis="y", useOffset=False)
    locator = mdates.AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.spines[["top", "right"]].set_visible(False)
