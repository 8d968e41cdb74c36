# SPDX-License-Identifier: MIT
"""Worker processes on this computer, each of which runs one job at a time."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Self

from harness.model.journal import Journal, Messages
from harness.run.dispatch import Heard, Lost, Over, dispatch, work
from harness.run.job import Job
from harness.worker import Worker


def execute(jobs: Sequence[Job], journal: Journal, machines: int) -> None:
    """Do `jobs` in processes of our own: those on servers all at once, and so many `machines`.

    Raises, when all have ended, the errors of those that failed, `together`.
    """
    with Crew() as crew:
        dispatch(crew, jobs, journal, machines=machines)


@dataclass
class _Member:
    """A worker, and the name of its job; empty if it has none."""

    worker: Worker = field(default_factory=lambda: Worker(_serve))
    job: str = ""


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
            if member.job:
                member.worker.end()
            else:
                member.worker.line.close()
        for member in self._members:
            member.worker.gone()

    def submit(self, job: Job) -> None:
        """Have a process do `job` that has none, or a new one."""
        member = next((each for each in self._members if not each.job), None)
        if member is None:
            self._members.append(member := _Member())
        member.job = job.name
        # `heard` tells when one is gone.
        with suppress(BrokenPipeError, ConnectionResetError):
            member.worker.line.send(job)

    def heard(self) -> Heard:
        """What comes next. Raises RuntimeError if a process ended by itself."""
        busy = {id(each.worker.line): each for each in self._members if each.job}
        ready = wait([each.worker.line for each in busy.values()])
        member = busy[id(ready[0])]
        name, line = member.job, member.worker.line
        try:
            event = line.recv()
        except (EOFError, OSError):
            self._members.remove(member)
            if (status := member.worker.gone()) > 0:
                raise RuntimeError(f"{name}: its worker ended with status {status}") from None
            return name, Lost()
        if isinstance(event, Over):
            member.job = ""
        return name, event


def _serve(line: Connection) -> None:
    """In the process: do what comes until the line is closed."""
    while True:
        line.send(work(line.recv(), Messages(line.send)))
