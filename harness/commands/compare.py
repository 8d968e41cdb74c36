# SPDX-License-Identifier: MIT
"""`neve compare`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import UserError
from harness.model.measurement import CELL, USUAL, Metric
from harness.model.sequence import difference
from harness.results import tables
from harness.results.content import figure, number, signed
from harness.results.fidelity import Fidelity
from harness.results.history.subject import differences as subjects_differ
from harness.results.history.subject import subject, written
from harness.results.measured import Measured
from harness.results.store import RunFolder

_UNUSUAL = f"? less than {USUAL:.0%} of the operations, or not all repetitions, have this value"


@dataclass(frozen=True)
class Comparison:
    """`table` is `tables.comparison` of the cells that both runs have; its column `sequence` has
    the lines of a diff of both trap sequences. `only` names those of one run, by run; `causes`
    what else differs where exact figures do."""

    table: pd.DataFrame
    only: dict[str, list[str]]
    causes: list[str]

    def readable(self) -> str:
        """A table whose columns tell the rows apart, differences of trap sequences, and a line for
        each run's own cells."""
        table = self.table
        where = [
            name
            for name in CELL
            if name in ("configuration", "benchmark") or table[name].nunique() > 1
        ]
        statistics = table.groupby("metric")["statistic"].nunique()
        told = {"level": table["level"].any(), "statistic": statistics.max() > 1}
        what = ["metric", *(name for name, needed in told.items() if needed), "unit"]
        rows = tables.records(table)
        shown = table[[*where, *what]].assign(
            before=[_shown(row, row["before"]) for row in rows],
            after=[_shown(row, row["after"]) for row in rows],
            change=[_change(row) for row in rows],
        )
        return "\n".join(
            [
                shown.to_markdown(index=False, disable_numparse=True),
                *(
                    f"{row['host']}/{row['configuration']}/{row['benchmark']}: {line}"
                    for row in rows
                    for line in row["sequence"]
                ),
                *([_UNUSUAL] if table["unusual"].any() else []),
                *self.causes,
                *(
                    f"only in {run}: {', '.join(cells)}"
                    for run, cells in self.only.items()
                    if cells
                ),
            ]
        )


def _shown(row: Mapping[str, Any], value: float) -> str:
    """An exact figure as it is; marked where it should be exact and is not."""
    if row["exact"]:
        return figure(value)
    return f"{figure(value)} ?" if row["unusual"] else number(value, 2)


def _change(row: Mapping[str, Any]) -> str:
    """Exact figures are equal or not; others differ by so much."""
    if row["exact"]:
        return signed(row["difference"]) or ("other traps" if row["sequence"] else "equal")
    return "from 0" if pd.isna(row["change"]) else f"{row['change']:+.2%}"


def _sequences(table: pd.DataFrame, before: Measured, after: Measured) -> list[list[str]]:
    """For each row the difference of the trap sequences, if it has an exact number of traps."""
    found = []
    for row in tables.records(table):
        cell = (row["host"], row["configuration"], row["benchmark"])
        old, new = (measured.sequences.get(cell) for measured in (before, after))
        known = row["exact"] and row["metric"] == Metric.TRAPS
        found.append(difference(old, new) if known and old is not None and new is not None else [])
    return found


def _causes(table: pd.DataFrame, before: Measured, after: Measured) -> list[str]:
    """What differs in what was measured, where exact figures do."""
    found: dict[str, None] = {}
    for row in tables.records(table[table["exact"]]):
        if row["difference"] or row["sequence"]:
            cell = (row["host"], row["track"], row["configuration"])
            subjects = [
                subject(
                    written(each.metadata.kernels),
                    each.metadata.microbench.sha256 if each.metadata.microbench else "",
                    *cell,
                )
                for each in (before, after)
            ]
            found.update(dict.fromkeys(subjects_differ(*subjects)))
    return list(found)


def compared(runs: Path, before: str, after: str) -> Comparison:
    """The figures of two runs side by side: medians of what has noise, and exact ones. Raises
    UserError if they have no cell in common."""
    folders = [RunFolder.open(runs, name) for name in (before, after)]
    measured = [Measured.of(folder) for folder in folders]
    frames = [each.rows for each in measured]
    for folder, frame in zip(folders, frames, strict=True):
        if frame.empty:
            raise UserError(f"run {folder.id} has no finished cell")
    table = tables.comparison(*frames)
    table["sequence"] = _sequences(table, *measured)
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
        _causes(table[common], *measured),
    )


def side_by_side(runs: Path, name: str) -> Fidelity:
    """The trap sequences of the CPU's own virtual EL2 in a run beside those of its emulation.
    Raises UserError if the run has not both."""
    measured = Measured.of(RunFolder.open(runs, name))
    found = Fidelity.of(measured.sequences, measured.legend.emulated_by)
    if found is None:
        raise UserError(
            f"run {measured.folder.id} has no configuration and its emulation (see the playbook "
            "fidelity): name two runs"
        )
    return found


def _differences(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """The columns of a cell that share no value, with both runs' values."""
    parts = []
    for name in [*CELL, "unit", "statistic"]:
        one, other = (list(map(str, frame[name].unique())) for frame in (before, after))
        if not set(one) & set(other):
            parts.append(f"{name} {', '.join(one)} against {', '.join(other)}")
    return "; ".join(parts) or "other benchmarks in the same configurations"
