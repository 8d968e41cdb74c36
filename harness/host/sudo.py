# SPDX-License-Identifier: MIT
"""Root on a server: sudo, and its password from where the inventory says."""

import os
import secrets
import shlex
from dataclasses import dataclass, field
from functools import cache

from harness.errors import UserError
from harness.inventory import SshHostSpec, SudoPassword
from harness.process import run

_COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Sudo:
    """How a user other than root gets there.

    The password goes through sudo's standard input, never into a command line. The prompt that
    it answers can't be guessed, so that no output of a command can ask for it.
    """

    password: str | None = field(default=None, repr=False)
    prompt: str = field(default_factory=lambda: f"[neve {secrets.token_hex(8)}] ", repr=False)

    @classmethod
    def of(cls, spec: SshHostSpec) -> "Sudo | None":
        """What `spec` asks for; None for root. Raises UserError if there is no password."""
        if spec.user == "root":
            return None
        return cls(_password(spec.name, spec.sudo)) if spec.sudo else cls()


def _password(host: str, source: SudoPassword) -> str:
    if source.prompt:
        return source.ask(f"sudo's password on {host}: ")
    return _fetched(host, source.environment, source.command)


@cache
def _fetched(host: str, environment: str | None, command: str | None) -> str:
    if environment:
        found = os.environ.get(environment)
        if not found:
            raise UserError(f"host {host}: sudo's password: ${environment} is not set")
        return found
    assert command is not None, "the model has checked it"
    return run(shlex.split(command), timeout=_COMMAND_SECONDS).rstrip("\n")
