# SPDX-License-Identifier: MIT
"""`neve runs`: what lies in the folder of runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import Busy, UserError
from harness.holding import remove
from harness.results.experiment import Experiment, experiments
from harness.results.store import RunFolder, link_latest, run_folders


def listed(runs: Path) -> list[dict[str, Any]]:
    """An entry per run, oldest first: run, state, track, and the counts of cells passed, failed
    and missing; of one that can't be read only its state "damaged" and the error. Of what `neve
    ab`, `bisect` and `matrix` have left: run, kind, state, and what it has told."""
    entries = [_entry(runs, folder.name) for folder in run_folders(runs)]
    entries += [_of_experiment(runs, folder.name) for folder in experiments(runs)]
    return sorted(entries, key=lambda entry: str(entry["run"]))


def _of_experiment(runs: Path, name: str) -> dict[str, Any]:
    try:
        knows = Experiment.open(runs, name).knows
        kind, state, told = (str(knows[key]) for key in ("kind", "state", "told"))
    except (UserError, KeyError) as error:
        return {"run": name, "state": "damaged", "error": str(error)}
    standing = f"{state}: {told}" if told else state
    return {"run": name, "kind": kind, "state": state, "told": told, "standing": standing}


def _entry(runs: Path, name: str) -> dict[str, Any]:
    try:
        folder = RunFolder.open(runs, name)
        standing = folder.standing()
    except UserError as error:
        return {"run": name, "state": "damaged", "error": str(error)}
    return {
        "run": name,
        "state": standing.state,
        "track": folder.metadata.track,
        "passed": standing.passed,
        "failed": standing.failed,
        "missing": len(standing.missing),
        "standing": str(standing),
    }


def deleted(runs: Path, names: Sequence[str]) -> list[Path]:
    """Remove the folders of `names`, runs or what `neve ab`, `bisect` and `matrix` have left; what
    the history has of them stays.

    Raises UserError, before any is removed, if one of them is no run, and Busy if one is under
    way.
    """
    of_experiments = {folder.name: folder for folder in experiments(runs)}
    found = list(
        dict.fromkeys(
            (of_experiments.get(Path(name).name) or RunFolder.find(runs, name)).resolve()
            for name in names
        )
    )
    for path in found:
        if not remove(path):
            raise Busy(f"{path} is under way: it is removed when it has ended")
        link_latest(runs)
    return found
