# SPDX-License-Identifier: MIT
"""Workers that are processes of ours, each with a job at a time.

A process has its own signals, open files and children: one that is told to end cleans up as the
command itself would, and the kernel ends the machines of one that is killed.
"""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from harness.model.journal import Journal, Messages
from harness.run.dispatch import Heard, Lost, Over, dispatch, work
from harness.run.job import Job

_PROCESSES = get_context("spawn")  # a fork would have our threads' locks, and none of our threads
_OF_THE_TERMINAL = (signal.SIGINT, signal.SIGHUP)
# A server gets its own kernel back, for one.
_CLEAN_UP_SECONDS = 60


def execute(jobs: Sequence[Job], journal: Journal, machines: int) -> None:
    """Do `jobs` in processes of our own: those on servers all at once, and so many `machines`.

    Raises, when all have ended, the errors of those that failed, `together`.
    """
    with Crew() as crew:
        dispatch(crew, jobs, journal, machines=machines)


class Crew:
    """The processes, which end with the context."""

    def __init__(self) -> None:
        self._members: list[_Member] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for member in self._members:
            member.dismiss()
        for member in self._members:
            member.gone()

    def submit(self, job: Job) -> None:
        """Have a process do `job` that has none, or a new one."""
        member = next((each for each in self._members if not each.job), None)
        if member is None:
            self._members.append(member := _Member())
        member.begin(job)

    def heard(self) -> Heard:
        """What comes next. Raises RuntimeError if a process ended by itself."""
        busy = {each.line: each for each in self._members if each.job}
        member = busy[wait(list(busy))[0]]  # type: ignore[index]
        name = member.job
        try:
            event = member.line.recv()
        except (EOFError, OSError):
            self._members.remove(member)
            if (status := member.gone()) > 0:
                raise RuntimeError(f"{name}: its worker ended with status {status}") from None
            return name, Lost()
        if isinstance(event, Over):
            member.job = ""
        return name, event


class _Member:
    """A process, the name of its job (empty if it has none), and the line to it."""

    def __init__(self) -> None:
        self.job = ""
        self.line, far = _PROCESSES.Pipe()
        self._process: BaseProcess = _PROCESSES.Process(target=_serve, args=(far,), daemon=True)
        with _held_back():  # until it can take them
            self._process.start()
        far.close()

    def begin(self, job: Job) -> None:
        self.job = job.name
        # One that is gone is heard of where the others are.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.line.send(job)

    def dismiss(self) -> None:
        """Have it end: at once, after cleaning up, if it has a job."""
        if self.job:
            self._process.terminate()
        else:
            self.line.close()

    def gone(self) -> int:
        """Wait for its end; its status, or the negative number of the signal that killed it."""
        self._process.join(_CLEAN_UP_SECONDS)
        self._process.kill()
        self._process.join()
        self.line.close()
        return self._process.exitcode or 0


@contextmanager
def _held_back() -> Iterator[None]:
    """Signals of the terminal come later, also to children that are started meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(line: Connection) -> None:
    """In the process: do what comes until the line is closed."""
    # Of the terminal's signals we hear from the command. No SIG_IGN: children would inherit it.
    for number in _OF_THE_TERMINAL:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_THE_TERMINAL)
    signal.signal(signal.SIGTERM, _interrupted)
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    # It closes the line when it has enough.
    with suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        while True:
            line.send(work(line.recv(), Messages(line.send)))


def _interrupted(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _end_with_the_command() -> None:
    command = parent_process()
    assert command is not None
    command.join()
    os.kill(os.getpid(), signal.SIGTERM)
