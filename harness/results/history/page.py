# SPDX-License-Identifier: MIT
"""history.html: a chart per host, benchmark and configuration, every night linked to its run."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
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
from harness.results.history.exact import Difference, Exact
from harness.results.history.key import KEY, lineage, may_be_exact
from harness.results.history.nights import Entry, History, Night, worse
from harness.results.history.verdicts import change_in_words
from harness.results.tables import records

_LEVEL, _BAND = "#222222", "#e6e2d8"
_WORSE, _BETTER = "#b04a4a", "#5b9a5b"
_SIGMAS = 2  # of the band
_POINTS = ("#2f6f9f", "#b07a2a", "#8a5a9a", "#4aa3a3", "#7a7a2a", "#666666")  # of a panel's series
_SHOWN = 12  # series of a panel that the text lists
_OF_A_PANEL = ("metric", "level", "unit", "statistic", "subject")  # the rest names the chart
_OF_A_LINE = (*_OF_A_PANEL, "L0", "L1", "microbench", "kernel")
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
    """One metric of a cell: a series, or one for each subject if its figures are exact. `key` is
    the first one's."""

    key: Key
    entries: list[Entry]

    def colored(self) -> Iterator[tuple[Entry, str]]:
        """Each with the color of its points."""
        return zip(self.entries, cycle(_POINTS), strict=False)


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
    keys = [entry.key for entry in history.entries()]
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
        "exact": isinstance(change, Difference),
        "effect": change_in_words(change),
        "lines": history.lines(change),
        "worse": worse(change),
        "differences": history.differences(change),
    }


def _cells(history: History, links: dict[str, str], apart: dict[Key, str]) -> list[dict[str, Any]]:
    """Per host, benchmark, configuration and settings: a heading and the chart of its metrics.
    Exact series of several subjects are in one chart."""
    panels: dict[tuple[str, ...], dict[tuple[str, ...], _Panel]] = {}
    for entry in history.entries():
        named = dict(zip(KEY, lineage(entry.key), strict=True))
        metric = tuple(named[name] for name in _OF_A_PANEL if name != "subject")
        cell = (
            named["host"],
            named["benchmark"],
            named["configuration"],
            *(value for name, value in named.items() if name not in _OF_A_PANEL),
        )
        mine = panels.setdefault(cell, {}).setdefault(metric, _Panel(entry.key, []))
        mine.entries.append(entry)
    return [
        {
            "host": cell[0],
            "benchmark": cell[1],
            "configuration": cell[2],
            "of": _heading(list(mine.values()), apart),
            "rows": [row for panel in mine.values() for row in _rows(panel, apart)],
            "anchor": f"series-{number}",
            "chart": svg(_figure(history.nights, list(mine.values()), links)),
        }
        for number, (cell, mine) in enumerate(sorted(panels.items()), 1)
    ]


def _heading(panels: Sequence[_Panel], apart: dict[Key, str]) -> str:
    """What tells a chart from others of the same host, benchmark and configuration."""
    several = all(may_be_exact(panel.key) for panel in panels)
    own = _OF_A_LINE if several else _OF_A_PANEL
    marks = apart[panels[0].key].split()
    return " ".join(mark for mark in marks if mark.partition("=")[0] not in own)


def _rows(panel: _Panel, apart: dict[Key, str]) -> list[dict[str, Any]]:
    """A line of text for each series, the newest first."""
    several = len(panel.entries) > 1
    newest = sorted(panel.colored(), key=lambda each: -each[0].series.nights[-1])
    return [
        {
            **dict(zip(KEY, entry.key, strict=True)),
            "color": color if several else "",
            "of": apart[entry.key] if several else "",
            "exact": isinstance(entry.series, Exact),
            "median": entry.series.level,
            "noise": entry.noise,
            "runs": len(set(entry.series.nights)),
        }
        for entry, color in newest[:_SHOWN]
    ]


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
    """Nights as points that lead to their runs, what joins them, and changes."""
    days = [
        float(mdates.date2num(night.started))  # type: ignore[no-untyped-call]
        for night in nights
    ]
    for entry, color in panel.colored():
        series = entry.series
        dates = [days[number] for number in series.nights]
        if isinstance(series, Exact):
            axes.plot(dates, series.values, color=color, linewidth=0.8)
        else:
            _draw_regimes(axes, dates, series, entry.noise)
        points = axes.scatter(dates, series.values, s=12, color=color, zorder=3)
        points.set_urls([links.get(nights[number].run_id) or None for number in series.nights])
        for change in entry.changes:
            _mark(axes, days[change.start], change)
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


def _draw_regimes(axes: Axes, dates: Sequence[float], series: Series, sigma: float) -> None:
    """Regimes as lines in their noise."""
    for start, end in pairwise([*series.starts, len(series.values)]):
        level = float(pd.Series(series.values[start:end]).median())
        reach = _SIGMAS * sigma * max(abs(level), 1.0)
        span = [dates[start], dates[end - 1]]
        axes.fill_between(span, level - reach, level + reach, color=_BAND, linewidth=0)
        axes.plot(span, [level, level], color=_LEVEL, linewidth=0.8)


def _mark(axes: Axes, day: float, change: Change) -> None:
    """A line where a change began."""
    if isinstance(change, Difference):
        text = f"{change.after - change.before:+,.6g}" if change.after != change.before else ""
    else:
        text = f"{change.effect:+.1%}" if math.isfinite(change.effect) else ""
    color = _WORSE if worse(change) else _BETTER
    axes.axvline(day, color=color, linewidth=1.2)
    axes.annotate(
        text,
        (day, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(3, 2),
        textcoords="offset points",
        color=color,
        fontsize=8,
    )
