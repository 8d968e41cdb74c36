# SPDX-License-Identifier: MIT
"""Writes report.md, report.html and junit.xml from a run folder."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harness.cache import write_atomically
from harness.model.metadata import Metadata
from harness.results import appendix, applications, junit, operations, payload
from harness.results.content import Content
from harness.results.junit import change_in_words
from harness.results.measured import Measured
from harness.results.rendering import html_table, rendered
from harness.results.store import RunFolder


def write(folder: RunFolder) -> pd.DataFrame:
    """Write every derived file of the run, and return its summary.

    Raises GuestError if no cell finished, UserError if the run is damaged.
    """
    from harness.results import drawing  # matplotlib: half a second that only this needs

    measured = Measured.of(folder)
    folder.results.write(measured.records)
    junit.write(measured)
    content = content_of(measured)
    panels = content.panels
    if panels:
        drawn = drawing.figure(panels, drawing.FILE)
        write_atomically(folder.path / "report.svg", drawing.svg(drawn, drawing.described(panels)))
    values = {**content.values, **standing_of(measured)}
    write_pages(
        folder.path,
        content.template,
        values,
        content.table,
        content.reasons,
        drawing.pictures(panels),
    )
    return measured.summary


def told(folder: Path) -> str:
    """report.md in `folder` as a terminal shows it: without the command lines, which are long."""
    text = (folder / "report.md").read_text(encoding="utf-8")
    lines = re.sub(r"^### Command lines\n.*?(?=^##? |\Z)", "", text, flags=re.M | re.S)
    return lines.rstrip("\n")


def content_of(measured: Measured) -> Content:
    """What the report of its kind of run has of its own. Raises GuestError if no cell finished."""
    table = measured.summary
    if measured.payload:
        return payload.content(measured, table)
    if measured.of_applications:
        return applications.content(measured, table)
    return operations.content(measured, table)


def standing_of(measured: Measured) -> dict[str, Any]:
    """What every report says of its run, whatever that measured."""
    metadata, standing = measured.metadata, measured.standing
    return {
        "standing": "" if standing.whole else f"This run is not whole. It is {standing}.",
        "missing": standing.missing,
        "accounting": _accounting(metadata),
        "environment": appendix.environment(measured),
        "commands": appendix.commands(metadata),
        "skipped": metadata.skipped,
        "changes": [change_in_words(change) for change in metadata.changes or ()],
        "failures": measured.failures,
    }


def write_pages(
    folder: Path,
    template: str,
    values: dict[str, Any],
    table: pd.DataFrame,
    reasons: Mapping[str, pd.DataFrame],
    pictures: Sequence[dict[str, str]],
) -> None:
    """report.md and report.html into `folder`, of a `template` and what that is filled with."""
    text = rendered(
        f"{template}.md.j2",
        **values,
        table=table.to_markdown(index=False, disable_numparse=True),
        reasons={name: part.to_markdown(disable_numparse=True) for name, part in reasons.items()},
    )
    write_atomically(folder / "report.md", text)
    page = rendered(
        f"{template}.html.j2",
        **values,
        pictures=pictures,
        table=html_table(table, 2 + ("host" in table)),
        reasons={name: html_table(part.reset_index(), 1) for name, part in reasons.items()},
    )
    write_atomically(folder / "report.html", page)


def _accounting(metadata: Metadata) -> str:
    if all(host.all_exits for host in metadata.accounting.values()):
        return "Every exit is counted, including those that KVM handles inside its world switch."
    return (
        "The tracepoint of this kernel does not see exits that L0's KVM handles inside its world "
        "switch."
    )
