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
        """Run a line of shell; the match of its whole output with `pattern`, whatever its status.
        Raises InfrastructureError, with the output, if it does not match."""
        ...

    def attempt(self, command: str) -> bool:
        """Run a line of shell; return whether its status was 0."""
        ...

    def put(self, local: Path) -> str:
        """Make `local` available on the host; return its path there. Nothing is sent twice."""
        ...

    def start(self, argv: Sequence[str], name: str) -> "Program":
        """Start a program in a terminal of its own; it gets SIGHUP when the console closes."""
        ...

    def reboot(self, timeout: float) -> None:
        """Boot the host again, proved by a changed boot_id."""
        ...

    def close(self) -> None:
        """Disconnect from the host; end a machine that we started."""
        ...


class Guard(Protocol):
    """Makes sure that root's commands run only as long as the server is ours."""

    def refusal(self, done: Completed) -> str | None:
        """Why a command was not run; None if it was."""
        ...

    def before(self, command: str) -> str:
        """`command`, behind the check that must pass first."""
        ...

    def loss(self) -> str:
        """What is known about a lost connection."""
        ...
