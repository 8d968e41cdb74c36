# SPDX-License-Identifier: MIT
"""Draws panels: for a page, as a separate file, or for a column of a paper."""

import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure

from harness.results.palette import INK

PAGE = 4.2  # inches: what a phone still shows legibly, and two of them fill a page
WIDE = 6.0  # inches from which on panels are side by side
FILE = 10.0  # inches
_BAR, _AROUND = 0.17, 1.05  # inches: a bar, and what is above and below all bars
_LETTER = 0.066  # inches
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that all pictures have it
    "font.size": 8,
    "text.parse_math": False,  # a name with two dollar signs is no formula
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK
    ),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "svg.hashsalt": "neve",  # the same names for the same data
    "pdf.fonttype": 42,  # the font itself, as publishers want it
}
_RESOLUTION = 300  # dots per inch


def styled(fonts: str = "none") -> AbstractContextManager[None]:
    """What is drawn or saved within has our style; `fonts` says how SVG has text: "none" as text,
    "path" as outlines, which need no font."""
    style: Any = {**_STYLE, "svg.fonttype": fonts}
    return mpl.rc_context(style)


@dataclass(frozen=True)
class Panel:
    """A picture of one host. `name` says what it shows: `cost` or `traps`; `alt` says it in words,
    for those who do not see it. `draw` draws it into axes; `rows` is how many bars, and gaps as
    wide, are on top of each other."""

    name: str
    host: str
    title: str
    alt: str
    rows: int
    draw: Callable[[Axes], None]

    @property
    def height(self) -> float:
        """In inches."""
        return _BAR * self.rows + _AROUND


def figure(panels: Sequence[Panel], width: float) -> Figure:
    """`panels` in so many inches: a row for each host or, if they are few inches, for each panel.
    Each has a title, unless there is but one."""
    names = list(dict.fromkeys(panel.name for panel in panels))
    columns = len(names) if width >= WIDE else 1
    rows: dict[tuple[str, ...], dict[int, Panel]] = {}
    for panel in panels:
        key = (panel.host,) if columns > 1 else (panel.host, panel.name)
        place = names.index(panel.name) if columns > 1 else 0
        rows.setdefault(key, {})[place] = panel
    heights = [max(panel.height for panel in row.values()) for row in rows.values()]
    with styled():
        drawn = Figure(figsize=(width, sum(heights)), layout="constrained")
        parts = drawn.subfigures(
            len(heights), columns, squeeze=False, height_ratios=heights, wspace=0.03
        )
        for row, places in zip(rows.values(), parts, strict=True):
            for place, panel in row.items():
                axes = places[place].subplots()
                panel.draw(axes)
                axes.set_ylim(panel.rows - 0.4, -0.6)
                if len(panels) > 1:
                    _title(places[place], _caption(panel, panels))
                _legend(places[place], axes)
    return drawn


def _caption(panel: Panel, panels: Sequence[Panel]) -> str:
    several = len({each.host for each in panels}) > 1
    return f"{panel.host}: {panel.title}" if several else panel.title


def _inches(place: Any) -> float:
    return float(place.bbox.width / place.figure.get_dpi())


def _title(place: Any, text: str) -> None:
    lines = textwrap.wrap(text, math.floor(_inches(place) / _LETTER))
    place.suptitle("\n".join(lines), fontsize=9)


def _legend(place: Any, axes: Axes) -> None:
    """Below the axes, in as many columns as there is space for."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    # Bars in their order, and then what is drawn over them.
    order = sorted(range(len(labels)), key=lambda place: not isinstance(handles[place], Container))
    handles, labels = [handles[at] for at in order], [labels[at] for at in order]
    letters = max(len(label) for label in labels) + 6
    columns = max(1, min(len(labels), math.floor(_inches(place) / (letters * _LETTER))))
    place.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize=7, handlelength=1.6
    )


def described(panels: Sequence[Panel]) -> str:
    """All `panels` in words."""
    return " ".join(panel.alt for panel in panels)


def svg(drawn: Figure, alt: str, *, role: str = "img") -> str:
    """The figure as an <svg> element, the same for the same data, with `alt` for those who do not
    see it. Its `role` is "group" if its points are links."""
    sink = io.StringIO()
    with styled():
        drawn.savefig(sink, format="svg", metadata={"Date": None})
    text = sink.getvalue()
    said = f'<svg role="{role}" aria-label="{escape(alt)}" '
    return text[text.index("<svg") :].replace("<svg ", said, 1)


def for_page(element: str) -> str:
    """An <svg> element in the colours of the page that it is in: ink is as its text."""
    return element.replace(INK, "currentColor")


def pictures(panels: Sequence[Panel]) -> list[dict[str, str]]:
    """For a page: `caption` and `svg` of each panel."""
    found = []
    for panel in panels:
        drawn = figure([panel], PAGE)
        drawn.patch.set_alpha(0)
        for axes in drawn.axes:
            axes.patch.set_alpha(0)
        found.append({"caption": _caption(panel, panels), "svg": for_page(svg(drawn, panel.alt))})
    return found


def picture(panels: Sequence[Panel], kind: str, width: float, title: str) -> bytes:
    """`panels` as a file of `kind`, svg, pdf or png, so many inches wide; its fonts are in it. The
    same panels give the same file."""
    said = {"Title": title, **_about(kind, described(panels))}
    drawn = figure(panels, width)
    sink = io.BytesIO()
    with styled(fonts="path"):
        drawn.savefig(sink, format=kind, metadata=said, dpi=_RESOLUTION)
    return sink.getvalue()


def _about(kind: str, alt: str) -> Mapping[str, Any]:
    """What each kind of file can say of its content; never the hour."""
    if kind == "pdf":
        return {"Subject": alt, "CreationDate": None}
    return {"Description": alt, **({"Date": None} if kind == "svg" else {})}
