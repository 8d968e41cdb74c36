# SPDX-License-Identifier: MIT
"""Killing the harness or QEMU loses no finished measurement and leaves nothing running."""

import json
import signal
import subprocess
import time

import psutil
import pytest

from harness.results.store import RunFolder
from tests.integration.conftest import FALLBACK, emulators, finish, neve

ONLY = "configuration=vm,benchmark=hypercall,benchmark=device-io,benchmark=virtual-eoi"


@pytest.fixture
def started(artifacts, tmp_path):
    """A run whose first cell has finished, its machines, and the TMPDIR of its own."""
    litter = tmp_path / "tmp"
    litter.mkdir()
    process = neve("run", FALLBACK, "--only", ONLY, cwd=tmp_path, TMPDIR=str(litter))
    cells = tmp_path / "runs" / "latest" / "cells.jsonl"
    end = time.monotonic() + 120
    while not cells.exists() and time.monotonic() < end:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    yield process, emulators(process), litter
    if process.poll() is None:
        process.kill()


def gone(machines):
    return not psutil.wait_procs(machines, timeout=10)[1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_harness_leaves_nothing_and_resumes(started, tmp_path, number):
    process, machines, litter = started
    assert machines
    process.send_signal(number)
    output = process.communicate(timeout=30)[0]
    assert gone(machines)
    assert not list(litter.iterdir())
    if number != signal.SIGKILL:
        assert "interrupted" in output
        assert "Traceback" not in output
    folder = RunFolder.open(tmp_path / "runs", "latest")
    finished = [record.id for record in folder.records()]
    assert finished
    stamp = (folder.path / "cells.jsonl").read_text().splitlines()[0]
    done = finish(
        neve("run", FALLBACK, "--only", ONLY, "--resume", "latest", cwd=tmp_path), tmp_path
    )
    assert done.status == 0, done.output
    lines = [line for line in (folder.path / "cells.jsonl").read_text().splitlines() if line]
    assert lines[0] == stamp, "the finished cell was not run again"
    assert len(lines) == 3
    assert gone(machines)


def test_killed_qemu_is_one_clear_error(started, tmp_path):
    process, machines, _ = started
    for machine in machines:
        machine.kill()
    output = process.communicate(timeout=120)[0]
    assert process.returncode in (1, 75), output
    assert "Traceback" not in output
    assert json.loads((tmp_path / "runs/latest/metadata.json").read_text())["state"]
    assert RunFolder.open(tmp_path / "runs", "latest").records()[0].status == "passed"


def test_full_disk_is_said_and_loses_nothing(artifacts, tmp_path):
    """The run folder on a file system that is full: nothing is begun, one line says why."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        (small / "filler").write_bytes(b"x" * 60 * 1024)
        done = finish(neve("run", FALLBACK, "--only", ONLY, cwd=small), small)
        assert done.status == 2, done.output
        assert "disk full" in done.output
        assert "Traceback" not in done.output
    finally:
        subprocess.run(["umount", small], check=True)
