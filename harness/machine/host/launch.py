# SPDX-License-Identifier: MIT
"""How a server gets to boot our kernel, once: by kexec, or by an entry of its boot loader."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.build.image.server_tools import BUSYBOX, KEXEC, LOADER
from harness.machine.host.fabric_host import FabricHost
from harness.machine.host.keys import authorized_line
from harness.machine.host.lock import LOCK, Record
from harness.machine.host.network import network_of
from harness.model.inventory import SshHostSpec

_SYSTEMD = "test -d /run/systemd/system"


@dataclass(frozen=True)
class OneShot:
    """What boots. `files` are found by `put` in L0 too; `version` is the kernel's; `tools` are
    an archive of programs for the server."""

    kernel: Path
    version: str
    initramfs: Path
    arguments: tuple[str, ...]
    files: tuple[Path, ...]
    tools: Path


@dataclass(frozen=True)
class Start:
    """`command` ends the server's own kernel for ours; `cancel` undoes what was made ready."""

    command: str
    cancel: str


def load(
    host: FabricHost, boot: OneShot, spec: SshHostSpec, key: Ed25519PrivateKey, token: str
) -> Start:
    """Make the server ready to boot L0, once.

    By kexec all is in its memory then. A boot loader finds it in our folder until `unload`.
    """
    kernel, tools = host.put(boot.kernel), _unpacked(host, boot.tools)
    _pack(host, boot, key, tools)
    line = " ".join(
        [
            *boot.arguments,
            *_consoles(host),
            network_of(host).argument(),
            f"neve.boot={token}",
            f"neve.silence={spec.silence}",
            *(["neve.shell=1"] if spec.console_shell else []),
            *_isolation(spec),
            *_without_lpis(host),
        ]
    )
    if spec.entry:
        return _by_entry(host, spec.entry, kernel, line)
    return _by_kexec(host, tools, kernel, line)


def _by_kexec(host: FabricHost, tools: str, kernel: str, line: str) -> Start:
    kexec, folder = _kexec(tools), _folder(host)
    host.run(
        f"{kexec} -a -l {kernel} --initrd={folder}/initrd --command-line={shlex.quote(line)}; "
        f"status=$?; rm -rf {folder}; exit $status",
        timeout=300,
    )
    # If systemd refuses, that is final. Without systemd, nothing else stops the services.
    return Start(
        f"if {_SYSTEMD}; then systemctl kexec --no-block; else "
        f"sync; echo u > /proc/sysrq-trigger; {kexec} -e; fi",
        f'test "$(cat /sys/kernel/kexec_loaded)" = 0 || {kexec} -u',
    )


def _by_entry(host: FabricHost, choose: str, kernel: str, line: str) -> Start:
    """The commands of GRUB's entry for us are in our folder; it is chosen for the next boot. What
    the firmware does not start must not end in a menu that waits for a key."""
    folder = _folder(host)
    script = f"linux {folder}/kernel {line}\ninitrd {folder}/initrd\nboot\nreboot\n"
    host.run(
        f"umask 077; cp {kernel} {folder}/kernel && printf %s {shlex.quote(script)} > "
        f"{folder}/grub.cfg && sync && {{ {choose}; }}",
        timeout=120,
    )
    return Start(f"if {_SYSTEMD}; then systemctl reboot --no-block; else reboot; fi", "true")


def unload(host: FabricHost, start: Start | None) -> None:
    """Remove what a boot loader, or the server's next reboot, would boot."""
    host.run(
        f"rm -rf {_folder(host)}{f'; {start.cancel}' if start else ''}", check=False, timeout=120
    )


def _folder(host: FabricHost) -> str:
    return f"{host.root}/boot"


def _pack(host: FabricHost, boot: OneShot, key: Ed25519PrivateKey, tools: str) -> None:
    """L0's root: ours, and behind it what belongs to this server and to this boot: its host keys,
    who may log in, whose lock it is, for others as well, and our files."""
    root, files = host.put(boot.initramfs), [host.put(file) for file in boot.files]
    folder = _folder(host)
    user = host.connection.user
    home = f"$(getent passwd {shlex.quote(user)} | cut -d: -f6)"
    users = "".join(f"{name}::0:0::/root:/bin/sh\n" for name in dict.fromkeys(["root", user]))
    wanted = [*files, LOCK]
    parents = sorted(
        {str(parent)[1:] for file in (*wanted, "/etc/ssh/x") for parent in Path(file).parents}
        - {""}
    )
    names = " ".join(shlex.quote(name) for name in [*parents, *(file[1:] for file in wanted)])
    record = Record.parse(host.run(f"cat {LOCK}").stdout)
    banner = shlex.quote(f"neve: in use by {record}\n")
    pack = f"{tools}/{BUSYBOX} cpio -o -H newc"
    host.run(
        f"umask 077; rm -rf {folder}; mkdir -p {folder}/tree/etc {folder}/tree/root/.ssh && "
        f"cd {folder}/tree && printf %s {shlex.quote(users)} > etc/passwd && "
        f"printf %s {banner} > etc/banner && "
        f"{{ printf %s {shlex.quote(authorized_line(key).decode())}; "
        f"cat {home}/.ssh/authorized_keys 2>/dev/null; }} > root/.ssh/authorized_keys; "
        f"{{ cat {root} && cd / && {{ printf '%s\n' {names}; ls etc/ssh/ssh_host_*_key; }} "
        f"| {pack} && cd {folder}/tree && find . | {pack}; }} > {folder}/initrd",
        timeout=300,
    )


def _consoles(host: FabricHost) -> list[str]:
    return [
        word
        for word in host.run("cat /proc/cmdline").stdout.split()
        if re.fullmatch(r"(console=|earlycon)[\w,=.:/-]*", word)
    ]


def _unpacked(host: FabricHost, tools: Path) -> str:
    """The folder of the programs of ours on the server, as they are in their archive."""
    archive, folder = host.put(tools), f"{host.root}/tools"
    host.run(
        f"rm -rf {folder} && mkdir -m 700 {folder} && tar -xf {archive} -C {folder}", timeout=120
    )
    return folder


def _kexec(tools: str) -> str:
    """kexec with its own loader and libraries, so the distribution does not matter."""
    return f"{tools}/{LOADER} --library-path $(echo {tools}/usr/lib/*-linux-gnu) {tools}/{KEXEC}"


def _without_lpis(host: FabricHost) -> list[str]:
    """The server's kernel has given its GICv3 a table of LPIs. Where firmware can't say so to the
    next kernel, kexec may put our root there, and our driver of LPIs would reset it: a hole of 64
    KiB, in the VMM for one."""
    return [] if host.attempt("test -d /sys/firmware/efi") else ["irqchip.gicv3_nolpi=1"]


def _isolation(spec: SshHostSpec) -> list[str]:
    """Keeps everything but guests off their CPUs. No nohz_full: what it does at each entry into
    the kernel would be measured."""
    return [f"isolcpus={spec.cpus}"] if spec.cpus else []
