# SPDX-License-Identifier: MIT
"""Kernels side by side: what is measured, and what the history has already."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from harness.build.kernel.build import DoesNotBuildError
from harness.commands import matrix as command
from harness.commands.history import Check
from harness.commands.matrix import matrix
from harness.errors import GuestError
from harness.model.cell import CellRecord
from harness.model.playbook import validate, with_kernels
from harness.model.setup import Setup
from harness.results import kernels_table
from harness.results.drawing import FILE, figure, svg
from harness.results.store import RunFolder
from tests.synthetic import measurement

TRAPS = {"nested-v8.3-vhe": 38, "nested-neve-vhe": 8}


def setup(kernel, **more):
    book = {"configurations": list(TRAPS), "benchmarks": ["hypercall"], **more}
    return Setup.of(with_kernels(validate(book, "p"), {"l1": kernel}))


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Runs that take no machine: their cells, and a history."""
    ran, roots, shares = [], ["1" * 64], [1.0]

    def facts(_cache, setup):
        choice = setup.choice("l1")
        if choice == "broken":
            raise DoesNotBuildError("Linux 7.3.4 did not build: error: no\nlog: x")
        key = choice.rpartition("@")[2]
        kernels = {
            name: {"version": "7.3.4", "key": key if name == "l1" else "other"}
            for name in ("l0", "l1", "l2")
        }
        return {
            "track": "upstream",
            "playbook": setup.playbook.model_dump(mode="json"),
            "kernels": kernels,
            "microbench": {"sha256": "f" * 64},
            "rootfs": {"sha256": roots[-1], "packages": []},
            "emulator": "11.1.3",
        }

    def run(runs, setup, *_, database=None, **__):
        cells = [cell.id for cell in setup.cells]
        ran.append(cells)
        folder = RunFolder.create(runs, "p", {**facts(None, setup), "planned": cells})
        more = 1 if setup.choice("l1").endswith("@new") else 0
        for cell in setup.cells:
            place = {"host": "tcg", "configuration": str(cell.configuration), "cpu": "max"}
            rows = [
                replace(
                    measurement(folder.id, value, metric=metric, unit=unit, **place),
                    track="upstream",
                    statistic="mode",
                    share=1.0 if metric == "traps" else shares[-1],
                )
                for metric, unit, value in (
                    ("traps", "exits", TRAPS[cell.configuration] + more),
                    ("cost", "instructions", 44_000.0),
                )
            ]
            exits = ["HVC"] + ["IRQ"] * more
            sample = {"sequences": [{"operations": 9, "exits": [exits]}]}
            folder.append(CellRecord(cell.id, "passed", 1.0, tuple(rows), (sample,)))
        folder.update(state="finished")
        Check(database, runs, folder, False).conclude()
        return folder

    monkeypatch.setattr(command, "build_all", lambda _cache, _progress, setup: setup)
    monkeypatch.setattr(command, "facts_of", facts)
    monkeypatch.setattr(command, "run_setup", run)
    return SimpleNamespace(ran=ran, roots=roots, shares=shares)


def test_kernels_are_side_by_side(machine, tmp_path):
    runs = tmp_path / "runs"
    setups = {name: setup(name) for name in ("x@old", "x@new")}
    found = matrix(runs, setups, None)
    by_cell = found.rows.set_index(["kernel", "configuration", "metric"])["value"]
    assert by_cell["x@old", "nested-neve-vhe", "traps"] == 8
    assert by_cell["x@new", "nested-v8.3-vhe", "traps"] == 39
    assert "| 39 " in found.text() and "history" not in found.text()
    line = "tcg/nested-neve-vhe/hypercall, x@old → x@new: + IRQ after HVC (2 of 2)"
    assert line in found.differences and line in found.text()
    assert "+ IRQ after HVC" in (found.folder / "report.html").read_text()
    for name in ("report.html", "report.md", "report.svg", "results.csv"):
        assert (found.folder / name).stat().st_size
    assert json.loads(json.dumps(found.data()))["kernels"] == ["x@old", "x@new"]


def test_what_the_history_has_is_not_measured_again(machine, tmp_path):
    runs = tmp_path / "runs"
    few = setup("x@old", configurations=["nested-neve-vhe"])
    matrix(runs, {"x@old": few}, None)
    assert len(machine.ran) == 1
    elsewhere = {"y@old": setup("y@old"), "x@new": setup("x@new")}  # the same key
    found = matrix(runs, elsewhere, None)
    assert machine.ran[1:] == [
        ["tcg/nested-v8.3-vhe/1/hypercall"],
        ["tcg/nested-v8.3-vhe/1/hypercall", "tcg/nested-neve-vhe/1/hypercall"],
    ]
    assert "8*" in found.text() and "measured before" in found.text()
    matrix(runs, elsewhere, None)
    assert len(machine.ran) == 3, "all is known"
    matrix(runs, {"x@old": setup("x@old", iterations=500)}, None)
    assert len(machine.ran) == 4, "of other settings it is another figure"
    machine.roots.append("2" * 64)
    matrix(runs, elsewhere, None)
    assert len(machine.ran) == 6, "beside another VMM it is another figure"


def test_a_cost_that_few_operations_have_exactly_is_known_too(machine, tmp_path):
    """A second run of the machine finds the same."""
    machine.shares.append(0.5)
    for _ in range(2):
        found = matrix(tmp_path / "runs", {"x@old": setup("x@old")}, None)
    assert len(machine.ran) == 1
    assert "44,000*" in found.text() and "44,000.00" not in found.text()


def test_figures_that_are_all_nothing_are_drawn():
    row = dict.fromkeys(kernels_table.COLUMNS, "x") | {"metric": "traps", "value": 0.0}
    drawn = kernels_table.chart(pd.DataFrame([row]), ["x"])
    assert "<svg" in svg(figure(drawn, FILE), "")


def test_kernel_that_does_not_build_is_a_note(machine, tmp_path):
    found = matrix(tmp_path / "runs", {"broken": setup("broken"), "x@old": setup("x@old")}, None)
    assert found.notes[0] == "broken: Linux 7.3.4 did not build: error: no"
    assert set(found.rows["kernel"]) == {"x@old"}
    with pytest.raises(GuestError, match="did not build"):
        matrix(tmp_path / "runs", {"broken": setup("broken")}, None)
