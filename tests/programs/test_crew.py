# SPDX-License-Identifier: MIT
"""Several machines at once, in processes of our own: what is kept, in which order, and what is left
of them when something ends."""

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import psutil
import pytest
from rich.console import Console

from harness.cache import Cache
from harness.commands.session import Session
from harness.errors import UserError
from harness.model.playbook import validate
from harness.model.setup import Setup
from harness.paths import ROOT
from harness.progress import Progress
from harness.results.store import RunFolder
from harness.run import capacity
from harness.run.pace import Pace
from tests import emulated

CONFIGURATIONS = ["vm", "nested-neve-vhe"]
BENCHMARKS = ["hypercall", "device-io"]
TCG = {"kind": "tcg"}


def setup(**changes):
    asked = {"configurations": CONFIGURATIONS, "benchmarks": BENCHMARKS, "trap_iterations": 5}
    return Setup.of(validate({**asked, **changes}, "p"))


def session(folder, wanted, console=None):
    """A run of `wanted` in `folder`, in which nothing has ended."""
    run = RunFolder.create(folder / "runs", "run", {"track": "upstream"})
    made = Session(run, emulated.artifacts(wanted, folder), Progress(console))
    made.plan()
    return made


def lines(run):
    """Those of the cells that have ended, in the order in which they did."""
    return [line for line in (run.path / "cells.jsonl").read_text().splitlines() if line]


@pytest.fixture
def two_cpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


@pytest.fixture
def emulator(tmp_path, monkeypatch):
    def of(**behaviour):
        monkeypatch.setenv("NEVE_QEMU", str(emulated.emulator(tmp_path, **behaviour)))

    return of


def test_who_ends_first_changes_nothing(tmp_path, emulator, monkeypatch):
    """Neither in the rows nor in anything that is made of them."""
    wanted, found = setup(hosts=[TCG | {"name": "a"}, TCG | {"name": "b"}], repetitions=2), []
    arrived = []
    for number, (cpus, slow) in enumerate([(1, {}), (2, {"Y": [0.2, 0.2]})]):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cpus=cpus: set(range(cpus)))
        emulator(**slow)
        folder = tmp_path / str(number)
        folder.mkdir()
        made = session(folder, wanted)
        made.execute(made.left)
        run = made.folder
        assert not made.left
        run.results.write(run.records())
        found.append((run.path / "results.csv").read_text().replace(run.id, "run"))
        assert {file.name for file in run.consoles.iterdir()} == {
            f"{host}-{configuration}-{repetition}.log"
            for host in "ab"
            for configuration in CONFIGURATIONS
            for repetition in (1, 2)
        }
        arrived.append([record["id"] for record in map(json.loads, lines(run))])
    assert found[0] == found[1]
    assert arrived[0] != arrived[1]
    rows = csv.DictReader(io.StringIO(found[0]))
    named = ("host", "repetition", "configuration", "benchmark")
    assert list(dict.fromkeys(tuple(row[name] for name in named) for row in rows)) == [
        (host, repetition, configuration, benchmark)
        for host in "ab"
        for repetition in "12"
        for configuration in CONFIGURATIONS
        for benchmark in BENCHMARKS
    ]


RUN = """
import os, sys
from pathlib import Path
from tests.programs.test_crew import session, setup
os.sched_getaffinity = lambda _: {0, 1}
made = session(Path(sys.argv[1]), setup())
try:
    with made.kept("the command"):
        made.execute(made.left)
except KeyboardInterrupt:
    print("interrupted")
"""


@contextmanager
def started(folder):
    """A run in a process of its own, on two CPUs, and its machines once a cell has ended."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)],
        env=environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            cells = folder / "runs" / "latest" / "cells.jsonl"
            wait_for(lambda: cells.exists() and len(machines(process)) == 2, process)
            yield process, machines(process), RunFolder.open(folder / "runs", "latest")
        finally:
            process.kill()


def machines(process):
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            found += [child] if "-initrd" in child.cmdline() else []
    return found


def wait_for(condition, process):
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
        time.sleep(0.02)


def gone(machines):
    return not psutil.wait_procs(machines, timeout=10)[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_is_interrupted_leaves_no_machine_and_can_go_on(tmp_path, emulator, number):
    emulator(vm=[0, 99], Y=[99])
    with started(tmp_path) as (process, running, run):
        workers = {machine.parent() for machine in running}
        assert len(workers) == len(running) == 2
        process.send_signal(number)
        said = process.communicate(timeout=30)[0]
    assert gone([*running, *workers])
    assert "Traceback" not in said
    metadata = RunFolder.open(run.path.parent, run.id).metadata
    assert metadata.state == ("unfinished" if number == signal.SIGKILL else "cut off")
    assert len(session_of(run, tmp_path).left) == 3


def session_of(run, folder):
    """To go on with `run`."""
    found = RunFolder.open(run.path.parent, run.id)
    return Session(found, emulated.artifacts(setup(), folder), Progress())


def test_a_worker_that_is_killed_costs_the_cell_under_way(tmp_path, emulator):
    emulator(vm=[0, 3], Y=[3])  # long enough for a busy computer
    with started(tmp_path) as (process, running, run):
        workers = {machine.parent() for machine in running}
        for worker in workers:
            worker.kill()
        assert gone(running), "a machine ends with its worker"
        said = process.communicate(timeout=30)[0]
    assert process.returncode == 0, said
    assert said.count("its worker was lost; another one goes on") == len(workers)
    assert sorted(record.id for record in run.records() if record.passed) == [
        f"tcg/{configuration}/1/{benchmark}"
        for configuration in sorted(CONFIGURATIONS)
        for benchmark in sorted(BENCHMARKS)
    ]
    assert len(lines(run)) == 4, "no cell was run twice"


def test_a_machine_that_dies_fails_its_cell_alone(tmp_path, emulator, two_cpus):
    emulator(Y=[0, None])
    console = Console(record=True, width=200)
    made = session(tmp_path, setup(), console)
    made.execute(made.left)
    failed = [record for record in made.folder.records() if not record.passed]
    assert [record.id for record in failed] == ["tcg/nested-neve-vhe/1/device-io"]
    assert "the console ended" in failed[0].error
    said = console.export_text()
    assert "failed  tcg: nested-neve-vhe: device-io" in said
    assert "tcg/vm/1/hypercall: cost 1,118 instructions, traps 1 exits\n" in said


def test_an_emulator_that_does_not_start_is_told_once(tmp_path, monkeypatch, two_cpus):
    monkeypatch.setenv("NEVE_QEMU", "/bin/false")
    made = session(tmp_path, setup())
    with pytest.raises(UserError, match="NEVE_QEMU /bin/false does not start") as caught:
        made.execute(made.left)
    assert str(caught.value).count("/bin/false does not start") == 1


def test_a_full_disk_ends_all(tmp_path, emulator, two_cpus, monkeypatch):
    emulator(vm=[0, 99], Y=[99])
    made = session(tmp_path, setup())
    monkeypatch.setattr(RunFolder, "append", full)
    with pytest.raises(OSError, match="No space"):
        made.execute(made.left)
    assert not machines(psutil.Process())


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_memory_says_how_many_machines_run_at_once(monkeypatch):
    wanted = setup(hosts=[TCG | {"name": "a"}, TCG | {"name": "b", "memory": 4096}])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    found = []
    for free in (1 << 30, 8 << 30, 13 << 30, 64 << 30):
        monkeypatch.setattr(
            "psutil.virtual_memory", lambda free=free: SimpleNamespace(available=free)
        )
        found.append(capacity.machines_at_once(wanted))
    assert found == [1, 2, 3, 4], "there are no more than four"


def test_what_takes_longest_is_begun_first(tmp_path, emulator, two_cpus):
    """As far as it is known; else what has figures soonest."""
    wanted = setup(configurations=["nested-v8.3-vhe", "vm", "nested-neve-vhe"])
    names = [cells[0].configuration.value for cells in by_rank(wanted)]
    assert names == ["vm", "nested-v8.3-vhe", "nested-neve-vhe"]
    for configuration, seconds in {"vm": 3, "nested-v8.3-vhe": 2, "nested-neve-vhe": 4}.items():
        for benchmark in BENCHMARKS:
            progress = Progress()
            progress.last[f"tcg: {configuration}: {benchmark}"] = seconds
            Pace.of(Cache.default(), wanted).keep(progress)
    names = [cells[0].configuration.value for cells in by_rank(wanted)]
    assert names == ["nested-neve-vhe", "vm", "nested-v8.3-vhe"]
    pace = Pace.of(Cache.default(), wanted)
    assert pace._sum() == 10  # 8 beside 6, and 4 more


def by_rank(wanted):
    pace = Pace.of(Cache.default(), wanted)
    return sorted(wanted.boots(wanted.cells).values(), key=pace.rank, reverse=True)
