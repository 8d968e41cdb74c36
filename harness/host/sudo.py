# SPDX-License-Identifier: MIT
"""Root on a server: sudo, and its password from where the inventory says."""

import os
import secrets
import shlex
from dataclasses import dataclass, field
from functools import cache

from harness.errors import InfrastructureError, NotRootError, UserError
from harness.inventory import SshHostSpec, SudoPassword
from harness.process import ProcessError, lab_environment, run

_COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Sudo:
    """How a user other than root gets there.

    The password goes through sudo's standard input, never into a command line. The prompt that
    it answers can't be guessed, so that no output of a command can ask for it.
    """

    password: str | None = field(default=None, repr=False)
    source: SudoPassword | None = field(default=None, repr=False)
    prompt: str = field(default_factory=lambda: f"[neve {secrets.token_hex(8)}] ", repr=False)

    @classmethod
    def of(cls, spec: SshHostSpec, user: str) -> "Sudo | None":
        """What `spec` asks for where `user` logs in; None for root. Raises UserError if there is
        no password, NotRootError if sudo has refused it before: it is given once in a run, as
        some servers lock out who tries often."""
        if user == "root":
            return None
        if spec.sudo and spec.sudo.refusal:
            raise NotRootError(spec.sudo.refusal)
        return cls(_password(spec.name, spec.sudo), spec.sudo) if spec.sudo else cls()

    def refused(self, words: str) -> NotRootError:
        """The error of a password that sudo does not take; it is not given again."""
        if self.source:
            self.source.refuse(words)
        return NotRootError(words)


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
    try:
        return run(shlex.split(command), timeout=_COMMAND_SECONDS,
                   env=lab_environment()).rstrip("\n")
    except (ValueError, InfrastructureError) as error:
        said = error.complaint if isinstance(error, ProcessError) else ""
        raise UserError(f"host {host}: sudo's password: {command}: {said or error}") from error
