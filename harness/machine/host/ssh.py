# SPDX-License-Identifier: MIT
"""An ARM server that is there already, reached over SSH as OpenSSH would reach it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko

from harness.errors import NotNowError
from harness.machine.host.connection import SshConnection
from harness.machine.host.fabric_host import FabricHost
from harness.machine.host.identities import Identities
from harness.machine.host.known_hosts import KnownKeys
from harness.machine.host.openssh import settings
from harness.machine.host.sudo import Sudo
from harness.model.inventory import SshHostSpec

CONNECT_TIMEOUT = 20.0
_PATIENCE_SECONDS = 60.0  # with a server that says "not now"


def connection(
    spec: SshHostSpec, key: paramiko.PKey | None = None, proved: paramiko.PKey | None = None
) -> SshConnection:
    """Where `spec` points to; nobody is asked for anything.

    With a `key` that alone is offered. A host key that the server has `proved` to be its own
    counts as known.
    """
    there = settings(spec)
    known, identities = KnownKeys.of(there).plus(proved), Identities(there, key)
    # Compressed, a root file system shrinks to a third.
    return SshConnection.to(there, known, identities, compress=True)


def server(spec: SshHostSpec, transcripts: Path, proved: paramiko.PKey | None = None) -> FabricHost:
    """The server of `spec`, not connected yet."""
    return FabricHost(spec.name, connection(spec, proved=proved), transcripts, root=spec.root)


@contextmanager
def ssh_host(spec: SshHostSpec, transcripts: Path, *, prepare: bool = True) -> Iterator[FabricHost]:
    """The server of `spec`, connected, as it is; made ready for measurements with `prepare`.

    Users other than root need sudo. Raises UnreachableError if the host can't be reached,
    NotNowError if it lets nobody in for a minute.
    """
    host = server(spec, transcripts)
    try:
        open_patiently(host)
        host.become_root(Sudo.of(spec, host.connection.user))
        if prepare:
            host.prepare()
        yield host
    finally:
        host.close()


def open_patiently(host: FabricHost) -> None:
    """Connect. Raises as `FabricHost.open` does, NotNowError after a minute of that."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            host.open(CONNECT_TIMEOUT)
            return
        except NotNowError:
            if time.monotonic() > end:
                raise
        time.sleep(2)
