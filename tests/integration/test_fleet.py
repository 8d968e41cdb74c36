# SPDX-License-Identifier: MIT
"""Two hosts at once, in workers of our own and in those of a lab's scheduler."""

import subprocess
import sys
import time

import psutil
import pytest
import yaml

from harness.results.store import RunFolder
from tests.integration.conftest import emulators, finish, neve

HOSTS = ("one", "two")
CELLS = [f"{host}/vm/1/{benchmark}" for host in HOSTS for benchmark in ("hypercall", "virtual-eoi")]
START_SECONDS = 180


@pytest.fixture
def playbook(artifacts, tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "hosts": [{"name": host} for host in HOSTS],
                "configurations": ["vm"],
                "benchmarks": ["hypercall", "virtual-eoi"],
                "iterations": 100,
            }
        )
    )
    return file


def wait_for(condition, process):
    end = time.monotonic() + START_SECONDS
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_worker_that_dies_costs_the_cell_under_way(playbook, tmp_path):
    process = neve("run", playbook, cwd=tmp_path)
    cells = tmp_path / "runs" / "latest" / "cells.jsonl"
    wait_for(cells.exists, process)
    first = cells.read_text().splitlines()[0]
    host = RunFolder.open(tmp_path / "runs", "latest").records()[0].name.host
    machines = emulators(process)
    assert len(machines) == len(HOSTS)
    workers = {machine.parent() for machine in machines}
    assert len(workers) == len(HOSTS)
    for worker in workers:
        worker.kill()
    assert not psutil.wait_procs(machines, timeout=10)[1], "a machine ends with its worker"
    done = finish(process, tmp_path)
    assert done.status == 0, done.output
    for name in HOSTS:
        assert f"{name}/vm/1: its worker was lost" in done.output
    lines = [line for line in cells.read_text().splitlines() if line]
    assert lines[0] == first, f"{host}'s finished cell is kept"
    records = RunFolder.open(tmp_path / "runs", "latest").records()
    assert sorted(record.id for record in records) == sorted(CELLS)
    assert len(lines) == len(CELLS), "no cell was run twice"


@pytest.fixture
def scheduler(tmp_path):
    """A lab's: one worker, which has the first host only."""
    file = tmp_path / "scheduler.json"
    command = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        file,
    ]
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        "--scheduler-file",
        file,
        "--nthreads",
        "1",
        "--no-dashboard",
        "--resources",
        f"{HOSTS[0]}=1",
        "--local-directory",
        tmp_path,
    ]
    log = (tmp_path / "dask.log").open("w")
    started = []
    try:
        for argv in (command, worker):
            started.append(subprocess.Popen(argv, stdout=log, stderr=log))
            wait_for(file.exists, started[0])
        wait_for(lambda: "Registered to" in (tmp_path / "dask.log").read_text(), started[1])
        yield yaml.safe_load(file.read_text())["address"]
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)


def test_workers_of_a_lab(playbook, tmp_path, scheduler):
    lacking = finish(neve("run", playbook, "--scheduler", scheduler, cwd=tmp_path), tmp_path)
    assert lacking.status == 2
    assert f"no worker has {HOSTS[1]}: start one" in lacking.output
    assert "Traceback" not in lacking.output
    only = f"host={HOSTS[0]}"
    done = finish(
        neve("run", playbook, "--only", only, "--scheduler", scheduler, cwd=tmp_path), tmp_path
    )
    assert done.status == 0, done.output
    assert (done.folder / "consoles" / f"{HOSTS[0]}-vm-1.log").stat().st_size


def test_a_scheduler_that_does_not_answer_is_one_clear_line(playbook, tmp_path):
    done = finish(neve("run", playbook, "--scheduler", "tcp://127.0.0.1:9", cwd=tmp_path), tmp_path)
    assert done.status == 2
    assert "--scheduler tcp://127.0.0.1:9: can't be reached" in done.output
    assert "Traceback" not in done.output
