# SPDX-License-Identifier: MIT
"""Root on a server: sudo, with the password from where the inventory says."""

import os
import re
import secrets
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from invoke.exceptions import ResponseNotAccepted
from invoke.watchers import StreamWatcher

from harness.deadline import Deadline
from harness.errors import InfrastructureError, NotRootError, UserError
from harness.machine.console import Console
from harness.model.inventory import SshHostSpec, SudoPassword
from harness.process import ProcessError, lab_environment, run

_COMMAND_SECONDS = 60
_ASK_SECONDS = 30
_BEGUN = "@@sudo"


@dataclass(frozen=True)
class Sudo:
    """How a user other than root gets there.

    The password goes through sudo's standard input, never into a command line. The prompt that
    it answers can't be guessed, so that no output of a command can ask for it.
    """

    password: str | None = field(default=None, repr=False)
    source: SudoPassword | None = field(default=None, repr=False)
    prompt: str = field(default_factory=lambda: f"[neve {secrets.token_hex(8)}] ", repr=False)

    def command(self, *, terminal: bool = False) -> str:
        """What stands before the command that root is to run."""
        if self.password is None:
            return "sudo -n"
        return f"sudo {'' if terminal else '-S '}-p {shlex.quote(self.prompt)}"

    def program(self, argv: Sequence[str], *, terminal: bool) -> str:
        """A line that becomes `argv`, and tells `let_in` when it does."""
        if self.password is not None:
            argv = ["sh", "-c", f'echo {_BEGUN[:2]}""{_BEGUN[2:]}; exec "$0" "$@"', *argv]
        return f"{self.command(terminal=terminal)} {shlex.join(argv)}"

    def let_in(self, console: Console, host: str) -> None:
        """Give `program` its password on `console`, if it asks for one; it comes without an echo.
        Raises NotRootError."""
        if self.password is None:
            return
        deadline, asked = Deadline(_ASK_SECONDS, "sudo"), f"{re.escape(self.prompt)}|{_BEGUN}\r*\n"
        if _BEGUN in console.expect(asked, deadline)[0]:
            return
        console.send(f"{self.password}\n")
        if _BEGUN not in console.expect(asked, deadline)[0]:
            console.close()
            raise NotRootError(f"host {host}: sudo does not take the password")

    def answers(self) -> list[StreamWatcher]:
        """What gives the password to a command that fabric runs, once: every further one would
        count as an attempt against the user."""
        return [] if self.password is None else [_Once(self.prompt, f"{self.password}\n")]

    def unasked(self, stderr: str) -> str:
        """`stderr` without the question; sudo-rs has words of its own around the prompt."""
        asked = re.escape(self.prompt.strip())
        return re.sub(rf"(\[sudo: )?{asked} ?(\] Password: \n?)?", "", stderr)

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


class _Once(StreamWatcher):
    """Answers the first prompt; a second one says that the answer was not taken."""

    def __init__(self, prompt: str, answer: str) -> None:
        super().__init__()
        self._prompt, self._answer, self._given = prompt, answer, False

    def submit(self, stream: str) -> Iterator[str]:
        asked = stream.count(self._prompt)
        if asked > 1:
            raise ResponseNotAccepted(self._prompt)
        if asked and not self._given:
            self._given = True
            yield self._answer


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
        words, env = shlex.split(command), lab_environment()
        return run(words, timeout=_COMMAND_SECONDS, env=env, private=True).rstrip("\n")
    except (ValueError, InfrastructureError) as error:
        said = error.complaint if isinstance(error, ProcessError) else ""
        raise UserError(f"host {host}: sudo's password: {command}: {said or error}") from error
