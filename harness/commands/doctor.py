# SPDX-License-Identifier: MIT
"""Says what a machine can and can't do, and how to fix it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil

from harness.build.architecture import architecture
from harness.build.debian import Debian
from harness.build.image.emulator import emulator_at_hand
from harness.build.kernel.source import sources
from harness.build.programs import CROSS_COMPILERS, PROGRAMS
from harness.build.toolchain import Toolchain
from harness.cache import Cache
from harness.errors import HarnessError, MissingToolError
from harness.finding import Finding
from harness.machine.host.examination import server_findings
from harness.machine.host.ssh import ssh_host
from harness.model.inventory import Inventory, parse_address
from harness.model.track import Track, track_names
from harness.process import ProcessError, explain, require, run

_DISK_GIB = 8
_MEMORY_GIB = 4


def examine(host: str | None, inventory: Path | None = None) -> list[Finding]:
    """Findings about this machine, or about `host`, which is in the inventory or an address."""
    if host is None:
        return list(_local())
    spec = Inventory.of(inventory).find(host) or parse_address(host)
    with (
        tempfile.TemporaryDirectory(prefix="neve-doctor-") as transcripts,
        ssh_host(spec, Path(transcripts), prepare=False) as server,
    ):
        return list(server_findings(server, spec))


def _local() -> Iterator[Finding]:
    for program, package in PROGRAMS.items():
        yield _tried(program, partial(require, program, package))
    yield _tried("C compiler for this machine", partial(_compiles, "gcc", "libc6-dev"))
    yield _tried("C compiler for arm64", _compiles_for_arm)
    keyring = Debian.load().keyring
    yield Finding(
        "Debian's keys", keyring.exists(), str(keyring), "apt-get install debian-archive-keyring"
    )
    try:
        cache = Cache.default()
        cache.root.mkdir(parents=True, exist_ok=True)
    except (HarnessError, OSError) as error:
        yield _failed("cache", error)
    else:
        yield from _cache_findings(cache)
    memory = psutil.virtual_memory().total / 2**30
    yield Finding(
        "memory",
        memory > _MEMORY_GIB,
        f"{memory:.0f} GiB",
        f"{_MEMORY_GIB} GiB are needed for a TCG machine",
    )
    yield Finding(
        "processors",
        (os.cpu_count() or 1) >= 2,
        f"{os.cpu_count()}",
        "it works with one, slowly",
        needed=False,
    )
    arm = architecture() == "arm64" and Path("/dev/kvm").exists()
    yield Finding(
        "ARM hardware",
        arm,
        "KVM on ARM"
        if arm
        else "none: costs are instructions of an emulated processor, not cycles",
        "give a server with --host",
        needed=False,
    )


def _cache_findings(cache: Cache) -> Iterator[Finding]:
    """What is in the cache, and what its disk is like. Nothing is downloaded."""
    runs_programs = not os.statvfs(cache.root).f_flag & os.ST_NOEXEC
    writable = os.access(cache.root, os.W_OK)
    yield Finding(
        "cache",
        runs_programs and writable,
        str(cache.root)
        + ("" if runs_programs else " is mounted with noexec, but programs in it are run")
        + ("" if writable else " may not be written to"),
        "set NEVE_CACHE to another folder",
    )
    free = shutil.disk_usage(cache.root).free / 2**30
    yield Finding(
        "disk",
        free > _DISK_GIB,
        f"{free:.0f} GiB free for the cache",
        f"{_DISK_GIB} GiB are needed: free some, or set NEVE_CACHE",
    )
    for name in track_names():
        yield _tried(
            f"kernel source {name}",
            partial(_source, cache, name),
            f"it is downloaded when needed; without internet: neve kernel import --track {name}",
            needed=False,
        )
    yield _tried("emulator", partial(_emulator, cache))


def _source(cache: Cache, track: str) -> str:
    known = sources(cache, Track.load(track))
    if not known:
        raise MissingToolError("not in the cache")
    return f"Linux {known[-1].version}, {known[-1].origin}"


def _emulator(cache: Cache) -> str:
    qemu = emulator_at_hand(cache)
    if qemu:
        return f"QEMU {qemu.version}"
    return "not in the cache: it is downloaded when needed"


def _compiles(compiler: str, package: str) -> str:
    """The version of `compiler`, which makes a program out of a small file."""
    path = require(compiler, compiler)
    try:
        with tempfile.TemporaryDirectory(prefix="neve-doctor-") as folder:
            run(
                [path, "-x", "c", "-", "-o", f"{folder}/program"],
                stdin=b"#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n",
            )
    except ProcessError as error:
        raise MissingToolError(
            f"{compiler} can't make a program: {error.complaint}\napt-get install {package}"
        ) from error
    return run([path, "--version"]).splitlines()[0]


def _compiles_for_arm() -> str:
    prefix = Toolchain.find().prefix
    if not prefix:
        return _compiles("gcc", "libc6-dev")
    for program, package in CROSS_COMPILERS.items():
        require(program, package)
    return _compiles(f"{prefix}gcc", "libc6-dev-arm64-cross")


def _tried(what: str, look: Callable[[], str], fix: str = "", *, needed: bool = True) -> Finding:
    """What `look` finds, or what keeps it from that and how to fix it."""
    try:
        return Finding(what, True, look(), needed=needed)
    except (HarnessError, OSError, ValueError) as error:
        return _failed(what, error, fix, needed=needed)


def _failed(what: str, error: Exception, fix: str = "", *, needed: bool = True) -> Finding:
    said = str(explain(error) if isinstance(error, OSError) else error)
    found, _, rest = said.partition("\n")
    return Finding(what, False, found, rest.rpartition("\n")[2] or fix, needed=needed)
