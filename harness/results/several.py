# SPDX-License-Identifier: MIT
"""One report of several runs: their hosts are side by side, and each run has an appendix."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from harness.cache import write_atomically
from harness.errors import UserError
from harness.results import report
from harness.results.content import Content
from harness.results.measured import Measured

_UNSAID = {"comparability": "", "outliers": ""}  # by reports of applications


def contents(runs: Mapping[str, Measured]) -> dict[str, Content]:
    """What each run's report has, by its label; its hosts have names that tell them from others'.
    Raises UserError if the runs did not measure the same kind of thing."""
    kinds = {(run.payload != "", run.of_applications) for run in runs.values()}
    if len(kinds) > 1 or (True, False) in kinds:
        raise UserError(
            "a report can't combine runs of micro-benchmarks with runs of applications: "
            f"{', '.join(run.folder.id for run in runs.values())}"
        )
    return {label: _labelled(report.content_of(run), label) for label, run in runs.items()}


def _labelled(content: Content, label: str) -> Content:
    hosts = list(dict.fromkeys(panel.host for panel in content.panels))
    names = {host: label if len(hosts) == 1 else f"{label}: {host}" for host in hosts}
    table = content.table
    if "host" in table:
        table = table.assign(host=table["host"].map(names))
    else:
        table = table.copy()
        table.insert(0, "host", label)
    panels = [
        replace(
            panel,
            host=names[panel.host],
            alt=panel.alt.replace(f" on {panel.host}.", f" on {names[panel.host]}.", 1),
        )
        for panel in content.panels
    ]
    return replace(content, table=table.rename(columns={"host": "run"}), panels=panels)


def together(found: Mapping[str, Content]) -> pd.DataFrame:
    """The readable table of all."""
    tables = [content.table for content in found.values()]
    return pd.concat(tables, ignore_index=True).fillna("")


def write(runs: Mapping[str, Measured], folder: Path) -> pd.DataFrame:
    """report.md, report.html and report.svg of all `runs`, by label, into `folder`, and the table
    of all. Raises UserError as `contents` does, GuestError if a run has no finished cell."""
    from harness.results import drawing

    found = contents(runs)
    panels = [panel for content in found.values() for panel in content.panels]
    sections: dict[str, dict[str, Any]] = {
        label: {
            **_UNSAID,
            **found[label].values,
            **report.standing_of(run),
            "id": run.folder.id,
        }
        for label, run in runs.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    table = together(found)
    drawn = drawing.figure(panels, drawing.FILE)
    write_atomically(folder / "report.svg", drawing.svg(drawn, drawing.described(panels)))
    report.write_pages(
        folder,
        "several",
        {"title": " and ".join(runs), "sections": sections},
        table,
        {},
        drawing.pictures(panels),
    )
    return table
