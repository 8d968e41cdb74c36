# SPDX-License-Identifier: MIT
"""Commands on a console that ends in a shell: exit codes and output, told apart by markers.

Quotes split the marker in the typed command, so that its echo can't match; each command has a new
marker, so that an old answer can't match either.
"""

import re
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from harness.deadline import Deadline
from harness.errors import GuestError
from harness.machine.console.console import Console


@dataclass(frozen=True)
class Result:
    """Exit status and output of a command."""

    status: int
    output: str


@dataclass(frozen=True)
class Program:
    """A program in the foreground of a console.

    `ended` is the pattern that the shell below prints at its end, with the exit status as
    its first group; None if the console ends with the program.
    """

    console: Console
    ended: str | None = None

    def expect(self, pattern: str, deadline: Deadline) -> re.Match[str]:
        return self.console.expect(pattern, deadline, ended=self.ended)

    def send(self, text: str) -> None:
        self.console.send(text)

    def feed(self, source: BinaryIO, seconds: float) -> None:
        """Give it all of `source` as its input, if it has no terminal. Raises OSError if it takes
        none, TimeoutError if that is so for `seconds`."""
        self.console.spawn.feed(source, seconds)

    def wait(self, deadline: Deadline) -> int:
        """Wait for its end; the exit status."""
        if self.ended is None:
            return self.console.closed(deadline)
        return int(self.console.expect(self.ended, deadline)[1])

    def hang_up(self) -> None:
        """Close the program's own terminal, which ends it if it still runs.

        One in the foreground of a shell shares the shell's terminal, and goes with it.
        """
        if self.ended is None:
            self.console.close()


class Shelf(Protocol):
    """Where programs find files."""

    def put(self, local: Path) -> str:
        """Make `local` available there; its path there."""
        ...


class Place(Shelf, Protocol):
    """Where a program can be started in a terminal: a host, or the shell of a guest."""

    def attempt(self, command: str) -> bool:
        """Run a line of shell; whether its status was 0."""
        ...

    def start(self, argv: Sequence[str], name: str) -> Program:
        """Start `argv`; `name` names its console in errors and transcripts."""
        ...


@dataclass(frozen=True)
class Shell:
    """A Bourne shell at the prompt of one level, itself a program (`below`) or not."""

    console: Console
    prompt: str
    below: str | None = None

    def ready(self, deadline: Deadline) -> None:
        """Wait for the prompt of this level."""
        self.console.expect(re.escape(self.prompt), deadline, ended=self.below)

    def run(self, command: str, *, timeout: float = 60, check: bool = True) -> Result:
        """Run `command`, a line of shell. Raises GuestError if it fails and `check` is set."""
        mark = secrets.token_hex(4)
        self.console.send(f'echo "@@""b{mark}"; {command}; echo "@@""e{mark}:$?"\n')
        deadline = Deadline(timeout, f"{command!r} to end")
        self.console.expect(f"@@b{mark}\r*\n", deadline, ended=self.below)
        match = self.console.expect(rf"(?s)(.*)@@e{mark}:(\d+)", deadline, ended=self.below)
        result = Result(int(match[2]), match[1].replace("\r\n", "\n"))
        if check and result.status:
            raise GuestError(
                f"{self.console.name}: {command!r} ended with status {result.status}: "
                f"{result.output.strip()}"
            )
        return result

    def start(self, argv: Sequence[str], name: str) -> Program:
        """Start `argv` in the foreground, on the console of this shell."""
        del name  # the console has one already
        mark = secrets.token_hex(4)
        self.console.send(f'{shlex.join(argv)}; echo "@@""x{mark}:$?"\n')
        return Program(self.console, rf"@@x{mark}:(\d+)")
