# SPDX-License-Identifier: MIT
"""Real machines. Kernel and images come from the user's cache, or are built into it."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import psutil
import pytest

from harness.build.artifacts import build_all
from harness.build.image.hostile import hostile
from harness.build.image.rootfs import l1_initramfs
from harness.build.image.selftest import selftest, selftest_initramfs
from harness.build.kernel.build import build
from harness.build.kernel.source import sources
from harness.cache import Cache
from harness.machine import levels
from harness.model.guest import File
from harness.model.inventory import TcgHostSpec
from harness.model.track import Fragment, Track
from harness.paths import KERNEL_PATCHES, PLAYBOOKS, ROOT
from harness.progress import Progress
from harness.results.frames import read_csv
from tests.integration.nesting import ARCHITECTED, CONFIGURATIONS, booted_by, start_l2
from tests.integration.server.machine import CPU, running

# What takes minutes is begun first, so that nobody waits for one of them at the end.
LONGEST = (
    "test_nested_linux",
    "test_server",
    "test_nested",
    "test_levels",
    "test_applications",
    "test_exact",
    "test_series",
    "test_fallback",
    "test_paper",
    "test_guard",
)
FALLBACK = PLAYBOOKS / "fallback.yaml"
PAPER = PLAYBOOKS / "paper.yaml"


def pytest_collection_modifyitems(items):
    order = {f"{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def artifacts():
    return build_all(Cache.default(), Progress(), booted_by("upstream"))


@pytest.fixture(scope="session")
def v4_10():
    """The source of the paper's kernel, which only those have who gave it to the cache."""
    found = sources(Cache.default(), Track.load("v4.10"))
    if not found:
        pytest.skip("no source of Linux 4.10 in the cache: neve kernel import --track v4.10 PATH")
    return found[-1]


@pytest.fixture(scope="session")
def paper_artifacts(v4_10):
    return build_all(Cache.default(), Progress(), booted_by("v4.10"))


@dataclass
class Finished:
    """A command that ran to its end, what it printed and what it used."""

    folder: Path
    status: int
    output: str
    seconds: float
    peak_gib: float


def neve(*arguments, cwd, start_new_session=False, **env):
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *map(str, arguments)],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        start_new_session=start_new_session,
    )


def tree_gib(process):
    """Resident memory of a process and all below it, in GiB (shared pages count once each)."""
    try:
        everyone = [process, *process.children(recursive=True)]
        return sum(each.memory_info().rss for each in everyone) / 2**30
    except psutil.Error:
        return 0.0


def finish(process, cwd):
    started, peak = time.monotonic(), 0.0
    watched = psutil.Process(process.pid)
    output = []
    reader = threading.Thread(target=lambda: output.append(process.stdout.read()))
    reader.start()
    while process.poll() is None:
        peak = max(peak, tree_gib(watched))
        time.sleep(0.5)
    reader.join()
    latest = Path(cwd) / "runs" / "latest"
    return Finished(
        latest.resolve(), process.returncode, output[0], time.monotonic() - started, peak
    )


@contextmanager
def busy(loops):
    """A computer that has something else to do."""
    with ExitStack() as stack:
        for _ in range(loops):
            other = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", "while True: pass"])
            )
            stack.callback(other.kill)
        yield


@pytest.fixture(scope="module")
def machine(artifacts, tmp_path_factory):
    """L0 on the fallback's TCG machine."""
    with ExitStack() as stack:
        yield stack.enter_context(
            levels.l0(
                Cache.default(), TcgHostSpec(), artifacts, tmp_path_factory.mktemp("consoles")
            )
        )


def figures(folder):
    """All that a run has measured: its rows, and what each cell has seen, but for its name."""
    rows = read_csv(folder / "results.csv").drop(columns="run_id").to_csv(index=False)
    records = map(json.loads, (folder / "cells.jsonl").read_text().splitlines())
    return rows, {record["id"]: record["samples"] for record in records}


def emulators(process):
    """The machines that a run of the harness has started."""
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if any("neve.level=l0" in word for word in child.cmdline())
    ]


def debug_l0(cache, source, track):
    fragment = Fragment(KERNEL_PATCHES / track.name / "debug.config")
    return build(
        cache, source, replace(track, fragments=(*track.fragments, fragment)), track.roles["l0"]
    )


@pytest.fixture(scope="session")
def suite_artifacts(request, v4_10, tmp_path_factory):
    """The paper's, and for L1's own guests what the correctness suite needs."""
    cache, scripts = Cache.default(), tmp_path_factory.mktemp("scripts")
    prepared = build_all(cache, Progress(), booted_by("v4.10", *CONFIGURATIONS, *ARCHITECTED))
    kernels, files = dict(prepared.kernels), dict(prepared.files)
    if request.config.getoption("debug_l0"):
        kernels["l0"] = debug_l0(cache, v4_10, prepared.setup.track)
    nested = {
        **prepared.nested,
        "hostile.bin": hostile(cache),
        "selftest": selftest(cache),
        "selftest.cpio": selftest_initramfs(cache),
    }
    for gic, (name, resets) in product((2, 3), (("l2", False), ("resets", True))):
        nested[f"{name}-{gic}"] = scripts / f"{name}-{gic}"
        nested[f"{name}-{gic}"].write_text(start_l2(gic, resets))
    files[File.L1_INITRAMFS] = l1_initramfs(cache, files[File.INITRAMFS], nested)
    return replace(prepared, kernels=kernels, nested=nested, files=files)


@pytest.fixture(scope="module", params=[CPU])
def server(request, tmp_path_factory):
    """A Debian server of its own, running; the parameter is its CPU."""
    with running(tmp_path_factory.mktemp("server"), request.param) as made:
        yield made
