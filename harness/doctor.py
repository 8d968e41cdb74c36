# SPDX-License-Identifier: MIT
"""Says in plain words what a machine can and can't do, and how to fix it."""

import os
import platform
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import psutil

from harness.cache import Cache
from harness.debian import Debian
from harness.errors import HarnessError, MissingToolError
from harness.host.fabric_host import FabricHost
from harness.host.network import Network, network_of
from harness.host.ssh import ssh_host
from harness.image.emulator import emulator_at_hand
from harness.inventory import Inventory, SshHostSpec, parse_address
from harness.kernel.source import sources
from harness.kernel.track import Track, track_names
from harness.process import ProcessError, explain, require, run
from harness.programs import COMPILERS, PROGRAMS
from harness.toolchain import Toolchain

_DISK_GIB = 8
_MEMORY_GIB = 4
_SERVER_DISK_GIB = 0.5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `needed` findings that are not good stop a run."""

    what: str
    good: bool
    found: str
    fix: str = ""
    needed: bool = True

    def as_text(self) -> str:
        sign = "ok  " if self.good else "FAIL" if self.needed else "note"
        fix = f"\n      -> {self.fix}" if self.fix and not self.good else ""
        return f"{sign}  {self.what}: {self.found}{fix}"

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def examine(host: str | None, inventory: Path | None = None) -> list[Finding]:
    """Findings about this machine, or about `host` of the inventory or at that address."""
    if host is None:
        return list(_local())
    spec = Inventory.of(inventory).find(host) or parse_address(host)
    with (
        tempfile.TemporaryDirectory(prefix="neve-doctor-") as transcripts,
        ssh_host(spec, Path(transcripts)) as server,
    ):
        return list(server_findings(server, spec))


def _local() -> Iterator[Finding]:
    for program, package in PROGRAMS.items():
        yield _tried(program, partial(require, program, package))
    yield _tried("C compiler for this machine", partial(_compiles, "gcc", "libc6-dev"))
    yield _tried("C compiler for arm64", _compiles_for_arm)
    keyring = Debian.load().keyring
    yield Finding("Debian's keys", keyring.exists(), str(keyring),
                  "apt-get install debian-archive-keyring")
    try:
        cache = Cache.default()
        cache.root.mkdir(parents=True, exist_ok=True)
    except (HarnessError, OSError) as error:
        yield _failed("cache", error)
    else:
        yield from _cache_findings(cache)
    memory = psutil.virtual_memory().total / 2**30
    yield Finding("memory", memory > _MEMORY_GIB, f"{memory:.0f} GiB",
                  f"{_MEMORY_GIB} GiB are needed for a TCG machine")
    yield Finding("processors", (os.cpu_count() or 1) >= 2, f"{os.cpu_count()}",
                  "it works with one, slowly", needed=False)
    arm = platform.machine() == "aarch64" and Path("/dev/kvm").exists()
    yield Finding(
        "ARM hardware", arm, "KVM on ARM" if arm else "none: costs are instructions of an "
        "emulated processor, not cycles", "give a server with --host", needed=False,
    )


def _cache_findings(cache: Cache) -> Iterator[Finding]:
    """What is in the cache, and what its disk is like. Nothing is downloaded."""
    runs_programs = not os.statvfs(cache.root).f_flag & os.ST_NOEXEC
    writable = os.access(cache.root, os.W_OK)
    yield Finding(
        "cache", runs_programs and writable, str(cache.root) + (
            "" if runs_programs else " is mounted with noexec, but programs in it are run"
        ) + ("" if writable else " may not be written to"),
        "set NEVE_CACHE to another folder")
    free = shutil.disk_usage(cache.root).free / 2**30
    yield Finding("disk", free > _DISK_GIB, f"{free:.0f} GiB free for the cache",
                  f"{_DISK_GIB} GiB are needed: free some, or set NEVE_CACHE")
    for name in track_names():
        yield _tried(f"kernel source {name}", partial(_source, cache, name),
                     "it is downloaded when needed; without internet: "
                     f"neve kernel import --track {name}", needed=False)
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
    if platform.machine() != "x86_64":
        raise MissingToolError("QEMU is not installed\napt-get install qemu-system-arm")
    return "not in the cache: it is downloaded when needed"


def _compiles(compiler: str, package: str) -> str:
    """The version of `compiler`, which makes a program out of a small file."""
    path = require(compiler, compiler)
    try:
        with tempfile.TemporaryDirectory(prefix="neve-doctor-") as folder:
            run([path, "-x", "c", "-", "-o", f"{folder}/program"],
                stdin=b"#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n")
    except ProcessError as error:
        raise MissingToolError(
            f"{compiler} can't make a program: {error.complaint}\napt-get install {package}"
        ) from error
    return run([path, "--version"]).splitlines()[0]


def _compiles_for_arm() -> str:
    prefix = Toolchain.find().prefix
    if not prefix:
        return _compiles("gcc", "libc6-dev")
    for program, package in COMPILERS.items():
        require(program, package)
    return _compiles(f"{prefix}gcc", "libc6-dev-arm64-cross")


def _tried(
    what: str, look: Callable[[], str], fix: str = "", *, needed: bool = True
) -> Finding:
    """What `look` finds, or what keeps it from that and how to fix it."""
    try:
        return Finding(what, True, look(), needed=needed)
    except (HarnessError, OSError, ValueError) as error:
        return _failed(what, error, fix, needed=needed)


def _failed(what: str, error: Exception, fix: str = "", *, needed: bool = True) -> Finding:
    said = str(explain(error) if isinstance(error, OSError) else error)
    found, _, rest = said.partition("\n")
    return Finding(what, False, found, rest.rpartition("\n")[2] or fix, needed=needed)


def server_findings(host: FabricHost, spec: SshHostSpec) -> Iterator[Finding]:
    """What the machine behind `host` can do as L0: with the kernel that it runs or, as `spec`
    says, with one of ours."""

    def ask(command: str) -> str:
        return host.run(command, check=False).stdout.strip()

    machine = ask("uname -m")
    yield Finding("architecture", machine == "aarch64", machine, "L0 must be a 64-bit ARM machine")
    yield Finding("kernel", True, f"Linux {ask('uname -r')}")
    kvm = ask("test -c /dev/kvm && echo yes")
    yield Finding("KVM (EL2)", kvm == "yes", "/dev/kvm is there" if kvm else "no /dev/kvm",
                  "the firmware must start Linux in EL2, and the kernel needs CONFIG_KVM; on "
                  "QEMU: -machine virtualization=on")
    yield _nesting(ask, spec.boots_ours)
    gic = ask("dmesg 2>/dev/null | grep -o 'GICv[234]' | head -n 1")
    yield Finding("interrupt controller", True, gic or "not named in the kernel's log")
    if spec.boots_ours:
        yield from _one_shot_findings(host, spec, ask)
    else:
        version = ask("qemu-system-aarch64 --version | head -n 1")
        yield Finding("VMM", bool(version), version or "no qemu-system-aarch64",
                      "apt-get install qemu-system-arm (10.1 or newer for nested guests)")
    hist = ask("test -w /sys/kernel/tracing/events/kvm/kvm_exit/trigger && "
               "test -e /sys/kernel/tracing/events/kvm/kvm_exit/hist && echo yes")
    yield Finding("trap counts", hist == "yes", "KVM tracepoints with histograms" if hist else
                  "no histograms of KVM tracepoints",
                  "the kernel needs CONFIG_HIST_TRIGGERS", needed=False)
    yield Finding("processors", True, ask("nproc"))
    yield Finding("memory", True, ask("sed -n 's/MemAvailable: *//p' /proc/meminfo") + " free")


def _nesting(ask: Callable[[str], str], ours: bool) -> Finding:
    """Whether there is FEAT_NV2. Linux shows no program ID_AA64MMFR2_EL1.NV, and its own log names
    the feature only if nesting is asked for: without that the processor's name has to do."""
    mode = ask("dmesg 2>/dev/null | sed -n 's/.*kvm \\[1\\]: \\(.*mode initialized.*\\)/\\1/p' "
               "| tail -n 1") or "the kernel's log does not say"
    nested = "NV2" in mode
    if not nested:
        midr = ask("cat /sys/devices/system/cpu/cpu0/regs/identification/midr_el1 2>/dev/null")
        lacks = ask("dmesg 2>/dev/null | grep 'unavailable: Nested Virtualization Support'")
        mode += f"; processor {midr or 'without a name'}: " + (
            "no FEAT_NV2, says the kernel" if lacks else "FEAT_NV2 is not told")
    needs = "needs FEAT_NV2 (ARMv8.4: Neoverse V1 and later; QEMU -cpu max), Linux 6.16 or newer " \
            "and kvm-arm.mode=nested on the kernel's command line"
    return Finding(
        "nested virtualization", nested, mode,
        f"{needs}; our kernel will tell whether the processor has it" if ours else needs,
        needed=False,
    )


def _one_shot_findings(
    host: FabricHost, spec: SshHostSpec, ask: Callable[[str], str]
) -> Iterator[Finding]:
    """Whether a kernel of ours can be booted once; VMM and kexec come with the harness."""
    if spec.entry:
        program = spec.entry.split()[0]
        found = ask(f"command -v {shlex.quote(program)}")
        yield Finding("boot loader's entry", bool(found), found or f"no {program}",
                      f"install {program}, or another `entry` in the inventory")
    else:
        able = ask("test -e /sys/kernel/kexec_loaded && echo yes")
        yield Finding("kexec", able == "yes", "the kernel has it" if able else
                      "the kernel has none", "the kernel needs CONFIG_KEXEC or CONFIG_KEXEC_FILE")
    uefi = ask("test -d /sys/firmware/efi && echo yes") == "yes"
    yield Finding("firmware", spec.uefi or not uefi, "UEFI" if uefi else "no UEFI",
                  "our kernel must know it: no `uefi: false` in the inventory")
    lockdown = ask(r"sed -n 's/.*\[\(.*\)\].*/\1/p' /sys/kernel/security/lockdown 2>/dev/null")
    yield Finding("lockdown", lockdown in ("", "none"), lockdown or "none",
                  "a locked down kernel boots signed ones only: switch Secure Boot off")
    yield _tried("network", lambda: _card(network_of(host)))
    folder = f"{host.root} 2>/dev/null || df -Pk {host.root.rpartition('/')[0]} || df -Pk /"
    free = int((ask(f"{{ df -Pk {folder}; }} | tail -n 1").split() or ["0"] * 6)[-3]) / 2**20
    yield Finding("disk", free >= _SERVER_DISK_GIB, f"{free:.1f} GiB free for {host.root}",
                  f"{_SERVER_DISK_GIB} GiB are needed; or another `root` in the inventory",
                  needed=False)  # what is there already needs none
    yield Finding("SSH server", True, ask("sshd -V 2>&1 | head -n 1") or "it answers")


def _card(network: Network) -> str:
    return f"{network.interface} {network.address}, driver {network.driver}"
