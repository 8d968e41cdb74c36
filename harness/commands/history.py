# SPDX-License-Identifier: MIT
"""`neve history`, and what `neve run` asks of it."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import UserError
from harness.playbook import Benchmark, Cell, Configuration, Playbook, selection
from harness.results.history import verdicts
from harness.results.history.archive import Archive, Outcome, find
from harness.results.history.database import Database, locate
from harness.results.history.verdicts import History
from harness.results.store import RunFolder
from harness.results.tables import records

_SELECTABLE = ("host", "configuration", "benchmark", "metric", "track")
_KEPT = ("host", "configuration", "benchmark", "metric", "unit", "last", "level", "noise",
         "verdict", "effect", "confidence")


@contextmanager
def _archive(database: str | None, runs: Path, *, create: bool) -> Iterator[Archive]:
    with Database.open(locate(database, runs), create=create) as opened:
        yield Archive(opened)


def import_runs(
    database: str | None, runs: Path, paths: Sequence[Path]
) -> Iterator[tuple[Path, Outcome | UserError]]:
    """Import every run folder at or in `paths`: what became of each. One that is none, or is
    damaged, keeps no other from being imported."""
    with _archive(database, runs, create=True) as archive:
        for path in paths:
            try:
                folders = find(path)
            except UserError as error:
                yield path, error
                continue
            for folder in folders:
                try:
                    yield folder, archive.take(folder)
                except UserError as error:
                    yield folder, error


def table(database: str | None, runs: Path, only: str | None) -> pd.DataFrame:
    """`verdicts.table` of what `only` selects."""
    with _archive(database, runs, create=False) as archive:
        judged = verdicts.table(History.of(archive.load(reasons=False)))
    for name, values in selection(only, _SELECTABLE).items() if only else ():
        judged = judged[judged[name].isin(values)]
    return judged


def readable(judged: pd.DataFrame) -> pd.DataFrame:
    """The table as text."""
    return pd.DataFrame({
        **{name: judged[name] for name in ("host", "configuration", "benchmark", "metric")},
        "runs": judged["runs"],
        "last": judged["last"].map("{:,.6g}".format),
        "unit": judged["unit"],
        "change": judged["change"].map(_percent),
        "noise": judged["noise"].map("{:.3%}".format),
        "verdict": judged["verdict"],
        "newest change": [
            f"{_percent(row['effect'])} since {row['since']} ({_certainty(row['confidence'])})"
            if pd.notna(row["confidence"]) else "" for row in records(judged)
        ],
    })


def write_page(database: str | None, runs: Path, file: Path) -> Path:
    """Write the history page to `file`."""
    from harness.results.history import page  # matplotlib: half a second that only this needs

    with _archive(database, runs, create=False) as archive:
        measured = archive.load(reasons=False)
    folders = measured.drop_duplicates("run_id").set_index("run_id")["folder"].to_dict()
    page.write(History.of(measured), {str(run): str(path) for run, path in folders.items()}, file)
    return file


def probe(database: str | None, runs: Path) -> None:
    """Raise now what would be wrong with the database after the run."""
    with _archive(database, runs, create=True):
        pass


def suspicious(
    database: str | None, runs: Path, folder: RunFolder, playbook: Playbook
) -> list[Cell]:
    """The cells of the run that look changed against their hosts' history, each as further
    repetitions: what is to be measured again before a change is called."""
    with _archive(database, runs, create=True) as archive:
        archive.take(folder.path)
        history = History.of(archive.load(reasons=False))
    again = range(playbook.repetitions + 1, 2 * playbook.repetitions + 1)
    cells = [Cell(host, Configuration(configuration), repetition, Benchmark(benchmark))
             for host, configuration, benchmark in verdicts.suspicious(history, folder.id)
             for repetition in again]
    measured = {record.id for record in folder.records()}
    return [cell for cell in cells if cell.id not in measured]


def conclude(database: str | None, runs: Path, folder: RunFolder, *, check: bool) -> None:
    """Import the run, and with `check` write into its metadata what has changed."""
    with _archive(database, runs, create=True) as archive:
        archive.take(folder.path)
        if check:
            history = History.of(archive.load(reasons=False))
            folder.update(changes=[
                {name: _finite(row[name]) for name in _KEPT}
                for row in verdicts.judge(history, folder.id)
            ])


def regressions(folder: RunFolder) -> list[str]:
    """What changed for the worse in a run that was checked, in words."""
    from harness.results.report import change_in_words

    return [change_in_words(change) for change in folder.metadata.get("changes", [])
            if change["verdict"] == verdicts.Verdict.REGRESSED]


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _percent(value: float) -> str:
    return f"{value:+.2%}" if math.isfinite(value) else ""


def _certainty(confidence: float) -> str:
    return f"confidence {min(confidence, 0.999999):.4%}"
