# SPDX-License-Identifier: MIT
"""Gives jobs to workers, several at once. Results reach the journal as they come, and a worker that
dies costs only the cell under way."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from harness.errors import HarnessError, InfrastructureError, together
from harness.model.cell import CellRecord
from harness.model.journal import Begun, Ended, Event, Journal
from harness.process import explain
from harness.run.execution import execute as execute_job
from harness.run.job import Job

_ATTEMPTS = 3


@dataclass(frozen=True)
class Over:
    """The last that is heard of a job that came to its end, or to an error."""

    error: HarnessError | None = None


@dataclass(frozen=True)
class Lost:
    """The last that is heard of a job whose worker is gone."""


Heard = tuple[str, Event | Over | Lost]  # of the job of that name


class Workers(Protocol):
    """Who does jobs."""

    def submit(self, job: Job) -> None:
        """Have somebody do `job`, as soon as somebody can."""
        ...

    def heard(self) -> Heard:
        """What comes next, of any job."""
        ...


def work(job: Job, journal: Journal) -> Over:
    """Do `job`, as a worker."""
    try:
        execute_job(job, journal)
    except (HarnessError, OSError) as error:
        return Over(explain(error))
    return Over()


def dispatch(
    workers: Workers, jobs: Sequence[Job], journal: Journal, *, machines: int | None = None
) -> None:
    """Have `workers` do `jobs`, the first ones first, so many emulated `machines` at once.

    Raises, when all have ended, the errors of those that failed, `together`.
    """
    errors = _Dispatch(workers, journal, machines, list(jobs)).execute()
    if errors:
        raise together(errors)


@dataclass
class _Dispatch:
    """Jobs that wait, and those under way by name, each with the cells that are left of it."""

    workers: Workers
    journal: Journal
    machines: int | None
    waiting: list[Job]
    under_way: dict[str, Job] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    stages: dict[str, list[str]] = field(default_factory=dict)
    errors: list[HarnessError] = field(default_factory=list)

    def execute(self) -> list[HarnessError]:
        try:
            self._submit()
            while self.under_way:
                name, event = self.workers.heard()
                if name in self.under_way:
                    self._take(name, event)
                    self._submit()
        finally:
            for name in self.stages:
                self._break_off(name)
        return self.errors

    def _submit(self) -> None:
        for job in [*self.waiting]:
            started = sum(each.emulated for each in self.under_way.values())
            if job.emulated and self.machines is not None and started >= self.machines:
                continue
            self.waiting.remove(job)
            self.under_way[job.name] = job
            self.attempts[job.name] = self.attempts.get(job.name, 0) + 1
            self.workers.submit(job)

    def _take(self, name: str, event: Event | Over | Lost) -> None:
        match event:
            case Over(error):
                self._end(name, error)
                return
            case Lost():
                self._lost(name)
                return
            case Begun(stage):
                self.stages.setdefault(name, []).append(stage)
            case Ended(stage):
                self.stages[name].remove(stage)
            case CellRecord(cell_id):
                job = self.under_way[name]
                left = tuple(cell for cell in job.cells if cell.id != cell_id)
                self.under_way[name] = replace(job, cells=left)
        self.journal.record(event)

    def _lost(self, name: str) -> None:
        self._break_off(name)
        if self.attempts[name] == _ATTEMPTS:
            self._end(name, InfrastructureError(f"{name}: its worker was lost {_ATTEMPTS} times"))
        else:
            self.journal.note(f"{name}: its worker was lost; another one goes on")
            self.waiting.insert(0, self.under_way.pop(name))

    def _break_off(self, name: str) -> None:
        """End the stages which nobody will end."""
        stages = self.stages.setdefault(name, [])
        while stages:
            self.journal.end(stages.pop(), "failed", 0.0)

    def _end(self, name: str, error: HarnessError | None) -> None:
        del self.under_way[name]
        if error:
            self.errors.append(error)
            self.journal.note(f"{name}: {str(error).splitlines()[0]}")
