# SPDX-License-Identifier: MIT
"""An ARM server that is there already, reached over SSH with the user's own keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
from fabric import Connection

from harness.host.fabric_host import FabricHost

CONNECT_TIMEOUT = 20.0


@contextmanager
def ssh_host(
    name: str, address: str, transcripts: Path, *, user: str = "root", port: int = 22,
    key_file: Path | None = None, known_hosts: Path | None = None,
) -> Iterator[FabricHost]:
    """The host at `address`; its key must be in known_hosts.

    Users other than root need password-less sudo. Raises InfrastructureError if the host
    can't be reached.
    """
    arguments = {"key_filename": str(key_file)} if key_file else {}
    connection = Connection(address, user=user, port=port, connect_kwargs=arguments)
    client = connection.client
    client.load_system_host_keys(str(known_hosts) if known_hosts else None)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    host = FabricHost(name, connection, transcripts, sudo=user != "root", store="/var/tmp/neve")
    try:
        host.connect(CONNECT_TIMEOUT)
        yield host
    finally:
        host.close()
