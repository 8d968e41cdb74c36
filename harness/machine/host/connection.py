# SPDX-License-Identifier: MIT
"""Fabric's connection with OpenSSH's rules, and what a failed connection means.

It ignores Fabric's and invoke's own files and variables.
"""

import errno
import socket
import time
from collections.abc import Sequence
from typing import Any

import paramiko
from fabric import Config, Connection
from paramiko.config import SSHConfig
from paramiko.ssh_exception import NoValidConnectionsError

from harness.errors import (
    DeniedError,
    HarnessError,
    NotNowError,
    NoWayError,
    UnknownAddressError,
    UnreachableError,
    UntrustedError,
)
from harness.machine.host.identities import Identities
from harness.machine.host.known_hosts import KnownKeys, UntrustedKeyError
from harness.machine.host.openssh import Settings
from harness.machine.host.proxy import Proxy

_SESSION_SECONDS = 5.0  # in which sshd notices that another session has ended
_WORDS = 300  # characters of a banner that an error shows
_TELLING = ("Banner: ", "Disconnect (code ")


class _Transport(paramiko.Transport):
    """Keeps what the server says when it ends a connection, which paramiko only logs."""

    said = ""

    def _log(self, level: int, msg: Any, *args: Any) -> None:
        if isinstance(msg, str) and msg.startswith(_TELLING):
            self.said = msg.partition(": ")[2].strip()
        super()._log(level, msg, *args)  # type: ignore[misc]


class SshConnection(Connection):  # type: ignore[misc]
    """Fabric's connection, with OpenSSH's rules for keys, and a command as the way there."""

    # Fabric takes an attribute that the class does not have for a setting; `to` gives all of them.
    known: KnownKeys = None  # type: ignore[assignment]
    identities: Identities = None  # type: ignore[assignment]
    way: Proxy | None = None
    _there: Settings = None  # type: ignore[assignment]

    @classmethod
    def to(
        cls, there: Settings, known: KnownKeys, identities: Identities, *, compress: bool = False
    ) -> "SshConnection":
        """Where `there` says. The host must prove to be the one that is `known`."""
        made = cls(there.host, user=there.user, port=there.port, config=own_config())
        made._there = there
        made.known, made.identities = known, identities
        made.way = Proxy(there.proxy) if there.proxy else None
        made.gateway = there.proxy  # has fabric call open_gateway
        made.connect_kwargs = {
            "compress": compress,
            "auth_strategy": identities,
            "transport_factory": made._transport_for,
        }
        made.client.set_missing_host_key_policy(known)
        return made

    def again(self) -> "SshConnection":
        """Another one to the same place."""
        return self.to(
            self._there, self.known, self.identities, compress=self.connect_kwargs["compress"]
        )

    def _transport_for(self, sock: Any, **options: Any) -> paramiko.Transport:
        made = _Transport(sock, **options)
        # With the types of certificates: paramiko would take them last.
        made._preferred_keys = tuple(  # type: ignore[attr-defined]
            self.known.preferred(made.preferred_keys)
        )
        return made

    def open_gateway(self) -> socket.socket:
        """The connection by way of the command."""
        assert self.way is not None, "else fabric connects by itself"
        return self.way.open()

    def told(self) -> str:
        """What the server has said of a connection that failed."""
        return getattr(self.client.get_transport(), "said", "")

    def create_session(self) -> paramiko.Channel:
        """A session; one that has just ended may still count for the server."""
        self.open()
        end = time.monotonic() + _SESSION_SECONDS
        while True:
            try:
                channel: paramiko.Channel = self.transport.open_session()
                return channel
            except paramiko.ChannelException as error:
                if time.monotonic() > end:
                    raise NotNowError(
                        f"host {self.host}: it opens no session beside those of ours (MaxSessions "
                        f"of its sshd): {error.text or error}"
                    ) from error
            time.sleep(0.1)

    def close(self) -> None:
        """End it, and the command that leads there."""
        super().close()
        self.client.close()  # which fabric leaves open where nobody has been let in
        if self.way:
            self.way.close()


def own_config() -> Config:
    """Fabric's defaults: no file and no variable of the user's changes them."""
    return Config(ssh_config=SSHConfig(), lazy=True)


# What ssh says of a jump host, and what that is.
_OF_THE_WAY: dict[str, type[HarnessError]] = {
    "Host key verification failed": UntrustedError,
    "Permission denied": DeniedError,
    "Too many authentication failures": DeniedError,
    "Could not resolve hostname": UnknownAddressError,
    "stdio forwarding failed": UnreachableError,
}
# This machine has no way out.
_AT_HOME = (errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, socket.EAI_AGAIN)


def refusal(what: str, error: Exception, connection: SshConnection) -> HarnessError:
    """What `error`, for which there is no `connection`, means. Only a plain UnreachableError says
    that the host is silent; a NotNowError passes."""
    said, words = connection.told(), _words(error)
    if isinstance(error, UntrustedKeyError):
        return UntrustedError(f"{what}: {error}")
    if isinstance(error, paramiko.AuthenticationException):
        return _denial(what, error, said, connection)
    if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
        return UnknownAddressError(f"{what}: {connection.host}: {error.strerror}")
    if connection.way and (said_there := connection.way.said()):
        kind = next((kind for mark, kind in _OF_THE_WAY.items() if mark in said_there), NoWayError)
        return kind(f"{what}: on the way, by {_name_of(connection.way.argv)}: {said_there}")
    if said:
        return NotNowError(f"{what}: it says: {said}")
    if isinstance(error, EOFError) or "protocol banner" in words:
        words = f"{words}: what answers there is no SSH server, or takes nobody now"
    at_home = isinstance(error, OSError) and error.errno in _AT_HOME
    return (NoWayError if at_home else UnreachableError)(f"{what}: {words}")


def _words(error: Exception) -> str:
    if isinstance(error, NoValidConnectionsError):
        whys = (getattr(each, "strerror", None) or str(each) for each in error.errors.values())
        return "; ".join(dict.fromkeys(whys))
    return str(error) or type(error).__name__


def _name_of(argv: Sequence[str]) -> str:
    return f"jump host {argv[-1]}" if "-W" in argv else argv[-1]


def _denial(what: str, error: Exception, said: str, connection: SshConnection) -> HarnessError:
    """A login that failed. A server that refuses keys says so for each; one that hangs up in the
    middle has another reason."""
    transport, tried = connection.client.get_transport(), ", ".join(connection.identities.tried)
    if "Too many authentication failures" in said:
        return DeniedError(
            f"{what}: it takes no more keys after {tried}: name the right one, by "
            "`key_file` or by IdentityFile and IdentitiesOnly"
        )
    if any("timeout" in str(each.result).lower() for each in getattr(error, "result", ())):
        return NotNowError(f"{what}: the login of {connection.user} takes too long")
    if transport is not None and transport.is_active():
        return DeniedError(
            f"{what}: it refuses {connection.user}: {tried or 'there is no key to offer'}"
        )
    # Which transport.get_banner() forgets when the connection ends.
    banner = getattr(getattr(transport, "auth_handler", None), "banner", None) or b""
    words = " ".join([said, *banner.decode(errors="replace").split()]).strip()[:_WORDS]
    return NotNowError(f"{what}: it ends the login of {connection.user}: {words or 'it hangs up'}")
