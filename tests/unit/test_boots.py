# SPDX-License-Identifier: MIT
"""Several boots of a server: which cells each has, in which order, and what differs in each."""

import json
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.bench.traps import events
from harness.build.artifacts import Artifacts
from harness.build.kernel.config import merge
from harness.commands.session import Session
from harness.errors import UserError
from harness.machine import levels
from harness.machine.guest.vmm import vmm_argv
from harness.machine.host import pinning
from harness.model.cell import CellRecord
from harness.model.guest import File
from harness.model.journal import Messages
from harness.model.playbook import plan, shuffled, skipped, validate
from harness.model.setup import Setup
from harness.progress import Progress
from harness.results.history.archive import Archive
from harness.results.history.database import Database
from harness.results.store import RunFolder
from harness.run import scripts
from harness.run.execution import execute
from harness.run.job import jobs_of
from tests.synthetic import measurement

ARM = {"kind": "ssh", "name": "arm1", "address": "a"}
MICRO = {
    "hosts": [ARM],
    "configurations": ["vm", "nested-v8.3-vhe", "nested-neve-vhe"],
    "benchmarks": ["hypercall", "device-io", "virtual-ipi", "virtual-eoi"],
}


def book(**changes):
    return validate({**MICRO, **changes}, "p")


def names(cells):
    return [cell.id for cell in cells]


def orders(cells):
    """{repetition: [(configuration, [benchmarks])]}, in the order of the cells."""
    found = {}
    for (repetition, configuration), group in groupby(
        cells, key=lambda cell: (cell.repetition, cell.configuration)
    ):
        found.setdefault(repetition, []).append((configuration, [cell.benchmark for cell in group]))
    return found


def test_each_boot_has_an_order_of_its_own():
    playbook = book(boots=8)
    cells = shuffled(playbook, plan(playbook), 1)
    assert sorted(names(cells)) == sorted(names(plan(playbook)))
    found = orders(cells)
    assert list(found) == list(range(1, 9))
    for order in found.values():
        assert sorted(name for name, _ in order) == sorted(MICRO["configurations"])
        assert all(sorted(of) == sorted(MICRO["benchmarks"]) for _, of in order)
    assert len({tuple(name for name, _ in order) for order in found.values()}) > 2
    assert len({tuple(of) for order in found.values() for _, of in order}) > 8
    assert names(cells) != names(shuffled(playbook, plan(playbook), 2))


def test_a_run_that_is_resumed_keeps_its_order(tmp_path):
    playbook = book(boots=3)
    artifacts = Artifacts(Setup.of(playbook), {}, {}, {}, [])
    folder = RunFolder.create(tmp_path, "arms", {"track": "upstream"})
    cells = Session(folder, artifacts, Progress()).ordered(plan(playbook))
    assert json.loads((folder.path / "metadata.json").read_text())["seed"] is not None
    moved = folder.path.rename(tmp_path / "moved")
    again = RunFolder.open(tmp_path, moved.name)
    session = Session(again, artifacts, Progress())
    assert session.ordered(plan(playbook)) == cells
    rest = [cell for cell in plan(playbook) if cell not in cells[:7]]
    assert session.ordered(rest) == cells[7:]


@pytest.mark.parametrize(
    "changes",
    [
        {"hosts": [{"kind": "tcg", "name": "tcg"}], "repetitions": 3},
        {"benchmarks": ["hackbench", "memcached"], "boots": 3},
    ],
    ids=["emulated machines", "applications"],
)
def test_others_run_as_they_are_written(changes):
    playbook = book(**changes)
    assert shuffled(playbook, plan(playbook), 1) == plan(playbook)


def test_what_is_exact_is_measured_once():
    """Beside a server that is not."""
    playbook = book(hosts=[{"kind": "tcg", "name": "tcg"}, ARM], boots=4)
    repetitions = {}
    for cell in plan(playbook):
        repetitions.setdefault(cell.host, set()).add(cell.repetition)
    assert repetitions == {"tcg": {1}, "arm1": {1, 2, 3, 4}}
    assert playbook.rounds == 4


def test_boots_are_repetitions():
    with pytest.raises(UserError, match="p: boots: each boot is a repetition"):
        book(boots=2, repetitions=2)
    assert (book(repetitions=3).rounds, book().rounds) == (3, 1)


def test_a_server_that_keeps_its_kernel_is_not_booted():
    own = book(hosts=[{**ARM, "boot": "own"}], boots=2, configurations=["vm"])
    assert not plan(own)
    assert skipped(own) == [
        "arm1, vm: boots: it keeps its own kernel, which we don't boot; `repetitions` are during "
        "one"
    ]
    assert plan(book(hosts=[{**ARM, "boot": "own"}], repetitions=2, configurations=["vm"]))


@pytest.mark.parametrize(("changes", "expected"), [({"boots": 3}, 3), ({"repetitions": 3}, 1)])
def test_each_repetition_has_its_boot(changes, expected, monkeypatch, tmp_path):
    """And each of these its own seeds."""
    setup = Setup.of(book(**changes))
    booted, ran = [], []

    @contextmanager
    def l0(*_, **__):
        booted.append(len(booted) + 1)
        yield None

    def run(self, _machine, wanted, cells):
        ran.append((booted[-1], wanted.repetition, names(cells)))
        for cell in cells:
            self.queue.remove(cell)

    monkeypatch.setattr(levels, "l0", l0)
    monkeypatch.setattr(pinning, "cpus_for_guests", lambda *_: (0, 1))
    monkeypatch.setattr(scripts, "usable_event", lambda _: events()[0])
    monkeypatch.setattr(scripts.Scripts, "_run", run)
    cells = shuffled(setup.playbook, setup.cells, 5)
    (job,) = jobs_of("r", Artifacts(setup, {}, {}, {}, []), tmp_path, cells)
    execute(job, Messages(lambda _: None))
    assert len(booted) == expected
    assert [cell for _, _, of in ran for cell in of] == names(cells)
    if expected > 1:
        assert all(boot == repetition for boot, repetition, _ in ran)
    assert {repetition for _, repetition, _ in ran} == {1, 2, 3}


@pytest.mark.parametrize(("asked", "again"), [({"boots": 2}, [3]), ({"repetitions": 3}, [])])
def test_the_history_knows_boots_from_what_was_measured_again(asked, again, tmp_path):
    folder = RunFolder.create(
        tmp_path / "runs", "arms", {"track": "v4.10", "playbook": {"name": "arms", **asked}}
    )
    for repetition in (1, 2, 3):
        row = measurement(folder.id, 9.0, unit="ticks", repetition=repetition)
        cell = f"server/vm/{repetition}/hypercall"
        folder.append(CellRecord(cell, "passed", 1.0, (row,)))
    with Database.open(str(tmp_path / "history.sqlite")) as opened:
        archive = Archive(opened)
        archive.take(folder.path)
        rows = archive.load()
    assert rows["repetition"][rows["repeated"]].to_list() == again
    assert set(rows["settings"]) == {""}, "how often is no setting: the series goes on"


class Shelf:
    def put(self, local):
        return f"/{local}"


def artifacts_of(setup):
    """With a file for each symbol."""
    spec = setup.playbook.hosts[0]
    symbols = {file for guest in setup.guests(spec).values() for file in guest.files.values()}
    files = {
        symbol: Path(symbol.strip("<>")) for symbol in {*symbols, *setup.l1_files, File.INITRAMFS}
    }
    nested = {name: files[symbol] for symbol, name in setup.l1_files.items()}
    kernel = SimpleNamespace(image=Path("Image"), version="7.3")
    return Artifacts(setup, {"l0": kernel}, files, nested, [], server_tools=Path("tools"))


def l1(setup, repetition):
    """The command line of the guest hypervisor on the setup's host."""
    spec, configuration = setup.playbook.hosts[0], setup.playbook.configurations[-1]
    script = scripts.MicroScript(
        artifacts_of(setup), spec, configuration, events()[0], repetition=repetition
    )
    return " ".join(vmm_argv(next(iter(script.guests(Shelf()).values()))))


def test_seeds_differ_from_boot_to_boot_on_servers_alone():
    server = Setup.of(book(boots=2))
    one, other = l1(server, 1), l1(server, 2)
    assert "-seed 1 " in one
    assert "-seed 2 " in other
    for fixed in ("nokaslr", "norandmaps", "dtb-randomness=off"):
        assert fixed not in one
    emulated = Setup.of(book(hosts=[{"kind": "tcg", "name": "tcg"}]))
    assert l1(emulated, 1) == l1(emulated, 2)
    for fixed in ("nokaslr", "norandmaps", "dtb-randomness=off", "-seed 1 "):
        assert fixed in l1(emulated, 2)


def test_l0_of_a_server_is_told_to_fix_nothing():
    setup = Setup.of(book(boots=2))
    told = levels.one_shot(setup.playbook.hosts[0], artifacts_of(setup)).arguments
    assert "neve.level=l0" in told
    assert not {"nokaslr", "norandmaps"} & set(told)


def test_the_kernel_of_several_boots_lies_elsewhere_in_each():
    track = Setup.of(book()).track

    def options(boots):
        own = Setup.of(book(boots=boots)).host_kernels.get("arm1", ())
        return merge([*(each.path for each in track.fragments), *own])

    assert options(1)["CONFIG_RANDOMIZE_BASE"] == "n"
    assert options(2)["CONFIG_RANDOMIZE_BASE"] == "y"
