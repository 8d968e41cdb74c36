# SPDX-License-Identifier: MIT
"""What goes wrong on the way to a server and on it: each time a bounded wait, the right exit
code, nothing measured lost, and a next run that needs no help."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from harness.results.store import RunFolder
from tests.integration.conftest import finish, neve
from tests.integration.server.machine import PASSWORD
from tests.integration.test_server import playbook, run

pytestmark = [pytest.mark.stress, pytest.mark.timeout(3000)]
BENCHMARKS = "hypercall, device-io, virtual-eoi, virtual-ipi"


@pytest.fixture(scope="module")
def deployed(server, v4_10, tmp_path_factory):
    """The server, prepared for the paper's kernel."""
    cwd = tmp_path_factory.mktemp("deploy")
    done = run(server, cwd, "deploy", "INVENTORY", "--playbook", playbook(cwd))
    assert done.status == 0, done.output
    return server


def start(server, cwd, *arguments, **changes):
    return neve(
        "run",
        playbook(cwd, benchmarks=BENCHMARKS),
        "--inventory",
        server.inventory(**changes),
        *arguments,
        cwd=cwd,
        ARM1_SUDO=PASSWORD,
    )


def wait_for(process, condition, what, seconds=400):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end, what
        time.sleep(0.2)


def first_cell(process, cwd):
    cells = cwd / "runs" / "latest" / "cells.jsonl"
    wait_for(process, cells.exists, "the first cell")


def resume(server, cwd, **changes):
    """The next run: it goes on without help, and has every cell."""
    kept = [record.id for record in RunFolder.open(cwd / "runs", "latest").records()]
    done = finish(start(server, cwd, "--resume", "latest", **changes), cwd)
    assert done.status == 0, done.output
    records = RunFolder.open(cwd / "runs", "latest").records()
    assert [record.id for record in records][: len(kept)] == kept
    assert len(records) == 4
    return kept


@contextmanager
def filled(server):
    """A disk without room, but for root."""
    server.ssh(
        "fallocate -l $(($(df -Pk / | awk 'NR==2 {print $4}') - 40960))K /filler || "
        "fallocate -l $(($(df -Pk / | awk 'NR==2 {print $4}') * 95 / 100))K /filler"
    )
    try:
        yield
    finally:
        server.ssh("rm -f /filler")


def test_full_disk_of_the_server(server, v4_10, tmp_path):
    with filled(server):
        done = run(server, tmp_path, "deploy", "INVENTORY", "--playbook", playbook(tmp_path))
        assert done.status == 75, done.output
        assert "disk full" in done.output
        assert "Traceback" not in done.output
    assert run(server, tmp_path, "undeploy", "INVENTORY").status == 0


def test_network_cut_in_an_upload(server, v4_10, tmp_path):
    def cut():
        path = "/var/lib/neve/incoming"
        for _ in range(600):
            size = server.ssh(f"stat -c %s {path}/* 2>/dev/null").split()
            if size and max(map(int, size)) > 8 << 20:
                break
            time.sleep(0.2)
        server.tell("set_link card off")

    cutter = threading.Thread(target=cut)
    cutter.start()
    started = time.monotonic()
    done = run(server, tmp_path, "deploy", "INVENTORY", "--playbook", playbook(tmp_path))
    server.tell("set_link card on")
    cutter.join()
    assert done.status == 75, done.output
    assert time.monotonic() - started < 600
    kept = int(server.ssh("stat -c %s /var/lib/neve/incoming/*"))
    assert kept > 8 << 20
    done = run(
        server, tmp_path, "deploy", "INVENTORY", "--playbook", playbook(tmp_path), "--wait", "200"
    )
    assert done.status == 0, done.output
    assert not server.ssh("ls /var/lib/neve/incoming")


def test_killed_harness_leaves_a_server_that_the_next_run_takes_back(deployed, tmp_path):
    process = start(deployed, tmp_path)
    first_cell(process, tmp_path)
    process.kill()
    process.wait()
    assert resume(deployed, tmp_path)


def test_power_cycle_in_mid_run(deployed, tmp_path):
    process = start(deployed, tmp_path)
    first_cell(process, tmp_path)
    deployed.tell("system_reset")
    done = finish(process, tmp_path)
    assert done.status == 75, done.output
    assert "Traceback" not in done.output
    assert resume(deployed, tmp_path)


def test_second_run_fails_or_waits(deployed, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    process = start(deployed, first)
    first_cell(process, first)
    refused = finish(start(deployed, second), second)
    assert refused.status == 75, refused.output
    assert "is in use by" in refused.output
    waiting = start(deployed, second, "--wait", "900")
    assert finish(process, first).status == 0
    done = finish(waiting, second)
    assert done.status == 0, done.output


def test_network_cut_in_mid_run(deployed, tmp_path):
    changes = {"boot_seconds": 120, "power_cycle": None, "silence": 60}
    process = start(deployed, tmp_path, **changes)
    first_cell(process, tmp_path)
    deployed.tell("set_link card off")
    started = time.monotonic()
    done = finish(process, tmp_path)
    assert done.status == 75, done.output
    assert time.monotonic() - started < 420
    deployed.tell("set_link card on")
    deployed.wait()  # by itself: nobody is logged in
    assert resume(deployed, tmp_path)


@pytest.mark.parametrize("before", ["images", "arm1: boot L0", "arm1: vm: boot"])
def test_server_killed_at_a_stage(deployed, tmp_path, before):
    """While L0, the VM, or the first benchmark is under way: after the stage `before` it."""
    process = start(deployed, tmp_path, boot_seconds=90, power_cycle=None)
    said = []
    reader = threading.Thread(target=lambda: said.extend(process.stdout))
    reader.start()
    wait_for(process, lambda: any(f"ok  {before}  " in line for line in said), before)
    time.sleep(3)
    deployed.stop()
    started = time.monotonic()
    assert process.wait(600) == 75, "".join(said)
    assert time.monotonic() - started < 400
    reader.join()
    assert "Traceback" not in "".join(said)
    deployed.start()
    deployed.wait()
    resume(deployed, tmp_path)


@contextmanager
def knocking(port):
    """Somebody who connects all the time, and never logs in."""
    stop = threading.Event()

    def knock():
        while not stop.wait(0.5):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as peer:
                stop.wait(10)
                del peer

    threads = [threading.Thread(target=knock) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_unattended_kernel_of_ours_gives_the_server_back(deployed, tmp_path):
    process = start(deployed, tmp_path, silence=60)
    first_cell(process, tmp_path)
    process.kill()
    process.wait()
    started = time.monotonic()
    with knocking(deployed.port):
        deployed.wait()
    assert time.monotonic() - started < 400
    assert "l0# " not in deployed.serial.read_text(errors="replace")
    assert resume(deployed, tmp_path)


def test_a_server_that_objects_is_not_restarted(deployed, tmp_path):
    boot = deployed.ssh("cat /proc/sys/kernel/random/boot_id")
    deployed.ssh(
        "systemd-run --unit=upgrade systemd-inhibit --what=shutdown --mode=block "
        "--who=upgrade --why=half-done sleep 3600; sleep 2"
    )
    done = finish(start(deployed, tmp_path), tmp_path)
    assert done.status == 75, done.output
    assert "is not to be restarted now: upgrade (process " in done.output
    assert "half-done" in done.output
    assert deployed.ssh("cat /proc/sys/kernel/random/boot_id") == boot
    assert deployed.ssh("cat /sys/kernel/kexec_loaded") == "0\n"
    deployed.ssh("systemctl stop upgrade")
    assert finish(start(deployed, tmp_path), tmp_path).status == 0
