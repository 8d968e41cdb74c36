# SPDX-License-Identifier: MIT
"""`neve runs` and `neve compare`: what lies in the folder of runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import UserError
from harness.model.measurement import CELL
from harness.results import tables
from harness.results.content import number
from harness.results.measured import Measured
from harness.results.store import RunFolder, run_folders


def listed(runs: Path) -> list[dict[str, Any]]:
    """An entry per run, oldest first: run, state, track, and the counts of cells passed, failed
    and missing; of one that can't be read only its state "damaged" and the error."""
    return [_entry(runs, folder.name) for folder in run_folders(runs)]


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


@dataclass(frozen=True)
class Comparison:
    """`table` is `tables.comparison` of the cells that both runs have; `only` names those of one
    run, by run."""

    table: pd.DataFrame
    only: dict[str, list[str]]

    def readable(self) -> str:
        """A table whose columns tell the rows apart, and a line for each run's own cells."""
        table = self.table
        where = [
            name
            for name in CELL
            if name in ("configuration", "benchmark") or table[name].nunique() > 1
        ]
        statistics = table.groupby("metric")["statistic"].nunique()
        told = {"level": table["level"].any(), "statistic": statistics.max() > 1}
        what = ["metric", *(name for name, needed in told.items() if needed), "unit"]
        shown = table[[*where, *what]].assign(
            before=[number(value, 2) for value in table["before"]],
            after=[number(value, 2) for value in table["after"]],
            change=[
                "from 0" if pd.isna(change) else f"{change:+.2%}" for change in table["change"]
            ],
        )
        return "\n".join(
            [
                shown.to_markdown(index=False, disable_numparse=True),
                *(
                    f"only in {run}: {', '.join(cells)}"
                    for run, cells in self.only.items()
                    if cells
                ),
            ]
        )


def compared(runs: Path, before: str, after: str) -> Comparison:
    """The medians of two runs side by side. Raises UserError if they have no cell in common."""
    folders = [RunFolder.open(runs, name) for name in (before, after)]
    frames = [Measured.of(folder).rows for folder in folders]
    for folder, frame in zip(folders, frames, strict=True):
        if frame.empty:
            raise UserError(f"run {folder.id} has no finished cell")
    table = tables.comparison(*frames)
    common = table["before"].notna() & table["after"].notna()
    if not common.any():
        raise UserError(
            f"the runs have nothing in common that could be compared: {_differences(*frames)}"
        )
    missing = {
        folder.id: table[column].isna()
        for folder, column in zip(folders, ("after", "before"), strict=True)
    }
    return Comparison(
        table[common],
        {
            run: [
                f"{row['host']}/{row['configuration']}/{row['benchmark']} {row['metric']}"
                f"{' of ' + row['level'] if row['level'] else ''} "
                f"({row['statistic']}, {row['unit']})"
                for row in tables.records(table[absent])
            ]
            for run, absent in missing.items()
        },
    )


def _differences(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """The columns of a cell that share no value, with both runs' values."""
    parts = []
    for name in [*CELL, "unit", "statistic"]:
        one, other = (list(map(str, frame[name].unique())) for frame in (before, after))
        if not set(one) & set(other):
            parts.append(f"{name} {', '.join(one)} against {', '.join(other)}")
    return "; ".join(parts) or "other benchmarks in the same configurations"
