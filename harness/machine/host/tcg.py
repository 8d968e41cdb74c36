# SPDX-License-Identifier: MIT
"""A QEMU TCG machine that the harness starts, and then drives as any other host.

With `-icount shift=0` one instruction is one nanosecond of the machine's time, so every
counter in it counts instructions. Seeds and clocks are pinned, so that a repetition takes
the same path.
"""

import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.build.image.cpio import ArchiveMember
from harness.build.image.emulator import Emulator
from harness.deadline import Deadline
from harness.errors import GuestError, InfrastructureError
from harness.machine.console import Console, Shell
from harness.machine.host.board import initrd_of, machine_argv
from harness.machine.host.connection import SshConnection
from harness.machine.host.fabric_host import FabricHost
from harness.machine.host.identities import Identities
from harness.machine.host.keys import authorized_line, dropbear_format, paramiko_key
from harness.machine.host.known_hosts import KnownKeys
from harness.machine.host.openssh import Settings
from harness.model.machine import TcgMachine
from harness.process import mortal

SHARE = "/mnt"  # where L0's init mounts the artifacts
_BOOT_SECONDS = 120
_PORT_TRIES = 3
_ANSWER_SECONDS = 10
_PROMPT = "l0# "
_REGISTERS = r"PC=[\s\S]*\(qemu\)"
MONITOR = "\x01c"  # of a console that QEMU's monitor shares: goes to the other one


@dataclass(frozen=True)
class _Keys:
    """Throw-away key pairs of one boot; nothing of them touches the disk."""

    host: Ed25519PrivateKey
    user: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> "_Keys":
        return cls(Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate())

    def archive_entries(self) -> Iterator[ArchiveMember]:
        """What L0's init finds beside the image: its host key and who may log in."""
        yield ArchiveMember("root", stat.S_IFDIR | 0o700)
        yield ArchiveMember("root/.ssh", stat.S_IFDIR | 0o700)
        yield ArchiveMember(
            "root/.ssh/authorized_keys", stat.S_IFREG | 0o600, authorized_line(self.user)
        )
        yield ArchiveMember("etc/dropbear", stat.S_IFDIR | 0o700)
        yield ArchiveMember(
            "etc/dropbear/dropbear_ed25519_host_key",
            stat.S_IFREG | 0o600,
            dropbear_format(self.host),
        )


class TcgHost(FabricHost):
    """The running machine."""

    def __init__(
        self, name: str, connection: SshConnection, transcripts: Path, serial: Console, share: Path
    ) -> None:
        super().__init__(name, connection, transcripts, root="/run/neve")
        self._serial = serial
        self._share = share

    def require_alive(self) -> None:
        self._serial.check()

    def describe_silence(self) -> str:
        """Who is silent, and what L0's CPUs are at: both are in its transcript."""
        where = f"console: {self._serial.transcript}"
        registers = f"{MONITOR}info registers -a\n"
        if not self._serial.answers(registers, _REGISTERS, _ANSWER_SECONDS):
            return f"nor does its emulator answer; {where}"
        alive = self._serial.answers(f"{MONITOR}\n", _PROMPT, _ANSWER_SECONDS)
        return f"its console does{'' if alive else ' not'} answer; its registers: {where}"

    def put(self, local: Path) -> str:
        """Artifacts are seen through the share; other files are sent."""
        path = local.resolve()
        if path.is_relative_to(self._share):
            return f"{SHARE}/{path.relative_to(self._share)}"
        return super().put(local)

    def reboot(self, timeout: float) -> None:
        self._serial.forget()  # a boot that is wanted must not look like a reboot loop
        super().reboot(timeout)

    def close(self) -> None:
        super().close()
        self._serial.close()


@contextmanager
def tcg_host(
    name: str, emulator: Emulator, machine: TcgMachine, *, share: Path, transcripts: Path
) -> Iterator[TcgHost]:
    """Boot `machine` and log in; `share` is what L0 sees below /mnt, read-only.

    Raises GuestError if L0 does not boot, InfrastructureError if it can't be reached.
    """
    keys = _Keys.generate()
    serial, port = _boot(name, emulator, machine, keys, share, transcripts)
    host = TcgHost(name, _connection(keys, port), transcripts, serial, share.resolve())
    try:
        host.connect(_BOOT_SECONDS)
        yield host
    finally:
        host.close()


def _boot(
    name: str,
    emulator: Emulator,
    machine: TcgMachine,
    keys: _Keys,
    share: Path,
    transcripts: Path,
) -> tuple[Console, int]:
    for attempt in range(1, _PORT_TRIES + 1):
        port = _free_port()
        with initrd_of(Path(machine.initramfs), keys.archive_entries()) as initrd:
            argv = machine_argv(emulator, machine, share=share, initrd=initrd, port=port)
            serial = Console.of_process(mortal(argv, "KILL"), "l0", transcripts / f"{name}-l0.log")
            try:
                Shell(serial, _PROMPT).ready(Deadline(_BOOT_SECONDS, "L0 to boot"))
            except GuestError as error:
                serial.close()
                taken = "Could not set up host forwarding rule" in str(error)
                if taken and attempt < _PORT_TRIES:
                    continue
                raise
            except BaseException:
                serial.close()
                raise
        return serial, port
    raise InfrastructureError("no free port on the loopback interface")


def _connection(keys: _Keys, port: int) -> SshConnection:
    there = Settings.of_machine("127.0.0.1", port)
    known = KnownKeys(there.names[0]).plus(paramiko_key(keys.host))
    return SshConnection.to(there, known, Identities(there, paramiko_key(keys.user)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
