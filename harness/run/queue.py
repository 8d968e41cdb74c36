# SPDX-License-Identifier: MIT
"""The cells of a job that are not finished, and what becomes of each."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass

from harness.bench.outcome import Outcome, Value
from harness.bench.traps import Event
from harness.cache import Cache
from harness.errors import HarnessError
from harness.machine import levels
from harness.machine.host import Host
from harness.model.cell import CellRecord
from harness.model.faults import faults_of
from harness.model.inventory import HostSpec, SshHostSpec
from harness.model.journal import Facts, Journal
from harness.model.kernel_choice import Level
from harness.model.measurement import Measurement, Mechanism
from harness.model.playbook import Cell
from harness.run.job import Job


@dataclass
class CellQueue:
    """The cells of a job that are not finished; what is leaves the queue."""

    job: Job
    journal: Journal
    queue: list[Cell]

    @property
    def spec(self) -> HostSpec:
        return self.job.spec

    def stage(self, name: str) -> AbstractContextManager[None]:
        return self.journal.stage(f"{self.spec.name}: {name}")

    @contextmanager
    def host(self) -> Iterator[Host]:
        """L0, booted, over SSH."""
        job = self.job
        with ExitStack() as stack:
            with self.stage("boot L0"):
                host = stack.enter_context(
                    levels.l0(
                        Cache.default(), self.spec, job.artifacts, job.consoles, wait=job.wait
                    )
                )
            yield host

    def account(self, event: Event) -> None:
        """Say by which tracepoint exits are counted."""
        seen = {"tracepoint": event.name, "all_exits": event.complete}
        self.journal.record(Facts({"accounting": {self.spec.name: seen}}))

    def told(self, configuration: str, booted: Mapping[str, Mapping[str, str]]) -> None:
        """Keep what each level has booted, and warn of the faults that it is known to have."""
        name = f"{self.spec.name}/{configuration}"
        self.journal.record(Facts({"booted": {name: dict(booted)}}))
        for level, kernel in booted.items():
            release = kernel["version"].removeprefix("Linux version ").partition(" ")[0]
            for fault in faults_of(Level(level), release):
                self.journal.note(f"{name}: {level} is Linux {release}, which has {fault}")

    def ended(self, cell: Cell, outcome: Outcome, seconds: float) -> None:
        if outcome.error:
            self.journal.note(f"{cell.id} failed: {outcome.error}")
        self.journal.record(
            CellRecord(
                cell.id,
                "failed" if outcome.error else "passed",
                round(seconds, 3),
                measurements=tuple(self._measurement(cell, value) for value in outcome.values),
                samples=tuple(outcome.samples),
                error=outcome.error,
            )
        )
        self.queue.remove(cell)

    def failed(self, cell: Cell | None, error: HarnessError) -> None:
        """`cell` has; if there is none any more, the guest only did not end as it should."""
        line = str(error).splitlines()[0]
        if cell is None or cell not in self.queue:
            self.journal.note(f"after the last benchmark of a guest: {line}")
            return
        self.queue.remove(cell)
        self.journal.note(f"{cell.id} failed: {line}")
        self.journal.record(CellRecord(cell.id, "failed", 0.0, error=str(error)))

    def _measurement(self, cell: Cell, value: Value) -> Measurement:
        cpu = "host" if isinstance(self.spec, SshHostSpec) else self.spec.cpu
        track = self.job.artifacts.setup.track
        return Measurement(
            run_id=self.job.run_id,
            host=self.spec.name,
            track=track.name,
            cpu=cpu,
            gic=self.spec.gic,
            configuration=cell.configuration,
            mechanism=Mechanism(track.mechanism_of(cell.configuration)),
            benchmark=cell.benchmark,
            repetition=cell.repetition,
            **asdict(value),
        )
