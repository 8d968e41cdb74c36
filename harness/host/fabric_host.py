# SPDX-License-Identifier: MIT
"""The one implementation of commands, files and consoles: Fabric over SSH."""

import io
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import paramiko
from fabric import Connection
from invoke.exceptions import CommandTimedOut

from harness.cache import file_sha256
from harness.console import Console, Program
from harness.errors import HarnessError, InfrastructureError, UnreachableError
from harness.host.protocol import Completed

_UNREACHABLE = (paramiko.SSHException, OSError, EOFError)
_PREPARE = (
    "mount | grep -q ' /sys/kernel/tracing ' || mount -t tracefs tracefs /sys/kernel/tracing; "
    "mkdir -p {store}"
)


class FabricHost:
    """A host behind an SSH server. Subclasses say how to reach it and what else it shares."""

    def __init__(
        self, name: str, connection: Connection, transcripts: Path, *, sudo: bool, store: str
    ) -> None:
        self.name = name
        self.connection = connection
        self._transcripts = transcripts
        self._sudo = sudo
        self._store = store

    def connect(self, timeout: float) -> None:
        """Connect, and make ready what measurements need."""
        try:
            self.connection.connect_timeout = timeout
            self.connection.open()
            self.connection.transport.set_keepalive(30)
        except _UNREACHABLE as error:
            self.healthy()
            raise UnreachableError(
                f"host {self.name} ({self.connection.user}@{self.connection.host}:"
                f"{self.connection.port}) can't be reached: {error or type(error).__name__}"
            ) from error
        self.run(_PREPARE.format(store=shlex.quote(self._store)))

    def healthy(self) -> None:
        """Raise if the machine below is known to be dead; subclasses know how to tell."""

    def run(self, command: str, *, timeout: float = 60, check: bool = True) -> Completed:
        try:
            result = self.connection.run(
                self._as_root(["sh", "-c", command]), hide=True, warn=True, timeout=timeout,
                in_stream=False, encoding="utf-8",
            )
        except (CommandTimedOut, *_UNREACHABLE) as error:
            self.healthy()
            raise InfrastructureError(
                f"host {self.name}: {command!r} got no answer within {timeout:.0f} s "
                f"({type(error).__name__})"
            ) from error
        if check and result.exited:
            raise InfrastructureError(
                f"host {self.name}: {command!r} ended with status {result.exited}: "
                f"{(result.stderr or result.stdout).strip()}"
            )
        return Completed(result.exited, result.stdout, result.stderr)

    def attempt(self, command: str) -> bool:
        return self.run(command, check=False).status == 0

    def put(self, local: Path) -> str:
        folder = f"{self._store}/{file_sha256(local)[:16]}"
        remote = f"{folder}/{local.name}"
        if self.run(f"test -f {shlex.quote(remote)}", check=False).status == 0:
            return remote
        self.run(f"mkdir -p {shlex.quote(folder)}")
        partial = f"{remote}.part"
        try:
            self.connection.put(str(local), partial)
        except _UNREACHABLE as error:
            self.healthy()
            raise InfrastructureError(
                f"host {self.name}: sending {local.name} failed: {error}"
            ) from error
        mode = 755 if local.stat().st_mode & 0o100 else 644
        self.run(f"chmod {mode} {shlex.quote(partial)} && "
                 f"mv {shlex.quote(partial)} {shlex.quote(remote)}")
        return remote

    def get(self, remote: str) -> bytes:
        sink = io.BytesIO()
        try:
            self.connection.get(remote, sink)
        except _UNREACHABLE as error:
            self.healthy()
            raise InfrastructureError(
                f"host {self.name}: fetching {remote} failed: {error}"
            ) from error
        return sink.getvalue()

    def start(self, argv: Sequence[str], name: str) -> Program:
        try:
            channel = self.connection.transport.open_session(timeout=30)
            channel.get_pty(term="dumb", width=200, height=50)
            channel.exec_command(self._as_root(argv))
        except _UNREACHABLE as error:
            self.healthy()
            raise InfrastructureError(
                f"host {self.name}: could not start {argv[0]}: {error}"
            ) from error
        transcript = self._transcripts / f"{self.name}-{name}.log"
        return Program(Console.of_channel(channel, name, transcript, self.healthy))

    def reboot(self, timeout: float) -> None:
        before = self._boot_id()
        end = time.monotonic() + timeout
        self.run("(sleep 1; reboot -f) >/dev/null 2>&1 &", check=False)
        self.connection.close()
        while time.monotonic() < end:
            self.healthy()
            try:
                self.connect(min(10.0, max(1.0, end - time.monotonic())))
                if self._boot_id() != before:
                    return
                self.connection.close()
            except HarnessError:
                self.connection.close()
            time.sleep(0.5)
        raise InfrastructureError(
            f"host {self.name} did not come back with a new boot_id within {timeout:.0f} s"
        )

    def close(self) -> None:
        self.connection.close()

    def _boot_id(self) -> str:
        return self.run("cat /proc/sys/kernel/random/boot_id", timeout=20).stdout.strip()

    def _as_root(self, argv: Sequence[str]) -> str:
        return shlex.join(["sudo", "-n", *argv] if self._sudo else argv)
