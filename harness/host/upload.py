# SPDX-License-Identifier: MIT
"""Files on to a server: once, whole or not at all, and on from where an upload broke off."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from harness.errors import InfrastructureError

if TYPE_CHECKING:
    from harness.host.fabric_host import FabricHost

_CHUNK = 1 << 18
_SILENCE_SECONDS = 60
_SPARE = 16 << 20  # bytes of the server's disk that are left to others


def send(host: "FabricHost", local: Path, digest: str, remote: str) -> None:
    """Make `local`, whose SHA-256 is `digest`, the file `remote`.

    It is written beside under its hash, by the user who logs in, compared, and renamed. What an
    interrupted upload left is gone on with. Raises InfrastructureError.
    """
    incoming = f"{host.root}/incoming"
    partial = f"{incoming}/{digest}"
    host.run(
        f"umask 022; mkdir -p {incoming} && chmod 700 {incoming} && "
        f"chown {shlex.quote(host.connection.user)} {incoming}"
    )
    size = local.stat().st_size
    for _ in range(2):
        _require_room(host, incoming, size)
        _append(host, local, partial, size)
        found = host.run(f"sha256sum < {partial}", timeout=600).stdout.split()[0]
        if found == digest:
            break
        host.run(f"rm -f {partial}")  # what was there was not a part of it: once more, anew
    else:
        raise InfrastructureError(f"host {host.name}: {local.name} arrived damaged, twice")
    folder, mode = remote.rpartition("/")[0], 755 if local.stat().st_mode & 0o100 else 644
    host.run(
        f"umask 022; mkdir -p {shlex.quote(folder)} && chown 0:0 {partial} && "
        f"chmod {mode} {partial} && {{ sync {partial} 2>/dev/null || sync; }} && "
        f"mv {partial} {shlex.quote(remote)}",
        timeout=300,
    )


def _require_room(host: "FabricHost", folder: str, size: int) -> None:
    row = re.search(r"(\d+) +\d+% ", host.run(f"df -Pk {folder}", check=False).stdout)
    if row is None:  # a root in memory is no file system that df knows
        return
    free = int(row[1]) << 10
    if free < size + _SPARE:
        raise InfrastructureError(
            f"host {host.name}: disk full: {size >> 20} MiB are to be sent, "
            f"{free >> 20} MiB are free below {host.root}"
        )


def _append(host: "FabricHost", local: Path, partial: str, size: int) -> None:
    try:
        with host.connection.client.open_sftp() as sftp, local.open("rb") as source:
            sftp.get_channel().settimeout(_SILENCE_SECONDS)
            there = _size(sftp, partial)
            start = there if there <= size else 0
            with sftp.open(partial, "ab" if start else "wb") as target:
                target.set_pipelined(True)
                source.seek(start)
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise host.lost(
            f"sending {local.name} failed: {error or type(error).__name__}; "
            "what has arrived is kept"
        ) from error


def _size(sftp: paramiko.SFTPClient, path: str) -> int:
    try:
        return sftp.stat(path).st_size or 0
    except FileNotFoundError:
        return 0
