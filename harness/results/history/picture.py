# SPDX-License-Identifier: MIT
"""A chart of the history: nights as points that say their values and lead to their runs."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle, pairwise

import matplotlib.dates as mdates
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.model.application import applications
from harness.model.measurement import Metric
from harness.results import drawing
from harness.results.history.changes import Change, Key, Series
from harness.results.history.exact import Difference, Exact
from harness.results.history.key import KEY
from harness.results.history.nights import Entry, Night, worse
from harness.results.palette import INK, SERIES, Look

SIGMAS = 2  # of the band
_BAND = 0.13  # of ink
_WORSE, _BETTER = "#c0504d", "#4a9a5a"
_HEIGHT = 2.3  # inches
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
_POINT = re.compile(r'<a xlink:href="point:(\d+)"[^>]*>(.*?)</a>', re.S)


@dataclass(frozen=True)
class Panel:
    """One metric of a cell: a series, or one for each subject if its figures are exact. `key` is
    the first one's."""

    key: Key
    entries: list[Entry]

    def looks(self) -> Iterator[tuple[Entry, Look]]:
        """Each with the look of its points."""
        return zip(self.entries, cycle(SERIES), strict=False)

    @property
    def label(self) -> str:
        """What is drawn, and its unit; nothing that is not known here."""
        named = dict(zip(KEY, self.key, strict=True))
        metric, whose, unit = (
            named[name] if named[name] in _KNOWN else "" for name in ("metric", "level", "unit")
        )
        what = f"{metric} of {whose}" if whose else metric
        return f"{what} ({unit})" if metric and unit else ""

    def described(self, nights: Sequence[Night]) -> str:
        """In words, for those who do not see it."""
        values = [value for entry in self.entries for value in entry.series.values]
        seen = sorted({night for entry in self.entries for night in entry.series.nights})
        changes = sum(len(entry.changes) for entry in self.entries)
        return (
            f"Points over time: {self.label}, {len(seen)} runs from "
            f"{nights[seen[0]].started:%Y-%m-%d} to {nights[seen[-1]].started:%Y-%m-%d}, values "
            f"from {min(values):,.6g} to {max(values):,.6g}; changes: {changes}."
        )


def picture(nights: Sequence[Night], panel: Panel, link: Callable[[str], str]) -> str:
    """The chart as an <svg> element for a page, where `link` says where the report of a run is, or
    nothing. Its names of runs are escaped."""
    points: list[tuple[str, str]] = []
    with drawing.styled():
        drawn = Figure(figsize=(drawing.PAGE, _HEIGHT), layout="constrained")
        drawn.patch.set_alpha(0)
        axes = drawn.subplots()
        axes.patch.set_alpha(0)
        _draw(axes, nights, panel, points, link)
    text = drawing.for_page(drawing.svg(drawn, panel.described(nights), role="group"))

    def point(found: re.Match[str]) -> str:
        title, target = points[int(found[1])]
        inside = f"<title>{escape(title)}</title>{found[2]}"
        return f'<a xlink:href="{escape(target)}">{inside}</a>' if target else f"<g>{inside}</g>"

    return _POINT.sub(point, text)


def _draw(
    axes: Axes,
    nights: Sequence[Night],
    panel: Panel,
    points: list[tuple[str, str]],
    link: Callable[[str], str],
) -> None:
    """Nights as points, what joins them, and changes; `points` get what each says and its link."""
    days = [
        float(mdates.date2num(night.started))  # type: ignore[no-untyped-call]
        for night in nights
    ]
    for entry, look in panel.looks():
        series = entry.series
        dates = [days[number] for number in series.nights]
        if isinstance(series, Exact):
            axes.plot(dates, series.values, color=look.color, linewidth=0.8)
        else:
            _draw_regimes(axes, dates, series, entry.noise)
        drawn = axes.scatter(
            dates,
            series.values,
            s=14,
            marker=look.marker,
            facecolors=look.color,
            edgecolors=INK,
            linewidths=0.4,
            zorder=3,
        )
        first = len(points)
        for number, value in zip(series.nights, series.values, strict=True):
            night = nights[number]
            said = f"{night.started:%Y-%m-%d} {night.run_id}: {value:,.6g} {series.unit}"
            points.append((said, link(night.run_id)))
        drawn.set_urls([f"point:{number}" for number in range(first, len(points))])
        for change in entry.changes:
            _mark(axes, days[change.start], change)
    axes.set_ylabel(panel.label)
    axes.ticklabel_format(axis="y", useOffset=False)
    locator = mdates.AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _draw_regimes(axes: Axes, dates: Sequence[float], series: Series, sigma: float) -> None:
    """Regimes as lines in their noise."""
    for start, end in pairwise([*series.starts, len(series.values)]):
        level = float(pd.Series(series.values[start:end]).median())
        reach = SIGMAS * sigma * max(abs(level), 1.0)
        span = [dates[start], dates[end - 1]]
        axes.fill_between(span, level - reach, level + reach, color=INK, alpha=_BAND, linewidth=0)
        axes.plot(span, [level, level], color=INK, linewidth=0.8)


def _mark(axes: Axes, day: float, change: Change) -> None:
    """A line where a change began: whole if it is for the worse, else dashed."""
    if isinstance(change, Difference):
        text = f"{change.after - change.before:+,.6g}" if change.after != change.before else ""
    else:
        text = f"{change.effect:+.1%}" if math.isfinite(change.effect) else ""
    color, style = (_WORSE, "-") if worse(change) else (_BETTER, "--")
    axes.axvline(day, color=color, linestyle=style, linewidth=1.2)
    axes.annotate(
        text,
        (day, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(3, 2),
        textcoords="offset points",
        color=color,
        fontsize=8,
    )
