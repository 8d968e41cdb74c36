# SPDX-License-Identifier: MIT
"""Runs all cells of one host: boot by boot, guest by guest, cell by cell.

A cell that fails is recorded with its cause, and the rest goes on in a freshly booted guest.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.bench.micro import Value
from harness.bench.traps import usable_event
from harness.bench.workload import WORKLOADS, BootedHost, Target, Workload
from harness.build.artifacts import Artifacts
from harness.cache import Cache
from harness.errors import GuestError, HarnessError, InfrastructureError
from harness.machine import levels
from harness.machine.guest.nv_mode import set_nv_mode
from harness.machine.host import Host, pinning
from harness.model.cell import CellRecord
from harness.model.inventory import HostSpec, SshHostSpec
from harness.model.journal import Facts, Journal
from harness.model.measurement import Measurement, Mechanism
from harness.model.playbook import Cell


@dataclass(frozen=True)
class Job:
    """The cells of one host in one run, for whoever runs them."""

    run_id: str
    spec: HostSpec
    artifacts: Artifacts
    consoles: Path
    cells: tuple[Cell, ...]
    wait: float = 0

    def execute(self, journal: Journal) -> None:
        """Run all cells; `journal` has each when it has ended.

        A kernel of L0 that dies costs the cell under way and a new boot. Raises the error of an
        L0 that does not even boot, and InfrastructureError if the host is lost: its unfinished
        cells stay open, for `run --resume`.
        """
        queue = list(self.cells)
        while queue:
            _Boot(self, journal, queue).execute()


def jobs_of(
    run_id: str,
    artifacts: Artifacts,
    consoles: Path,
    cells: Sequence[Cell],
    wait: float = 0,
) -> list[Job]:
    """A job for each host that has some of `cells`; `wait` is for how many seconds another run
    may have it."""
    return [
        Job(run_id, spec, artifacts, consoles, mine, wait)
        for spec in artifacts.setup.playbook.hosts
        if (mine := tuple(cell for cell in cells if cell.host == spec.name))
    ]


@dataclass
class _Boot:
    """The cells of a job during one boot of its host; what is finished leaves the queue."""

    job: Job
    journal: Journal
    queue: list[Cell]

    @property
    def spec(self) -> HostSpec:
        return self.job.spec

    def _stage(self, name: str) -> AbstractContextManager[None]:
        return self.journal.stage(f"{self.spec.name}: {name}")

    def execute(self) -> None:
        job = self.job
        with ExitStack() as stack:
            with self._stage("boot L0"):
                host = stack.enter_context(
                    levels.l0(
                        Cache.default(), self.spec, job.artifacts, job.consoles, wait=job.wait
                    )
                )
            workload = self._workload(host)
            while self.queue:
                below = self._hypervisor(self.queue[0])
                try:
                    self._at_level(workload, below)
                except GuestError as error:
                    self._blame(below, error)
                    if not _alive(host):
                        return

    def _hypervisor(self, cell: Cell) -> str | None:
        """What has to run for `cell`: a kernel of L1, or none."""
        configuration = cell.configuration
        if not configuration.nested:
            return None
        return self.job.artifacts.setup.track.hypervisor(configuration)

    def _workload(self, host: Host) -> Workload:
        event, setup = usable_event(host), self.job.artifacts.setup
        self.journal.record(
            Facts(
                {
                    "accounting": {
                        self.spec.name: {"tracepoint": event.name, "all_exits": event.complete}
                    }
                }
            )
        )
        cpus = pinning.cpus_for_guests(host, self.spec, setup.guest_cpus)
        booted = BootedHost(host, self.spec, self.job.artifacts, self.journal, event, cpus)
        return WORKLOADS[setup.workload](booted)

    def _at_level(self, workload: Workload, below: str | None) -> None:
        """Run the cells at the head of the queue that need the guest hypervisor `below`."""
        track = self.job.artifacts.setup.track
        with workload.place(self.queue[0].configuration) as place:
            while self.queue and self._hypervisor(self.queue[0]) == below:
                configuration = self.queue[0].configuration
                repetition = self.queue[0].repetition
                if below:
                    set_nv_mode(workload.booted.host, track, track.modes[configuration].nv)
                with workload.target(place, configuration) as target:
                    while self.queue and (
                        self.queue[0].configuration,
                        self.queue[0].repetition,
                    ) == (configuration, repetition):
                        self._cell(workload, target, self.queue[0])

    def _cell(self, workload: Workload, target: Target, cell: Cell) -> None:
        started, host = time.monotonic(), workload.booted.host
        pinned = workload.pinned(cell.configuration)
        with self._stage(f"{cell.configuration}: {cell.benchmark}"):
            pinning.verify(host, pinned)
            outcome = target.measure(cell)
            pinning.verify(host, pinned)
        if outcome.error:
            self.journal.note(f"{cell.id} failed: {outcome.error}")
        self.journal.record(
            CellRecord(
                cell.id,
                "failed" if outcome.error else "passed",
                round(time.monotonic() - started, 3),
                measurements=tuple(self._measurement(cell, value) for value in outcome.values),
                samples=tuple(outcome.samples),
                error=outcome.error,
            )
        )
        self.queue.remove(cell)

    def _measurement(self, cell: Cell, value: Value) -> Measurement:
        cpu = "host" if isinstance(self.spec, SshHostSpec) else self.spec.cpu
        track = self.job.artifacts.setup.track
        nested = cell.configuration.nested
        mechanism = Mechanism(track.mechanism) if nested else Mechanism.NONE
        return Measurement(
            run_id=self.job.run_id,
            host=self.spec.name,
            track=track.name,
            cpu=cpu,
            gic=self.spec.gic,
            configuration=cell.configuration,
            mechanism=mechanism,
            benchmark=cell.benchmark,
            repetition=cell.repetition,
            **asdict(value),
        )

    def _blame(self, below: str | None, error: HarnessError) -> None:
        """Fail the cell under way; with none left the guest only did not end as it should."""
        line = str(error).splitlines()[0]
        if not self.queue or self._hypervisor(self.queue[0]) != below:
            self.journal.note(f"after the last benchmark of a guest: {line}")
            return
        cell = self.queue.pop(0)
        self.journal.note(f"{cell.id} failed: {line}")
        self.journal.record(CellRecord(cell.id, "failed", 0.0, error=str(error)))


def _alive(host: Host) -> bool:
    try:
        host.run("true", timeout=30)
    except (GuestError, InfrastructureError):
        return False
    return True
