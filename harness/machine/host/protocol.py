# SPDX-License-Identifier: MIT
"""What every host can do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # pexpect and paramiko are not for those who only want a command line
    from harness.machine.console import Program


@dataclass(frozen=True)
class Completed:
    """A command that ended."""

    status: int
    stdout: str
    stderr: str


class Host(Protocol):
    """The machine on which L0's kernel runs, as root or through sudo.

    All methods raise InfrastructureError when the host can't be reached or does not answer
    in time, and GuestError when its kernel died.
    """

    name: str

    def run(self, command: str, *, timeout: float = 60, check: bool = True) -> Completed:
        """Run a line of shell. With `check`, a status other than 0 is an InfrastructureError."""
        ...

    def read(self, command: str, pattern: str) -> re.Match[str]:
        """What a line of shell prints, as the match of the whole of it with `pattern`, whatever its
        status. Raises InfrastructureError, with what it printed, if it does not match."""
        ...

    def attempt(self, command: str) -> bool:
        """Run a line of shell; whether its status was 0."""
        ...

    def put(self, local: Path) -> str:
        """Make `local` available on the host; its path there. Nothing is sent twice."""
        ...

    def start(self, argv: Sequence[str], name: str) -> "Program":
        """Start a program in a terminal of its own; it gets SIGHUP when the console closes."""
        ...

    def reboot(self, timeout: float) -> None:
        """Boot the host again, proved by a changed boot_id."""
        ...

    def close(self) -> None:
        """Let go of the host; for a machine of ours, end it."""
        ...


class Guard(Protocol):
    """What makes sure that root's commands are run only as long as the server is ours."""

    def refusal(self, done: Completed) -> str | None:
        """Why a command was not run; None if it was."""
        ...

    def before(self, command: str) -> str:
        """`command`, with what has to hold before it."""
        ...

    def loss(self) -> str:
        """What is known when a connection is lost."""
        ...
