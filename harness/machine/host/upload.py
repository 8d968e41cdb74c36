# SPDX-License-Identifier: MIT
"""Sends files to a server: once, whole or not at all, and from where an upload broke off.

Root writes them, from its standard input: the user who logs in never owns one. What has arrived is
copied into a file that no other process has open before it is compared, so that nobody, be it what
is left of an upload that broke off, can write to what has been compared.
"""

import re
import secrets
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import paramiko

from harness.deadline import Deadline
from harness.errors import GuestError, InfrastructureError
from harness.machine.console import Program
from harness.machine.host.protocol import Completed

_BEGIN_SECONDS = 60
_SILENCE_SECONDS = 60
_READ_SECONDS = 600  # in which a server reads a file of ours
_SPARE = 16 << 20  # bytes of the server's disk that are left to others


class Server(Protocol):
    """Where files are sent: what is ours there is below `root`. As `Host`, but programs may be
    started without a terminal, which would change the bytes that they read."""

    name: str
    root: str

    def run(self, command: str, *, timeout: float = 60, check: bool = True) -> Completed: ...

    def read(self, command: str, pattern: str) -> re.Match[str]: ...

    def start(self, argv: Sequence[str], name: str, *, terminal: bool = True) -> Program: ...

    def declare_lost(self, what: str) -> InfrastructureError:
        """The error of a server that `what` shows to be lost."""
        ...


def there(host: Server, digest: str, remote: str) -> bool:
    """Whether the file `remote` is there and has that SHA-256."""
    path = shlex.quote(remote)
    found = host.run(f"test -f {path} && sha256sum < {path}", check=False, timeout=_READ_SECONDS)
    return found.stdout.split()[:1] == [digest]


def send(host: Server, local: Path, digest: str, remote: str) -> None:
    """Make `local`, whose SHA-256 is `digest`, the file `remote`. Raises InfrastructureError."""
    incoming = f"{host.root}/incoming"
    partial, whole = f"{incoming}/{digest}.partial", f"{incoming}/{digest}"
    host.run(f"umask 077; mkdir -p {incoming}")
    size = local.stat().st_size
    for _ in range(2):
        start = _arrived(host, partial, size)
        _require_room(host, incoming, 2 * size - start)
        _append(host, local, partial, start)
        found = host.run(
            f"umask 077; rm -f {whole}; cp {partial} {whole} && sha256sum < {whole}",
            timeout=_READ_SECONDS,
        ).stdout.split()[:1]
        if found == [digest]:
            break
        host.run(f"rm -f {partial} {whole}")  # it was no part of the file: once more, anew
    else:
        raise InfrastructureError(f"host {host.name}: {local.name} arrived damaged, twice")
    folder, mode = remote.rpartition("/")[0], 700 if local.stat().st_mode & 0o100 else 600
    host.run(
        f"umask 077; mkdir -p {shlex.quote(folder)} && chmod {mode} {whole} && "
        f"{{ sync {whole} 2>/dev/null || sync; }} && mv -f {whole} {shlex.quote(remote)} && "
        f"rm {partial}",
        timeout=300,
    )


def _arrived(host: Server, partial: str, size: int) -> int:
    """Bytes that an upload which broke off has left; what is too long is none of it."""
    found = int(host.read(f"cat {partial} 2>/dev/null | wc -c", r"\s*(\d+)\s*")[1])
    if found <= size:
        return found
    host.run(f"rm -f {partial}")
    return 0


def _require_room(host: Server, folder: str, size: int) -> None:
    row = re.search(r"(\d+) +\d+% ", host.run(f"df -Pk {folder}", check=False).stdout)
    if row is None:  # a root in memory is no file system that df knows
        return
    free = int(row[1]) << 10
    if free < size + _SPARE:
        raise InfrastructureError(
            f"host {host.name}: disk full: {size >> 20} MiB are needed for what is sent, "
            f"{free >> 20} MiB are free below {host.root}"
        )


def _append(host: Server, local: Path, partial: str, start: int) -> None:
    ready, cause = f"@@ready-{secrets.token_hex(8)}", ""
    script = f"umask 077; echo {ready}; exec cat >> {partial}"
    program = host.start(["sh", "-c", script], "upload", terminal=False)
    try:
        program.expect(f"{ready}\n", Deadline(_BEGIN_SECONDS, "the upload"))
        with local.open("rb") as source:
            source.seek(start)
            program.feed(source, _SILENCE_SECONDS)
        if program.wait(Deadline(_SILENCE_SECONDS, "the end of the upload")):
            cause = "the file could not be written"
    except (paramiko.SSHException, OSError, EOFError, GuestError) as error:
        cause = str(error).partition("\n")[0] or type(error).__name__
    finally:
        said = program.console.tail().rpartition(ready)[2].strip()
        program.hang_up()
    if cause:
        raise host.declare_lost(
            f"sending {local.name} failed: {said or cause}; what has arrived is kept"
        )
