# SPDX-License-Identifier: MIT
"""A console: it waits for what should come, and fails at once on what should not.

Every wait has a deadline, a panic ends it early, and every error carries the last lines
and the path of the transcript.
"""

import re
import time
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Self

import paramiko
import pexpect
from pexpect.exceptions import EOF, TIMEOUT

from harness.deadline import Deadline
from harness.errors import GuestError
from harness.machine.console.channel import ChannelSpawn
from harness.plain import plain

TAIL_LINES = 20
_SLICE = 1.0  # seconds between two looks at the health of what carries the console
_DRAIN = 2.0  # seconds at most in which the rest of a panic is collected
_PAUSE = 0.2  # seconds without output after which there is no more of it
_WINDOW = 65536
_LINE = 200  # characters at most of a failure's own line


@cache
def failure_patterns() -> dict[str, re.Pattern[str]]:
    """{what it means: pattern} from `failures.toml`."""
    data = tomllib.loads(Path(__file__).with_name("failures.toml").read_text(encoding="utf-8"))
    return {name: re.compile(pattern) for name, pattern in data["patterns"].items()}


class Console:
    """One stream of characters in and out, with its transcript on disk."""

    def __init__(
        self,
        spawn: Any,
        name: str,
        transcript: Path,
        healthy: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.transcript = transcript
        self._spawn = spawn
        self._healthy = healthy
        self._recent = ""
        self._latched: GuestError | None = None
        transcript.parent.mkdir(parents=True, exist_ok=True)
        spawn.logfile_read = transcript.open("a", encoding="utf-8", errors="replace")

    @classmethod
    def of_process(cls, argv: Sequence[str], name: str, transcript: Path) -> Self:
        """The terminal of a new local process, which is hung up with it."""
        spawn = pexpect.spawn(
            argv[0],
            list(argv[1:]),
            timeout=None,
            encoding="utf-8",
            codec_errors="replace",
            echo=False,
        )
        spawn.delaybeforesend = None
        return cls(spawn, name, transcript)

    @classmethod
    def of_channel(
        cls,
        channel: paramiko.Channel,
        name: str,
        transcript: Path,
        healthy: Callable[[], None],
    ) -> Self:
        """The pty of a program at the far end of an SSH channel."""
        return cls(ChannelSpawn(channel), name, transcript, healthy)

    def expect(
        self, pattern: str, deadline: Deadline, *, ended: str | None = None
    ) -> re.Match[str]:
        """Wait for `pattern`; the match's string is what came since the last match.

        `ended` is a pattern that means that the awaited program is gone. Raises GuestError
        on it, on a failure pattern, at the end of the stream and at the deadline. A console
        that failed stays failed: later waits raise its first cause.
        """
        if self._latched:
            raise self._latched
        failures = failure_patterns()
        wanted: list[Any] = [re.compile(pattern), *failures.values()]
        if ended:
            wanted.append(re.compile(ended))
        while True:
            try:
                index = self._spawn.expect_list(
                    wanted, timeout=min(_SLICE, deadline.left), searchwindowsize=None
                )
                break
            except TIMEOUT:
                self._healthy()
                if deadline.passed:
                    self._fail(f"no answer within {deadline.seconds:.0f} s", deadline)
            except EOF:
                self._remember(str(self._spawn.before))  # what a program says that ends at once
                self._healthy()
                # What has come is no longer in the buffer, and says why.
                self._remember(str(self._spawn.before))
                last = _lines(self._recent)[-1:]
                self._fail(
                    f"the console ended{f': {_one_line(last[0])}' if last else ''}", deadline
                )
        match: re.Match[str] = self._spawn.match
        self._remember(str(self._spawn.before) + match[0])
        if index == 0:
            return match
        name = [*failures, "the program ended early"][index - 1]
        if name in failures:
            self._tell(name, deadline)
        self._fail(f"{name}: {_one_line(match[0])}", deadline)

    def send(self, text: str) -> None:
        """Type `text` as it is."""
        try:
            self._spawn.send(text)
        except (EOF, OSError) as error:
            self._fail(f"could not write: {error}", Deadline(0, "the console to take input"))

    def answers(self, text: str, pattern: str, seconds: float) -> bool:
        """Type `text`; whether something like `pattern` came in time. No failure pattern counts."""
        try:
            self._spawn.send(text)
            self._spawn.expect_list([re.compile(pattern)], timeout=seconds)
        except (TIMEOUT, EOF, OSError):
            return False
        self._remember(str(self._spawn.before) + str(self._spawn.after))
        return True

    def check(self) -> None:
        """Take what has come, without waiting; raise GuestError if it tells of a failure."""
        self._drain(wait=0)
        if self._latched:
            raise self._latched
        for name, pattern in failure_patterns().items():
            if pattern.search(self._recent):
                self._tell(name, Deadline(0, "anything"))

    def forget(self) -> None:
        """What came so far no longer counts as a sign of failure."""
        self._drain(wait=0)
        self._recent = ""

    def closed(self, deadline: Deadline) -> int:
        """Wait for the end of the stream; exit status of the program."""
        while True:
            try:
                self._spawn.expect_list([EOF], timeout=min(_SLICE, deadline.left))
                self._remember(str(self._spawn.before))
                break
            except TIMEOUT:
                self._healthy()
                if deadline.passed:
                    self._fail(f"still open after {deadline.seconds:.0f} s", deadline)
        status = self._spawn.wait()
        return int(status)

    def close(self) -> None:
        """Hang up; never raises."""
        try:
            self._spawn.close()
        except (EOF, OSError, pexpect.ExceptionPexpect):
            pass
        finally:
            log = self._spawn.logfile_read
            if log:
                self._spawn.logfile_read = None
                log.close()

    def tail(self) -> str:
        """The last lines, as an error shows them."""
        pending = self._spawn.buffer if isinstance(self._spawn.buffer, str) else ""
        return "\n".join(_lines(self._recent + pending)[-TAIL_LINES:])

    @property
    def spawn(self) -> Any:
        """The spawn below, for who must hand it to a person's terminal."""
        return self._spawn

    def _remember(self, text: str) -> None:
        self._recent = (self._recent + text)[-_WINDOW:]

    def _drain(self, wait: float = _DRAIN) -> None:
        self._remember(self._spawn.buffer)
        self._spawn.buffer = ""
        end = time.monotonic() + wait
        while True:
            try:
                self._remember(self._spawn.read_nonblocking(4096, timeout=_PAUSE if wait else 0))
            except (TIMEOUT, EOF):
                return
            if wait and time.monotonic() > end:
                return

    def _tell(self, name: str, deadline: Deadline) -> NoReturn:
        """Fail for the failure `name`, which is in what came last.

        Its cause comes after the words that tell of it, and a boot may come after that.
        """
        self._drain()
        match = failure_patterns()[name].search(self._recent)
        if match is None:  # so much came after it
            self._fail(name, deadline)
        cause, _, later = self._recent[match.end() :].partition("\n")
        shown = [*_lines(self._recent[: match.end()] + cause), *_lines(later)[: TAIL_LINES // 2]]
        self._fail(
            f"{name}: {_one_line(match[0] + cause)}", deadline, "\n".join(shown[-TAIL_LINES:])
        )

    def _fail(self, what: str, deadline: Deadline, shown: str | None = None) -> NoReturn:
        self._latched = GuestError(
            f"{self.name}: {what} (waiting for {deadline.awaited})\n"
            f"{self.tail() if shown is None else shown}\nconsole: {self.transcript}"
        )
        raise self._latched


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LINE]


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in plain(text).splitlines() if line.strip()]
