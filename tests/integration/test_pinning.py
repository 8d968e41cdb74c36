# SPDX-License-Identifier: MIT
"""The script that starts a VMM with each vCPU on a CPU of its own, with a real QEMU."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from harness.build.image.emulator import emulator
from harness.cache import Cache
from harness.paths import PINNED


def affinities(pid):
    """{name of a thread: its CPUs}."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = dict(
            line.split(":\t", 1)
            for line in (task / "status").read_text().splitlines()
            if ":\t" in line
        )
        found[fields["Name"]] = fields["Cpus_allowed_list"]
    return found


def qemu():
    return [
        *emulator(Cache.default()).argv,
        "-machine",
        "virt",
        "-accel",
        "tcg,thread=multi",
        "-name",
        "guest,debug-threads=on",
        "-smp",
        "2",
        "-nodefaults",
        "-nographic",
        "-S",
    ]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU")
def test_vcpus_have_a_cpu_each():
    first, second, *_ = sorted(os.sched_getaffinity(0))
    with subprocess.Popen(["sh", PINNED, f"{second} {first}", *qemu()]) as process:
        try:
            wanted = {"CPU 0/TCG": str(second), "CPU 1/TCG": str(first)}
            end = time.monotonic() + 60
            while not wanted.items() <= affinities(process.pid).items():
                assert time.monotonic() < end, affinities(process.pid)
                time.sleep(0.2)
        finally:
            process.kill()


@pytest.mark.parametrize("cpus", ["0 4095", "0"])
def test_a_vcpu_that_cannot_have_its_cpu_ends_qemu(cpus):
    """Which would measure on, and the script try on beside it."""
    done = subprocess.run(
        ["sh", PINNED, cpus, *qemu()], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode
    assert f"@unpinned CPU {'4095: taskset: ' if '4095' in cpus else 'none'}" in done.stdout
