# SPDX-License-Identifier: MIT
"""The keys that are offered to a server, in an order in which the right one comes early.

Servers allow few attempts. So keys that are named come first, from the agent if it has them, and
the agent's other keys only where OpenSSH would offer them.
"""

import socket
from collections.abc import Iterator
from pathlib import Path

import paramiko
from paramiko.agent import AgentSSH
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey
from paramiko.config import SSHConfig

from harness.machine.host.openssh import Settings, fingerprint

_AGENT_SECONDS = 60  # it may ask somebody


class Identities(AuthStrategy):
    """Those of `settings`, or one `key` alone. `tried` says what was offered, for people."""

    def __init__(self, settings: Settings, key: paramiko.PKey | None = None) -> None:
        super().__init__(ssh_config=SSHConfig())
        self._settings = settings
        self._key = key
        self.tried: list[str] = []

    def get_sources(self) -> Iterator[AuthSource]:
        """In the order in which they are tried."""
        self.tried = []
        if self._key:
            yield self._offer("the key of this boot", self._key)
            return
        left = _agent_keys(self._settings.agent)
        for file in self._settings.identities:
            known = fingerprint(file) or fingerprint(file.with_name(f"{file.name}.pub"))
            held = [key for key in left if key.fingerprint == known]
            left = [key for key in left if key.fingerprint != known]
            for key in held:
                yield self._offer(str(file), key)
            if not held:
                yield from self._on_disk(file)
        for key in left if self._settings.others else ():
            yield self._offer(f"the agent's {key.comment or key.get_name()}", key)

    def _offer(self, name: str, key: paramiko.PKey) -> AuthSource:
        self.tried.append(name)
        return InMemoryPrivateKey(self._settings.user, key)

    def _on_disk(self, file: Path) -> Iterator[AuthSource]:
        """The key in `file`, with each certificate that is for it, and without."""
        key = self._loaded(file)
        if key is None:
            return
        for certificate in (*self._settings.certificates, file.with_name(f"{file.name}-cert.pub")):
            if fingerprint(certificate) == key.fingerprint and (certified := self._loaded(file)):
                certified.load_certificate(str(certificate))
                yield self._offer(str(certificate), certified)
        yield self._offer(str(file), key)

    def _loaded(self, file: Path) -> paramiko.PKey | None:
        try:
            key = paramiko.PKey.from_path(file)
        except (TypeError, paramiko.PasswordRequiredException):
            self.tried.append(f"{file} has a passphrase, and no agent has it")
        except FileNotFoundError:
            self.tried.append(f"{file} is not there, and no agent has it")
        except (OSError, ValueError, paramiko.SSHException) as error:
            self.tried.append(f"{file} can't be read: {error}")
        else:
            key.public_blob = None  # a certificate beside it, which paramiko takes unasked
            return key
        return None


def _agent_keys(path: str | None) -> list[paramiko.AgentKey]:
    """Those of the agent at `path`; none where there is no agent."""
    if path is None:
        return []
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(_AGENT_SECONDS)
    agent = AgentSSH()
    try:
        link.connect(path)
        agent._connect(link)  # type: ignore[attr-defined]
    except (OSError, paramiko.SSHException):
        link.close()
        return []
    return list(agent.get_keys())
