# SPDX-License-Identifier: MIT
"""Commands for any login shell, and how to find their output among whatever that shell prints."""

import re
import secrets
import shlex
from dataclasses import dataclass, field

# What a Bourne shell, csh and fish all leave as it is between single quotes.
_PLAIN = re.compile(rb"[ -~]")
_SPECIAL = b"'!\\"


def line(command: str) -> str:
    """What any login shell runs as `command` in sh, which takes the shell's place."""
    return f"exec /bin/sh -c 'eval \"$(printf %b \"$0\")\"' '{_escaped(command)}'"


def _escaped(command: str) -> str:
    """`command` for printf's %b. csh has its history in quotes, too, and fish its backslashes; what
    they all take as it is stays readable for who lists the processes."""
    return "".join(
        character.decode()
        if _PLAIN.match(character) and character not in _SPECIAL
        else f"\\0{character[0]:03o}"
        for character in (bytes([byte]) for byte in command.encode())
    )


@dataclass(frozen=True)
class Question:
    """One `command`, and the marks between which its answer stands. `root` is what makes root run
    it: `sudo -n`, say."""

    command: str
    root: str = ""
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    def line(self) -> str:
        """For the login shell. Both outputs begin with a mark, for both may have begun before."""
        ask = f"{self.root} sh -c {shlex.quote(self.command)}".strip()
        return line(
            f"LC_ALL=C; export LC_ALL; echo {self._begin}; echo {self._begin} >&2; {ask}; "
            f"status=$?; echo {self._end}$status; exit $status"
        )

    def answer(self, stdout: str, stderr: str) -> tuple[int, str, str] | None:
        """Status and outputs of the command; None if it has not run to its end."""
        found = re.search(rf"{self._begin}\r?\n(.*){self._end}(\d+)", stdout, re.DOTALL)
        if found is None:
            return None
        return int(found[2]), found[1], stderr.rpartition(f"{self._begin}\n")[2]

    def begun(self, stdout: str) -> bool:
        """Whether the shell has come as far as the command."""
        return self._begin in stdout

    @property
    def _begin(self) -> str:
        return f"@@begin-{self.mark}"

    @property
    def _end(self) -> str:
        return f"@@end-{self.mark}:"
