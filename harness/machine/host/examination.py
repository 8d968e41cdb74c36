# SPDX-License-Identifier: MIT
"""What a server can do as L0. This looks for what a run will need, and changes nothing there."""

import re
import shlex
from collections.abc import Callable, Iterator

import paramiko

from harness.errors import HarnessError
from harness.finding import Finding
from harness.machine.host.fabric_host import FabricHost
from harness.machine.host.folder import STATE, examine
from harness.machine.host.network import network_of
from harness.machine.host.pinning import usable_cpus
from harness.model.faults import faults_of
from harness.model.inventory import SshHostSpec
from harness.model.kernel_choice import Level

_DISK_GIB = 0.5
_INODES = 200
_SESSIONS = 3  # the lock's, a VMM's, and one for commands
_Ask = Callable[[str], str]


def server_findings(host: FabricHost, spec: SshHostSpec) -> Iterator[Finding]:
    """What the machine behind `host` can do as L0: with the kernel that it runs or, as `spec`
    says, with one of ours. What can't be looked at is a finding, too; a lost connection is an
    error."""

    def ask(command: str) -> str:
        return host.run(command, check=False).stdout.strip()

    common: list[tuple[str, bool, Callable[[], Finding]]] = [
        ("architecture", True, lambda: _architecture(ask)),
        ("kernel", True, lambda: Finding("kernel", True, f"Linux {ask('uname -r')}")),
        ("KVM (EL2)", True, lambda: _kvm(ask)),
        ("nested virtualization", False, lambda: _nesting(ask, spec.boots_ours)),
        ("interrupt controller", False, lambda: _gic(ask)),
    ]
    one_shot: list[tuple[str, bool, Callable[[], Finding]]] = [
        ("boot loader's entry", True, lambda: _entry(ask, spec.entry or ""))
        if spec.entry
        else ("kexec", True, lambda: _kexec(ask)),
        ("firmware", True, lambda: _firmware(ask, spec)),
        ("lockdown", True, lambda: _lockdown(ask)),
        ("kexec's signatures", False, lambda: _signatures(ask)),
        ("network", True, lambda: _network(host)),
    ]
    own: list[tuple[str, bool, Callable[[], Finding]]] = [
        ("known faults", False, lambda: _faults(ask)),
        ("VMM", True, lambda: _vmm(ask)),
        ("taskset", True, lambda: _taskset(ask)),
        ("trap counts", False, lambda: _histograms(ask)),
    ]
    rest: list[tuple[str, bool, Callable[[], Finding]]] = [
        ("folder", True, lambda: _ours(host)),
        ("disk", False, lambda: _disk(ask, host.root)),
        ("sessions", False, lambda: _sessions(host)),
        ("processors", True, lambda: _processors(host)),
        ("memory", False, lambda: _memory(ask)),
        ("SSH server", False, lambda: _ssh_server(host)),
    ]
    for what, needed, look in [*common, *(one_shot if spec.boots_ours else own), *rest]:
        try:
            yield look()
        except HarnessError as error:
            if not host.connection.is_connected:
                raise
            yield Finding(what, False, str(error).splitlines()[0], needed=needed)


def _architecture(ask: _Ask) -> Finding:
    machine = ask("uname -m")
    return Finding("architecture", machine == "aarch64", machine, "L0 must be a 64-bit ARM machine")


def _kvm(ask: _Ask) -> Finding:
    kvm = ask("test -c /dev/kvm && echo yes") == "yes"
    return Finding(
        "KVM (EL2)",
        kvm,
        "/dev/kvm is there" if kvm else "no /dev/kvm",
        "the firmware must start Linux in EL2, and the kernel needs CONFIG_KVM; on "
        "QEMU: -machine virtualization=on",
    )


def _gic(ask: _Ask) -> Finding:
    gic = ask("dmesg 2>/dev/null | grep -o 'GICv[234]' | head -n 1")
    return Finding("interrupt controller", True, gic or "not named in the kernel's log")


def _nesting(ask: Callable[[str], str], ours: bool) -> Finding:
    """Whether there is FEAT_NV2. Linux shows no program ID_AA64MMFR2_EL1.NV, and its own log names
    the feature only if nesting is asked for: without that the processor's name has to do."""
    mode = (
        ask(
            "dmesg 2>/dev/null | sed -n 's/.*kvm \\[1\\]: \\(.*mode initialized.*\\)/\\1/p' "
            "| tail -n 1"
        )
        or "the kernel's log does not say"
    )
    nested = "NV2" in mode
    if not nested:
        midr = ask("cat /sys/devices/system/cpu/cpu0/regs/identification/midr_el1 2>/dev/null")
        lacks = ask("dmesg 2>/dev/null | grep 'unavailable: Nested Virtualization Support'")
        mode += f"; processor {midr or 'without a name'}: " + (
            "no FEAT_NV2, says the kernel" if lacks else "FEAT_NV2 is not told"
        )
    needs = (
        "needs FEAT_NV2 (ARMv8.4: Neoverse V1 and later; QEMU -cpu max), Linux 6.16 or newer "
        "and kvm-arm.mode=nested on the kernel's command line"
    )
    return Finding(
        "nested virtualization",
        nested,
        mode,
        f"{needs}; our kernel will tell whether the processor has it" if ours else needs,
        needed=False,
    )


def _faults(ask: _Ask) -> Finding:
    release = ask("uname -r")
    found = faults_of(Level.L0, release)
    return Finding(
        "known faults",
        not found,
        "; ".join(fault.breaks for fault in found) or f"none of nested KVM in Linux {release}",
        "; ".join(f"{fault.fix} ({fault.sources[0]})" for fault in found),
        needed=False,
    )


def _entry(ask: _Ask, command: str) -> Finding:
    program = command.split(maxsplit=1)[0]
    found = ask(f"command -v {shlex.quote(program)}")
    return Finding(
        "boot loader's entry",
        bool(found),
        found or f"no {program}",
        f"install {program}, or another `entry` in the inventory",
    )


def _kexec(ask: _Ask) -> Finding:
    """A sysctl that says no does so until the next boot."""
    if ask("test -e /sys/kernel/kexec_loaded && echo yes") != "yes":
        return Finding(
            "kexec",
            False,
            "the kernel has none",
            "the kernel needs CONFIG_KEXEC or CONFIG_KEXEC_FILE, or the inventory `boot: entry`",
        )
    for name, bad in (("kexec_load_disabled", "1"), ("kexec_load_limit_reboot", "0")):
        if ask(f"cat /proc/sys/kernel/{name} 2>/dev/null") == bad:
            return Finding(
                "kexec",
                False,
                f"kernel.{name} is {bad}",
                "only a boot takes that back: look for it in /etc/sysctl.d; or "
                "`boot: entry` in the inventory",
            )
    return Finding("kexec", True, "the kernel has it and allows it")


def _firmware(ask: _Ask, spec: SshHostSpec) -> Finding:
    uefi = ask("test -d /sys/firmware/efi && echo yes") == "yes"
    return Finding(
        "firmware",
        spec.uefi or not uefi,
        "UEFI" if uefi else "no UEFI",
        "our kernel must know it: no `uefi: false` in the inventory",
    )


def _lockdown(ask: _Ask) -> Finding:
    mode = ask(r"sed -n 's/.*\[\(.*\)\].*/\1/p' /sys/kernel/security/lockdown 2>/dev/null")
    return Finding(
        "lockdown",
        mode in ("", "none"),
        mode or "none",
        "a locked down kernel boots signed ones only: switch Secure Boot off",
    )


def _signatures(ask: _Ask) -> Finding:
    forced = ask(
        "{ zcat /proc/config.gz || cat /boot/config-$(uname -r); } 2>/dev/null | "
        "grep -x CONFIG_KEXEC_SIG_FORCE=y"
    )
    return Finding(
        "kexec's signatures",
        not forced,
        forced or "not asked for",
        "the kernel may refuse ours: then `boot: entry` in the inventory",
        needed=False,
    )


def _network(host: FabricHost) -> Finding:
    card = network_of(host)
    way = f" by {card.gateway}" if card.gateway else ""
    return Finding("network", True, f"{card.interface} {card.address}{way}, driver {card.driver}")


def _vmm(ask: _Ask) -> Finding:
    version = ask("qemu-system-aarch64 --version | head -n 1")
    return Finding(
        "VMM",
        bool(version),
        version or "no qemu-system-aarch64",
        "apt-get install qemu-system-arm (10.1 or newer for nested guests)",
    )


def _taskset(ask: _Ask) -> Finding:
    found = ask("command -v taskset")
    return Finding(
        "taskset",
        bool(found),
        found or "no taskset: vCPUs can't be pinned",
        "apt-get install util-linux",
    )


def _histograms(ask: _Ask) -> Finding:
    where = "/sys/kernel/tracing/events/kvm/kvm_exit"
    if ask(f"test -w {where}/trigger && test -e {where}/hist && echo yes") == "yes":
        return Finding("trap counts", True, "KVM tracepoints with histograms")
    mounted = ask("grep -q ' /sys/kernel/tracing ' /proc/mounts && echo yes")
    known = ask("grep -qw tracefs /proc/filesystems && echo yes")
    if known and not mounted:
        return Finding("trap counts", True, "tracefs is there; a run mounts it")
    return Finding(
        "trap counts",
        False,
        "no histograms of KVM tracepoints" if known else "the kernel has no tracefs",
        "the kernel needs CONFIG_HIST_TRIGGERS; without it costs are measured, but no traps",
        needed=False,
    )


def _ours(host: FabricHost) -> Finding:
    """Whether nobody but root could change what root is to run."""
    there = [path for path in (STATE, host.root) if examine(host, path)]
    return Finding("folder", True, f"{host.root} is {'there' if host.root in there else 'free'}")


def _processors(host: FabricHost) -> Finding:
    return Finding("processors", True, f"{len(usable_cpus(host))}")


def _disk(ask: _Ask, root: str) -> Finding:
    def free(option: str) -> int | None:
        folders = " || ".join(
            f"df -P{option} {shlex.quote(folder)} 2>/dev/null"
            for folder in (root, root.rpartition("/")[0], "/")
        )
        row = re.search(r"(\d+) +(?:\d+%|-) ", ask(f"{{ {folders}; }} | tail -n 1"))
        return int(row[1]) if row else None

    space, inodes = (free("k") or 0) / 2**20, free("i")
    few = bool(inodes is not None and inodes < _INODES)  # some file systems have no number
    if few and ask(f"df -Pi {shlex.quote(root.rpartition('/')[0])} | grep -c ' 0  *0  *0 '") == "1":
        few = False
    found = f"{space:.1f} GiB" + (f" and {inodes} inodes" if inodes else "")
    return Finding(
        "disk",
        space >= _DISK_GIB and not few,
        f"{found} free for {root}",
        f"{_DISK_GIB} GiB and {_INODES} inodes are needed; or another `root` in the inventory",
        needed=False,
    )  # what is there already needs none


def _sessions(host: FabricHost) -> Finding:
    """How many may be open at once in one connection."""
    channels: list[paramiko.Channel] = []
    try:
        while len(channels) < _SESSIONS:
            channels.append(host.connection.transport.open_session())
    except paramiko.ChannelException:
        pass
    finally:
        for channel in channels:
            channel.close()
    enough = len(channels) == _SESSIONS
    return Finding(
        "sessions",
        enough,
        "enough" if enough else f"{len(channels)} a connection",
        "each program gets a connection of its own; MaxSessions in sshd_config spares them",
        needed=False,
    )


def _memory(ask: _Ask) -> Finding:
    free = ask("sed -n 's/MemAvailable: *//p' /proc/meminfo")
    return Finding("memory", True, f"{free} free")


def _ssh_server(host: FabricHost) -> Finding:
    return Finding("SSH server", True, host.connection.transport.remote_version)
