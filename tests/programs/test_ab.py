# SPDX-License-Identifier: MIT
"""`neve ab` as a whole, but for the machines: what is measured is made up by the kernel's name."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.commands import ab as command
from harness.commands.ab import ab
from harness.commands.runs import listed
from harness.commands.session import Session
from harness.commands.setup import read_sides
from harness.errors import UserError
from harness.model.cell import CellRecord
from harness.model.variation import Vary
from harness.results.store import RunFolder
from tests.synthetic import measurement

EIGHT = ["HVC"] * 8
ONLY = "configuration=nested-neve-vhe,benchmark=hypercall,benchmark=device-io"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Kernels are 7.2, and 7.3 with a trap more. What ran, by side."""
    ran = []

    def facts(_cache, artifacts):
        setup = artifacts.setup
        kernels = {"l1": {"version": setup.choice("l1"), "key": setup.choice("l1")}}
        playbook = setup.playbook.model_dump(mode="json")
        return {"track": "upstream", "playbook": playbook, "kernels": kernels}

    def execute(session, cells):
        traps = [*EIGHT, "IRQ"] if session.artifacts.setup.choice("l1") == "7.3" else EIGHT
        for cell in cells:
            ran.append((session.folder.id.rpartition("-")[2], str(cell.benchmark)))
            if len(ran) == machine.stop:
                raise KeyboardInterrupt
            row = measurement(
                session.folder.id,
                len(traps),
                host="tcg",
                configuration="nested-neve-vhe",
                benchmark=str(cell.benchmark),
                metric="traps",
                unit="exits",
                statistic="mode",
                share=1.0,
            )
            sample = {"sequences": [{"operations": 9, "exits": [traps]}]}
            rows = (replace(row, track="upstream"),)
            session.folder.append(CellRecord(cell.id, "passed", 1.0, rows, (sample,)))

    machine = SimpleNamespace(ran=ran, stop=0)
    monkeypatch.setattr(command, "build_all", lambda *words: SimpleNamespace(setup=words[2]))
    monkeypatch.setattr(command, "facts_of", facts)
    monkeypatch.setattr(command, "reach", lambda *_: {})
    monkeypatch.setattr(command.report, "write", lambda _: None)
    monkeypatch.setattr("harness.commands.session.report.write", lambda _: None)
    monkeypatch.setattr(Session, "execute", execute)
    return machine


def run(tmp_path, values, **more):
    setups = read_sides(Path("fallback.yaml"), Vary.L1, values, ONLY)
    return ab(tmp_path / "runs", setups, "l1", values, 0.01, **more)


def test_both_sides_are_runs_below_one_folder(machine, tmp_path):
    folder, found = run(tmp_path, ("7.2", "7.3"))
    assert found.answer == "slower"
    assert [side for side, _ in machine.ran] == ["before", "before", "after", "after"]
    assert {path.name for path in folder.iterdir()} == {
        "experiment.json",
        "junit.xml",
        "report.html",
        "report.md",
        f"{folder.name}-before",
        f"{folder.name}-after",
    }
    run_folder = RunFolder.open(folder, f"{folder.name}-after")
    assert run_folder.metadata.state == "finished"
    assert run_folder.metadata.kernels["l1"].version == "7.3"
    assert "+ IRQ after HVC (9 of 9)" in (folder / "report.md").read_text()


def test_it_goes_on_where_it_was_cut_off(machine, tmp_path, capfd):
    machine.stop = 3
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, ("7.2", "7.3"))
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"--resume {folder.name}" in capfd.readouterr().err
    assert [entry["standing"] for entry in listed(tmp_path / "runs")] == ["cut off"]
    machine.stop = 0
    _, found = run(tmp_path, ("7.2", "7.3"), resume=folder.name)
    assert found.answer == "slower"
    assert len(machine.ran) == 5, "what had passed is not measured again"
    (entry,) = listed(tmp_path / "runs")
    assert (entry["run"], entry["kind"]) == (folder.name, "ab")
    assert entry["standing"] == "finished: slower: 2 slower"
    (folder / "experiment.json").write_text("{")
    assert listed(tmp_path / "runs")[0]["state"] == "damaged"


@pytest.mark.parametrize(
    ("values", "name", "said"),
    [
        (("7.2", "7.2"), None, "it compares something else"),
        (("7.2", "7.3"), "nothing", "is not an experiment"),
    ],
)
def test_only_its_own_is_resumed(machine, tmp_path, values, name, said):
    folder, _ = run(tmp_path, ("7.2", "7.3"))
    with pytest.raises(UserError, match=said):
        run(tmp_path, values, resume=name or folder.name)


def test_changed_kernel_is_not_resumed(machine, tmp_path):
    folder, _ = run(tmp_path, ("7.2", "7.3"))
    file = folder / f"{folder.name}-after" / "metadata.json"
    known = json.loads(file.read_text())
    known["kernels"]["l1"]["key"] = "other"
    file.write_text(json.dumps(known))
    with pytest.raises(UserError, match="the kernels of the side after is not the one"):
        run(tmp_path, ("7.2", "7.3"), resume=folder.name)
