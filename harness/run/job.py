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
from harness.bench.rig import ApplicationRig, MicroRig, Rig, Site, Subject
from harness.bench.traps import usable_event
from harness.build.artifacts import Artifacts
from harness.cache import Cache
from harness.errors import GuestError, HarnessError, InfrastructureError
from harness.machine import levels
from harness.machine.guest.emulation import switch
from harness.machine.host import Host, pinning
from harness.model.cell import CellRecord
from harness.model.guest import GUEST_CPUS
from harness.model.inventory import HostSpec, SshHostSpec
from harness.model.journal import Facts, Journal
from harness.model.measurement import Measurement, Mechanism
from harness.model.playbook import Cell, Configuration, Playbook


@dataclass(frozen=True)
class Job:
    """The cells of one host in one run, for whoever runs them."""

    run_id: str
    playbook: Playbook
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
    playbook: Playbook,
    artifacts: Artifacts,
    consoles: Path,
    cells: Sequence[Cell],
    wait: float = 0,
) -> list[Job]:
    """A job for each host that has some of `cells`; `wait` is for how many seconds another run
    may have it."""
    return [
        Job(run_id, playbook, spec, artifacts, consoles, mine, wait)
        for spec in playbook.hosts
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
            rig = self._rig(host)
            while self.queue:
                below = self._hypervisor(self.queue[0])
                try:
                    self._at_level(rig, below)
                except GuestError as error:
                    self._blame(below, error)
                    if not _alive(host):
                        return

    def _hypervisor(self, cell: Cell) -> str | None:
        """What has to run for `cell`: a kernel of L1, or none."""
        track, configuration = self.job.artifacts.track, cell.configuration
        return track.hypervisor(configuration) if configuration.nested else None

    def _rig(self, host: Host) -> Rig:
        event, playbook = usable_event(host), self.job.playbook
        self.journal.tell(
            Facts(
                {
                    "accounting": {
                        self.spec.name: {
                            "tracepoint": event.name,
                            "all_exits": event.complete,
                        }
                    }
                }
            )
        )
        kind, cpus = (
            (ApplicationRig, playbook.guest_cpus)
            if playbook.applications
            else (MicroRig, GUEST_CPUS)
        )
        return kind(
            Site(
                host,
                self.spec,
                playbook,
                self.job.artifacts,
                self.journal,
                event,
                pinning.cpus_for_guests(host, self.spec, cpus),
            )
        )

    def _at_level(self, rig: Rig, below: str | None) -> None:
        """Run the cells at the head of the queue that need the guest hypervisor `below`."""
        track = self.job.artifacts.track
        with rig.place(self.queue[0].configuration) as place:
            while self.queue and self._hypervisor(self.queue[0]) == below:
                configuration = self.queue[0].configuration
                repetition = self.queue[0].repetition
                if below:
                    switch(rig.site.host, track, track.modes[configuration].switch)
                with rig.subject(place, configuration) as subject:
                    while self.queue and (
                        self.queue[0].configuration,
                        self.queue[0].repetition,
                    ) == (configuration, repetition):
                        self._cell(rig.site, subject, self.queue[0])

    def _cell(self, site: Site, subject: Subject, cell: Cell) -> None:
        started = time.monotonic()
        pinned = () if cell.configuration is Configuration.NATIVE else site.cpus
        with self._stage(f"{cell.configuration}: {cell.benchmark}"):
            pinning.verify(site.host, pinned)
            answer = subject.measure(cell)
            pinning.verify(site.host, pinned)
        self.journal.tell(
            CellRecord(
                cell.id,
                "passed",
                round(time.monotonic() - started, 3),
                measurements=tuple(self._measurement(cell, value) for value in answer.values),
                samples=tuple(answer.samples),
            )
        )
        self.queue.remove(cell)

    def _measurement(self, cell: Cell, value: Value) -> Measurement:
        cpu = "host" if isinstance(self.spec, SshHostSpec) else self.spec.cpu
        nested = cell.configuration.nested
        mechanism = Mechanism(self.job.artifacts.track.mechanism) if nested else Mechanism.NONE
        return Measurement(
            run_id=self.job.run_id,
            host=self.spec.name,
            track=self.job.playbook.track,
            cpu=cpu,
            gic=self.spec.gic,
            configuration=cell.configuration,
            mechanism=mechanism,
            benchmark=cell.benchmark,
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
        self.journal.tell(CellRecord(cell.id, "failed", 0.0, error=str(error)))


def _alive(host: Host) -> bool:
    try:
        host.run("true", timeout=30)
    except (GuestError, InfrastructureError):
        return False
    return True
