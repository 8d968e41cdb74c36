# SPDX-License-Identifier: MIT
"""An ARM server that is there already, reached over SSH with the user's own keys."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko
from fabric import Connection
from paramiko.hostkeys import InvalidHostKey

from harness.errors import UserError
from harness.host.fabric_host import FabricHost
from harness.host.sudo import Sudo
from harness.inventory import SshHostSpec

CONNECT_TIMEOUT = 20.0


def connection(spec: SshHostSpec) -> Connection:
    """Where `spec` points to, through its jump host. Both keys must be in known_hosts."""
    gateway = None
    if spec.jump:
        match = re.fullmatch(r"(?:(.+)@)?(.+?)(?::(\d+))?", spec.jump)
        assert match is not None, "the model has checked it"
        gateway = _trusting(spec, match[2], match[1], int(match[3] or 22), None)
    return _trusting(spec, spec.address, spec.user, spec.port, gateway)


def _trusting(
    spec: SshHostSpec, address: str, user: str | None, port: int, gateway: Connection | None
) -> Connection:
    arguments: dict[str, Any] = {"compress": True}  # a root file system shrinks to a third
    if spec.key_file:
        arguments["key_filename"] = str(spec.key_file)
    made = Connection(address, user=user, port=port, gateway=gateway, connect_kwargs=arguments)
    try:
        made.client.load_system_host_keys(str(spec.known_hosts) if spec.known_hosts else None)
    except (OSError, InvalidHostKey) as error:
        raise UserError(f"host {spec.name}: known_hosts can't be read: {error}") from error
    made.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    return made


def server(spec: SshHostSpec, transcripts: Path) -> FabricHost:
    """The server of `spec`, not connected yet."""
    return FabricHost(spec.name, connection(spec), transcripts, root=spec.root)


@contextmanager
def ssh_host(spec: SshHostSpec, transcripts: Path) -> Iterator[FabricHost]:
    """The server of `spec`, connected, as it is.

    Users other than root need sudo. Raises UnreachableError if the host can't be reached.
    """
    host = server(spec, transcripts)
    try:
        host.open(CONNECT_TIMEOUT)
        host.become_root(Sudo.of(spec))
        host.prepare()
        yield host
    finally:
        host.close()
