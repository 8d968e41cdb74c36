# SPDX-License-Identifier: MIT
"""history.html: a chart per host, benchmark and configuration, every night linked to its run."""

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
from harness.results.chart import svg
from harness.results.history import verdicts
from harness.results.history.changes import LEARNING, Change, Key, Series
from harness.results.history.verdicts import KEY, History, Night
from harness.results.tables import records

_POINT, _LEVEL, _BAND = "#2f6f9f", "#222222", "#e6e2d8"
_WORSE, _BETTER = "#b04a4a", "#5b9a5b"
_SIGMAS = 2  # of the band
_UNITS = {"instructions", "cycles", "ticks", "exits"}  # only what is known goes into a chart


@dataclass(frozen=True)
class _Panel:
    """One metric of a cell."""

    key: Key
    series: Series
    sigma: float
    changes: list[Change]


def write(history: History, folders: dict[str, str], file: Path) -> None:
    """Write the page; `folders` are the run folders by run, of which those that are there are
    linked. All names come from run folders, maybe others': they only go through the template,
    which escapes them, never into a chart."""
    links = {run_id: _link(Path(folder), file) for run_id, folder in folders.items()}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.results"), undefined=jinja2.StrictUndefined,
        autoescape=True, trim_blocks=True, keep_trailing_newline=True,
    )
    text = environment.get_template("history.html.j2").render(
        nights=history.nights, learning=LEARNING, sigmas=_SIGMAS,
        changes=[_described(history, change, links) for change in history.changes()],
        floors=records(verdicts.noise_floors(history)),
        cells=_cells(history, links),
    )
    write_atomically(file, text)


def _link(folder: Path, file: Path) -> str:
    """Where the report of a run lies as seen from the page; empty if it does not."""
    if not (folder / "report.html").is_file():
        return ""
    way = os.path.relpath(folder.resolve(), file.resolve().parent)
    # "./" keeps a name like "javascript:…" from being taken for a scheme.
    return "./" + "/".join(quote(part, safe="") for part in Path(way).parts) + "/report.html"


def _described(history: History, change: Change, links: dict[str, str]) -> dict[str, Any]:
    start, called = history.nights[change.start], history.nights[change.called]
    return {
        **dict(zip(KEY, change.key, strict=True)),
        "since": start.run_id, "date": f"{start.started:%Y-%m-%d}",
        "link": links.get(start.run_id, ""),
        "called": called.run_id, "nights": change.called - change.start + 1,
        "before": change.before, "after": change.after, "effect": change.effect,
        "confidence": change.confidence, "worse": verdicts.worse(change),
        "differences": history.differences(change),
    }


def _cells(history: History, links: dict[str, str]) -> list[dict[str, Any]]:
    """Per host, benchmark and configuration: a heading and the chart of its metrics."""
    panels: dict[tuple[str, str, str], list[_Panel]] = {}
    for key, series, monitor in history.series():
        named = dict(zip(KEY, key, strict=True))
        cell = (named["host"], named["benchmark"], named["configuration"])
        panels.setdefault(cell, []).append(_Panel(
            key, series, series.noise(monitor.prior).sigma,
            [change for change in monitor.changes if change.key == key],
        ))
    return [
        {"host": host, "benchmark": benchmark, "configuration": configuration,
         "rows": [_row(panel) for panel in mine],
         "chart": svg(_figure(history.nights, mine, links))}
        for (host, benchmark, configuration), mine in sorted(panels.items())
    ]


def _row(panel: _Panel) -> dict[str, Any]:
    named = dict(zip(KEY, panel.key, strict=True))
    return {**named, "level": panel.series.level, "noise": panel.sigma,
            "runs": len(set(panel.series.nights))}


def _figure(nights: Sequence[Night], panels: Sequence[_Panel], links: dict[str, str]) -> Figure:
    drawn = Figure(figsize=(5.5 * max(2, len(panels)), 2.6), layout="constrained")
    for axes, panel in zip(drawn.subplots(1, max(2, len(panels)), squeeze=False)[0], panels,
                           strict=False):
        _draw(axes, nights, panel, links)
    for axes in drawn.axes[len(panels):]:
        axes.set_visible(False)
    return drawn


def _draw(
    axes: Axes, nights: Sequence[Night], panel: _Panel, links: dict[str, str]
) -> None:
    """Nights as points that lead to their runs, regimes as lines in their noise, changes."""
    series = panel.series
    days = [float(mdates.date2num(night.started))  # type: ignore[no-untyped-call]
            for night in nights]
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
            f"{change.effect:+.1%}", (days[change.start], 1.0),
            xycoords=("data", "axes fraction"), xytext=(3, -9), textcoords="offset points",
            color=color, fontsize=8,
        )
    named = dict(zip(KEY, panel.key, strict=True))
    unit = named["unit"] if named["unit"] in _UNITS else ""
    axes.set_ylabel(unit, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.ticklabel_format(axis="y", useOffset=False)
    locator = mdates.AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.spines[["top", "right"]].set_visible(False)
