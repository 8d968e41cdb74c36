# SPDX-License-Identifier: MIT
"""`neve history`, and what `neve run` asks of it."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from harness.cache import write_atomically
from harness.errors import UserError
from harness.model.metadata import Change
from harness.model.playbook import Benchmark, Cell, Configuration, Playbook, selection
from harness.results.content import figure
from harness.results.history import verdicts
from harness.results.history.archive import Archive, Outcome
from harness.results.history.database import Database, locate
from harness.results.history.intake import find
from harness.results.history.key import KEY
from harness.results.history.nights import History
from harness.results.history.verdicts import in_words
from harness.results.store import RunFolder
from harness.results.tables import records

_ROW = ["host", "configuration", "benchmark", "metric"]
_LINES = 3  # of a difference that the table tells


@contextmanager
def _archive(database: str | None, runs: Path, *, writable: bool) -> Iterator[Archive]:
    with Database.open(locate(database, runs), writable=writable) as opened:
        yield Archive(opened)


def import_runs(
    database: str | None, runs: Path, paths: Sequence[Path]
) -> Iterator[tuple[Path, Outcome | UserError]]:
    """Import every run folder at or in `paths`: what became of each. One that is none, or is
    damaged, keeps no other from being imported."""
    with _archive(database, runs, writable=True) as archive:
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
    """`verdicts.table` of what `only` selects. Raises UserError if that is nothing."""
    with _archive(database, runs, writable=False) as archive:
        return _selected(verdicts.table(_history(archive)), only)


def measured(database: str | None, runs: Path) -> pd.DataFrame:
    """All totals that the history has, as `harness.results.load` gives them."""
    with _archive(database, runs, writable=True) as archive:
        return archive.load(reasons=False)


def _history(archive: Archive, measured: pd.DataFrame | None = None) -> History:
    """All that the archive knows, or what was `measured` of it."""
    if measured is None:
        measured = archive.load(reasons=False)
    history = History.of(measured, archive.acknowledged())
    history.sequences = archive.sequences(history.wanted)
    return history


def _selected(judged: pd.DataFrame, only: str | None) -> pd.DataFrame:
    """The rows of `judged` that `only` selects, by any column of a series' name."""
    for name, values in selection(only, KEY).items() if only else ():
        there = judged[name].unique().tolist()
        unknown = [value for value in values if value not in there]
        if unknown:
            raise UserError(
                f"--only {name}={unknown[0]}: the history has "
                f"{', '.join(sorted(there)) or 'nothing yet'}"
            )
    chosen = judged
    for name, values in selection(only, KEY).items() if only else ():
        chosen = chosen[chosen[name].isin(values)]
    if only and chosen.empty:
        raise UserError(f"--only {only}: the history has each of these, but no series with all")
    return chosen


def acknowledge(
    database: str | None, runs: Path, only: str | None, by: str, why: str
) -> list[dict[str, Any]]:
    """Make the levels of what has regressed, and `only` selects, their new normal, as `by` says,
    and `why`: the rows of `verdicts.table` that this is about. Raises UserError if there are none.
    """
    with _archive(database, runs, writable=True) as archive:
        history = _history(archive)
        judged = _selected(verdicts.table(history), only)
        chosen = records(judged[judged["verdict"] == verdicts.Verdict.REGRESSED])
        if not chosen:
            raise UserError(
                f"nothing to acknowledge: no series{f' of {only}' if only else ''} has regressed"
            )
        archive.acknowledge(
            [{name: row[name] for name in KEY} for row in chosen],
            history.nights[-1].started.to_pydatetime(),
            by,
            why,
        )
    return chosen


def readable(judged: pd.DataFrame) -> str:
    """The table as text; of what was measured of several kernels, that of the newest."""
    if judged.empty:
        return "the history has no runs yet: neve history import RUNS"
    left_out = len(judged) - int(judged["current"].sum())
    judged = judged[judged["current"]].sort_values(_ROW, kind="stable")
    apart = verdicts.distinguished(judged)
    rows = records(judged)
    text = pd.DataFrame(
        {
            **{name: judged[name] for name in _ROW},
            **({"of": apart} if any(apart) else {}),
            "runs": judged["runs"],
            "last": judged["last"].map("{:,.6g}".format),
            "unit": judged["unit"],
            "change": [_percent(row["change"]) if _noisy(row) else "" for row in rows],
            "noise": [f"{row['noise']:.3%}" if _noisy(row) else "exact" for row in rows],
            "verdict": judged["verdict"],
            "newest change": [_newest_change(row) for row in rows],
        }
    ).to_markdown(index=False, disable_numparse=True)
    if left_out:
        text += f"\n({left_out} series of former kernels and benchmark guests: --json has them)"
    return text


def _noisy(row: Mapping[str, Any]) -> bool:
    return bool(pd.notna(row["noise"]))


def _newest_change(row: Mapping[str, Any]) -> str:
    if pd.isna(row["before"]):
        return ""
    if not _noisy(row):
        told = ", ".join(row["difference"][:_LINES])
        return (
            f"{figure(row['before'])} → {figure(row['median'])} since {row['since']}"
            f"{': ' if told else ''}{told}"
        )
    effect = in_words(row["effect"], row["before"], row["median"])
    return f"{effect} since {row['since']} ({_certainty(row['confidence'])})"


def write_page(database: str | None, runs: Path, file: Path) -> Path:
    """Write the history page to `file`."""
    from harness.results.history import page  # matplotlib: half a second that only this needs

    with _archive(database, runs, writable=False) as archive:
        measured = archive.load(reasons=False)
        history = _history(archive, measured)
        acknowledged = archive.acknowledged()
    folders = measured.drop_duplicates("run_id").set_index("run_id")["folder"].to_dict()
    links = {str(run): str(path) for run, path in folders.items()}
    page.write(history, links, acknowledged, file)
    return file


def export(
    database: str | None,
    runs: Path,
    kind: str,
    only: str | None,
    origin: str,
    output: Path | None,
) -> Path:
    """Write what `only` selects for another system, of which `kind` says which: a folder for
    "otava", a file for "kcidb". Raises UserError if nothing is selected."""
    from harness.results.history import export as exports

    with _archive(database, runs, writable=False) as archive:
        measured = _selected(archive.load(reasons=False).astype({"gic": str}), only)
    if kind == "kcidb":
        file = output or runs / "kcidb.json"
        write_atomically(file, json.dumps(exports.kcidb(measured, origin), indent=1) + "\n")
        return file
    folder = output or runs / "otava"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in exports.otava(History.of(measured)).items():
        write_atomically(folder / name, text)
    return folder


def probe(database: str | None, runs: Path) -> None:
    """Raise now what would be wrong with the database after the run."""
    with _archive(database, runs, writable=True):
        pass


@dataclass
class Check:
    """A run that goes into the history and, if it is `judged`, is judged by it. The history is
    read and replayed once, up to what the run measured first."""

    database: str | None
    runs: Path
    folder: RunFolder
    judged: bool
    history: History = field(default_factory=History)

    def suspicious(self, playbook: Playbook) -> list[Cell]:
        """The cells of the run that look changed against their hosts' history, each as further
        repetitions: what is to be measured again before a change is called."""
        if not self.judged:
            return []
        with _archive(self.database, self.runs, writable=True) as archive:
            archive.take(self.folder.path)
            measured = archive.load(reasons=False)
            mine = measured["run_id"] == self.folder.id
            self.history = History.of(measured[~mine], archive.acknowledged())
        self.history.look(measured[mine])
        again = range(playbook.rounds + 1, 2 * playbook.rounds + 1)
        cells = [
            Cell(host, Configuration(configuration), repetition, Benchmark(benchmark))
            for host, configuration, benchmark in verdicts.suspicious(self.history)
            for repetition in again
        ]
        measured_cells = {record.id for record in self.folder.records()}
        return [cell for cell in cells if cell.id not in measured_cells]

    def conclude(self) -> None:
        """Import the run, and write into its metadata what has changed."""
        with _archive(self.database, self.runs, writable=True) as archive:
            archive.take(self.folder.path)
            if not self.judged:
                return
            self.history.decide(archive.load(reasons=False, run_id=self.folder.id))
            self.history.sequences = archive.sequences(self.history.wanted)
        self.folder.update(
            changes=[
                {name: _finite(row[name]) for name in Change.model_fields}
                for row in verdicts.judge(self.history, self.folder.id)
            ]
        )


def regressions(folder: RunFolder) -> list[str]:
    """What changed for the worse in a run that was checked, in words."""
    from harness.results.junit import change_in_words

    return [
        change_in_words(change)
        for change in folder.metadata.changes or ()
        if change.verdict == "regressed"
    ]


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _percent(value: float) -> str:
    return f"{value:+.2%}" if math.isfinite(value) else ""


def _certainty(confidence: float) -> str:
    return f"confidence {min(confidence, 0.999999):.4%}"
