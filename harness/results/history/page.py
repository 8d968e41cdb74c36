# SPDX-License-Identifier: MIT
"""history.html: a chart per host, benchmark and configuration, every night linked to its run."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from harness.cache import write_atomically
from harness.results.history import verdicts
from harness.results.history.acknowledgement import Acknowledgement
from harness.results.history.changes import LEARNING, Change, Key
from harness.results.history.exact import Difference, Exact
from harness.results.history.key import KEY, lineage, may_be_exact
from harness.results.history.nights import History, Night, worse
from harness.results.history.picture import SIGMAS, Panel, picture
from harness.results.history.verdicts import change_in_words
from harness.results.rendering import rendered
from harness.results.tables import records

_SHOWN = 12  # series of a panel that the text lists
_OF_A_PANEL = ("metric", "level", "unit", "statistic", "subject")  # the rest names the chart
_OF_A_LINE = (*_OF_A_PANEL, "L0", "L1", "microbench", "kernel")


def write(
    history: History,
    folders: dict[str, str],
    acknowledged: Sequence[Acknowledgement],
    file: Path,
) -> None:
    """Write the page; `folders` are the run folders by run, of which those that are there are
    linked. All names come from run folders, perhaps of other people, so the template escapes them;
    charts use them only in text that is escaped."""
    links = {run_id: _link(Path(folder), file) for run_id, folder in folders.items()}
    kernels = _kernels(history, folders, links, file)
    judged = verdicts.table(history)
    keys = [entry.key for entry in history.entries()]
    apart = dict(zip(keys, verdicts.distinguished(judged), strict=True))
    cells = _cells(history, links, apart)
    text = rendered(
        "history.html.j2",
        nights=history.nights,
        links=links,
        learning=LEARNING,
        sigmas=SIGMAS,
        alarms=records(judged[judged["verdict"] == verdicts.Verdict.REGRESSED]),
        acknowledged=acknowledged,
        changes=[_described(history, change, links, apart) for change in history.changes()],
        floors=records(verdicts.noise_floors(judged)),
        cells=cells,
        choices={
            name: sorted({cell[name] for cell in cells})
            for name in ("host", "benchmark", "configuration")
        },
        kernels=kernels.values(),
        linked=_linker(kernels),
        booted={night.run_id: _booted(night) for night in history.nights},
    )
    write_atomically(file, text)


def _link(folder: Path, file: Path, name: str = "report.html") -> str:
    """Where the file `name` of a run lies as seen from the page; empty if it does not."""
    if not (folder / name).is_file():
        return ""
    way = os.path.relpath(folder.resolve(), file.resolve().parent)
    # "./" keeps a name like "javascript:…" from being taken for a scheme.
    return "./" + "/".join(quote(part, safe="") for part in Path(way).parts) + f"/{name}"


@dataclass
class _Kernel:
    """A kernel that was measured: where the page tells of it, the levels that booted it, and the
    runs that did."""

    anchor: str
    version: str
    key: str
    metadata: str = ""
    levels: dict[str, None] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)


def _kernels(
    history: History, folders: dict[str, str], links: dict[str, str], file: Path
) -> dict[str, _Kernel]:
    """By `version/key`, those first that were measured last."""
    found: dict[str, _Kernel] = {}
    for night in reversed(history.nights):
        for level, name in _booted(night).items():
            version, _, key = name.partition("/")
            kernel = found.setdefault(name, _Kernel(f"kernel-{len(found) + 1}", version, key))
            kernel.levels[level] = None
            if night.run_id not in kernel.runs:
                kernel.runs.append(night.run_id)
            if not kernel.metadata and night.run_id in folders:
                kernel.metadata = _link(Path(folders[night.run_id]), file, "metadata.json")
    return found


def _booted(night: Night) -> dict[str, str]:
    """`version/key` of the kernels of a run, by level."""
    parts = (part.partition(": ") for part in night.facts["kernels"].split("; "))
    return {level: name.replace(" ", "/", 1) for level, _, name in parts if " " in name}


def _linker(kernels: dict[str, _Kernel]) -> Callable[[str], Markup]:
    """Makes of text a piece of the page, in which each kernel leads to what is told of it."""

    def linked(text: str) -> Markup:
        parts = [
            Markup('<a href="#{}">{}</a>').format(kernels[part].anchor, part)
            if part in kernels
            else escape(part)
            for part in re.split(r"([\s=]+)", text)
        ]
        return Markup("").join(parts)

    return linked


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
    """Per host, benchmark, configuration and settings: a heading and a chart for each metric.
    Exact series of several subjects are in one chart."""
    panels: dict[tuple[str, ...], dict[tuple[str, ...], Panel]] = {}
    for entry in history.entries():
        named = dict(zip(KEY, lineage(entry.key), strict=True))
        metric = tuple(named[name] for name in _OF_A_PANEL if name != "subject")
        cell = (
            named["host"],
            named["benchmark"],
            named["configuration"],
            *(value for name, value in named.items() if name not in _OF_A_PANEL),
        )
        mine = panels.setdefault(cell, {}).setdefault(metric, Panel(entry.key, []))
        mine.entries.append(entry)
    return [
        {
            "host": cell[0],
            "benchmark": cell[1],
            "configuration": cell[2],
            "of": _heading(list(mine.values()), apart),
            "rows": [row for panel in mine.values() for row in _rows(panel, apart)],
            "anchor": f"series-{number}",
            "charts": [
                picture(history.nights, panel, lambda run_id: links.get(run_id, ""))
                for panel in mine.values()
            ],
        }
        for number, (cell, mine) in enumerate(sorted(panels.items()), 1)
    ]


def _heading(panels: Sequence[Panel], apart: dict[Key, str]) -> str:
    """What tells a chart from others of the same host, benchmark and configuration."""
    several = all(may_be_exact(panel.key) for panel in panels)
    own = _OF_A_LINE if several else _OF_A_PANEL
    marks = apart[panels[0].key].split()
    return " ".join(mark for mark in marks if mark.partition("=")[0] not in own)


def _rows(panel: Panel, apart: dict[Key, str]) -> list[dict[str, Any]]:
    """A line of text for each series, the newest first."""
    several = len(panel.entries) > 1
    newest = sorted(panel.looks(), key=lambda each: -each[0].series.nights[-1])
    return [
        {
            **dict(zip(KEY, entry.key, strict=True)),
            "color": look.color if several else "",
            "mark": _MARKS[look.marker],
            "of": apart[entry.key] if several else "",
            "exact": isinstance(entry.series, Exact),
            "median": entry.series.level,
            "noise": entry.noise,
            "runs": len(set(entry.series.nights)),
        }
        for entry, look in newest[:_SHOWN]
    ]


_MARKS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖"}
