# SPDX-License-Identifier: MIT
"""`neve matrix`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from harness.build.artifacts import build_all
from harness.build.kernel.applying import DoesNotApplyError
from harness.build.kernel.build import DoesNotBuildError
from harness.build.kernel.config import LostOptionsError
from harness.cache import Cache
from harness.commands import history
from harness.commands.run import facts_of, repeat_command
from harness.commands.run import run as run_setup
from harness.errors import GuestError, UserError
from harness.model.measurement import USUAL, Metric, Statistic
from harness.model.metadata import KernelImage
from harness.model.sequence import Exits, difference
from harness.model.setup import Setup
from harness.progress import Progress
from harness.results import kernels_table, tables
from harness.results.experiment import Experiment
from harness.results.history import settings
from harness.results.history.subject import subject, written
from harness.results.measured import Measured
from harness.results.store import RunFolder

_METRICS = (Metric.TRAPS, Metric.COST)
CellKey = tuple[str, str, str]  # host, configuration, benchmark
Found = dict[CellKey, list[dict[str, Any]]]  # rows


@dataclass(frozen=True)
class Matrix:
    """`rows` in the columns of `kernels_table`, of `kernels` as they were named; `differences` are
    those of trap sequences from one kernel to the next, `notes` say what is missing, and why."""

    folder: Path
    rows: pd.DataFrame
    kernels: Sequence[str]
    differences: Sequence[str]
    notes: Sequence[str]

    def data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "folder": str(self.folder),
            "kernels": list(self.kernels),
            "cells": json.loads(self.rows.to_json(orient="records")),
            "differences": list(self.differences),
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """For people."""
        return kernels_table.text(self.rows, self.kernels, [*self.differences, *self.notes])


def matrix(
    runs: Path, setups: Mapping[str, Setup], database: str | None, *, wait: float = 0
) -> Matrix:
    """Measure the setups, which are named by their kernels. Cells of exact machines that the
    history has for the same kernels and settings are not measured again.

    Raises GuestError if nothing was measured.
    """
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for label, setup in setups.items():
        try:
            rows += _of_kernel(runs, label, setup, database, wait)
        except (GuestError, DoesNotApplyError, DoesNotBuildError, LostOptionsError) as error:
            notes.append(f"{label}: {str(error).partition(chr(10))[0]}")
    if not rows:
        raise GuestError("; ".join(notes))
    table = pd.DataFrame(rows, columns=kernels_table.COLUMNS)
    notes += list(_missing(table, setups))
    name = next(iter(setups.values())).playbook.name
    asked = {"kernels": list(setups), "repeat": repeat_command()}
    experiment = Experiment.create(runs, "matrix", name, asked)
    differences = list(_differences(runs, table, list(setups)))
    kernels_table.write(experiment.path, table, list(setups), [*differences, *notes])
    cells = len(table.drop_duplicates(kernels_table.CELL))
    experiment.update(state="finished", told=f"{cells} cells over {', '.join(setups)}")
    return Matrix(experiment.path, table, list(setups), differences, notes)


def _differences(runs: Path, table: pd.DataFrame, kernels: Sequence[str]) -> Iterator[str]:
    """What tells the trap sequences of a cell apart on kernels that are side by side, as far as
    the folders of their runs are here."""
    traps = table[table["exact"] & (table["metric"] == Metric.TRAPS)]
    known: dict[str, Mapping[CellKey, Exits]] = {}
    for run in traps["run_id"].unique():
        with suppress(UserError):  # a history may be a lab's
            known[run] = Measured.of(RunFolder.open(runs, run)).sequences
    for names, group in traps.groupby(kernels_table.CELL, sort=False):
        host, configuration, benchmark = map(str, names)
        key = (host, configuration, benchmark)
        mine = {
            row["kernel"]: known[row["run_id"]][key]
            for row in tables.records(group)
            if key in known.get(row["run_id"], {})
        }
        there = [kernel for kernel in kernels if kernel in mine]
        for before, after in pairwise(there):
            for line in difference(mine[before], mine[after]):
                yield f"{'/'.join(key)}, {before} → {after}: {line}"


def _missing(table: pd.DataFrame, setups: Mapping[str, Setup]) -> Iterator[str]:
    """Cells that no figure came of."""
    there = set(zip(*(table[name] for name in ["kernel", *kernels_table.CELL]), strict=True))
    for label, setup in setups.items():
        for cell in setup.cells:
            if (label, cell.host, cell.configuration, cell.benchmark) not in there:
                yield f"{label}: {cell.id} has no figure: it failed, or did not run"


def _of_kernel(
    runs: Path, label: str, setup: Setup, database: str | None, wait: float
) -> list[dict[str, Any]]:
    cache = Cache.default()
    facts = facts_of(cache, build_all(cache, Progress(), setup))
    version = next(iter(facts["kernels"].values()))["version"]
    before = _known(history.measured(database, runs), facts)
    left, new = _left(setup, before), Found()
    if left is not None:
        folder = run_setup(runs, left, None, check=False, database=database, wait=wait)
        new = _of_run(Measured.of(folder).rows)
    cells = dict.fromkeys(
        (cell.host, cell.configuration.value, cell.benchmark.value) for cell in setup.cells
    )
    return [
        {
            **row,
            "kernel": label,
            "version": version,
            "source": "history" if cell in before else "measured",
        }
        for cell in cells
        for row in before.get(cell) or new.get(cell) or []
    ]


def _of_run(rows: pd.DataFrame) -> Found:
    """What a run has measured, repetitions joined by their median."""
    wanted = rows[(rows["reason"] == "") & rows["metric"].isin(_METRICS)]
    found: Found = {}
    keys = ["host", "configuration", "benchmark", "metric", "unit", "statistic", "run_id"]
    for names, group in wanted.groupby(keys, sort=False):
        row = dict(zip(keys, map(str, names), strict=True))
        exact = row["statistic"] == Statistic.MODE and bool((group["share"] >= USUAL).all())
        figure = {**row, "value": float(group["value"].median()), "exact": exact}
        found.setdefault((row["host"], row["configuration"], row["benchmark"]), []).append(figure)
    return found


def _left(setup: Setup, known: Found) -> Setup | None:
    """What is not known of the setup, and perhaps more; None if all is."""
    cells = [
        cell for cell in setup.cells if (cell.host, cell.configuration, cell.benchmark) not in known
    ]
    if not cells:
        return None
    playbook = setup.playbook
    wanted = {
        "hosts": tuple(host for host in playbook.hosts if host.name in {c.host for c in cells}),
        "configurations": tuple(dict.fromkeys(cell.configuration for cell in cells)),
        "benchmarks": tuple(dict.fromkeys(cell.benchmark for cell in cells)),
    }
    return Setup.of(playbook.model_copy(update=wanted), workload=setup.workload)


def _known(measured: pd.DataFrame, facts: Mapping[str, Any]) -> Found:
    """The newest figures in the history of what a run with these `facts` would measure: cells whose
    every figure is that of a machine on which a second run finds the same."""
    kernels = written({name: KernelImage(**each) for name, each in facts["kernels"].items()})
    microbench = facts["microbench"]["sha256"] if facts.get("microbench") else ""
    hosts = {str(host["name"]): host for host in facts["playbook"]["hosts"]}
    chosen = {name: _of_others(text) for name, text in settings.by_host(facts["playbook"]).items()}
    around = {
        "rootfs": (facts.get("rootfs") or {}).get("sha256", ""),  # has the VMM
        "emulator": facts.get("emulator") or "",
    }
    found: Found = {}
    totals = measured[(measured["statistic"] == Statistic.MODE) & (measured["reason"] == "")]
    for row in tables.records(totals):  # the oldest first
        name = str(row["host"])
        host = hosts.get(name)
        mine = host is not None and (
            row["track"] == facts["track"]
            and row["cpu"] == host.get("cpu", "host")
            and int(row["gic"]) == host.get("gic")
            and _of_others(str(row["settings"])) == chosen[name]
            and all(str(row[what] or "") == value for what, value in around.items())
            and row["subject"]
            == subject(kernels, microbench, name, str(facts["track"]), str(row["configuration"]))
        )
        if mine and row["metric"] in _METRICS:
            cell = (name, str(row["configuration"]), str(row["benchmark"]))
            wanted = ("configuration", "benchmark", "metric", "unit", "value", "run_id", "host")
            others = [each for each in found.get(cell, []) if each["metric"] != row["metric"]]
            exact = bool(row["share"] >= USUAL)
            found[cell] = [*others, {**{name: row[name] for name in wanted}, "exact": exact}]
    return {cell: rows for cell, rows in found.items() if len(rows) == len(_METRICS)}


def _of_others(text: str) -> list[str]:
    """Settings but for what says which kernels: their keys say that."""
    return [word for word in text.split() if not word.startswith(("kernel=", "kernels="))]
