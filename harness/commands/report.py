# SPDX-License-Identifier: MIT
"""`neve report`."""

import errno
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.cache import write_bytes
from harness.errors import UserError
from harness.results import report, several
from harness.results.content import Content
from harness.results.latex import latex
from harness.results.measured import Measured
from harness.results.store import RunFolder


@contextmanager
def reported(runs: Path, name: str) -> Iterator[tuple[RunFolder, pd.DataFrame]]:
    """The run `name` with its reports written anew, and its summary: in its folder or, if that can
    only be read, in a copy that is gone afterwards."""
    folder = RunFolder.open(runs, name)
    try:
        table = report.write(folder)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
    else:
        yield folder, table
        return
    with tempfile.TemporaryDirectory(prefix="neve-report-") as scratch:
        shutil.copytree(
            folder.path,
            Path(scratch) / folder.id,
            copy_function=shutil.copyfile,
            ignore=shutil.ignore_patterns("consoles", ".*", "report.*"),
        )
        copy = RunFolder.open(Path(scratch), folder.id)
        copy.path.chmod(0o700)
        yield copy, report.write(copy)


@dataclass(frozen=True)
class Together:
    """A report of several runs: its text, its `page`, and the rows of all of them for programs."""

    text: str
    page: Path
    data: list[dict[str, Any]]


def together(runs: Path, names: Sequence[str], output: Path | None) -> Together:
    """Write one report of the runs `names` into the folder `output`, or runs/report. Raises
    UserError if they did not measure the same kind of thing."""
    measured, folder = _named(runs, names), output or runs / "report"
    several.write(measured, folder)
    rows = [
        {"run": label, **row}
        for label, run in measured.items()
        for row in json.loads(run.summary.to_json(orient="records"))
    ]
    return Together(report.told(folder), folder / "report.html", rows)


def tabulated(runs: Path, names: Sequence[str], kind: str) -> str:
    """The table of the runs `names`: as text that people read in `markdown` and `latex` (with
    booktabs), as numbers in `csv`."""
    measured = _named(runs, names)
    if kind == "csv":
        parts = [run.summary.assign(run=label) for label, run in measured.items()]
        joined = pd.concat(parts, ignore_index=True)
        return str(joined[["run", *joined.columns.drop("run")]].to_csv(index=False)).rstrip("\n")
    table = several.together(_contents(measured))
    if kind == "latex":
        return latex(table)
    return str(table.to_markdown(index=False, disable_numparse=True))


def drawn(
    runs: Path,
    names: Sequence[str],
    kind: str,
    width: float | None,
    panel: str | None,
    output: Path | None,
) -> Path:
    """Draw the runs `names` as a picture of `kind`, so many inches wide, or only one `panel` of
    it: the file. Raises UserError if there is nothing to draw."""
    from harness.results import drawing

    measured = _named(runs, names)
    found = _contents(measured)
    panels = [each for content in found.values() for each in content.panels]
    chosen = [each for each in panels if panel in (None, each.name)]
    if not chosen:
        there = ", ".join(dict.fromkeys(each.name for each in panels)) or "no picture"
        raise UserError(f"there is nothing to draw of {', '.join(measured)}: it has {there}")
    folder = next(iter(measured.values())).folder.path if len(measured) == 1 else runs
    name = f"figure-{panel}" if panel else "figure"
    file = output or folder / f"{name}.{kind}"
    title = " and ".join(dict.fromkeys(str(content.values["title"]) for content in found.values()))
    write_bytes(file, drawing.picture(chosen, kind, width or drawing.FILE, title))
    return file


def _named(runs: Path, names: Sequence[str]) -> dict[str, Measured]:
    """The runs by their labels, `LABEL=RUN`, or else their ids."""
    found: dict[str, Measured] = {}
    for name in names or ["latest"]:
        label, separator, run = name.partition("=")
        if not separator or "/" in label:
            label, run = "", name
        measured = Measured.of(RunFolder.open(runs, run))
        label = label or measured.folder.id
        if label in found:
            raise UserError(f"{label} is listed twice")
        found[label] = measured
    return found


def _contents(measured: dict[str, Measured]) -> dict[str, Content]:
    if len(measured) > 1:
        return several.contents(measured)
    return {label: report.content_of(run) for label, run in measured.items()}
