# SPDX-License-Identifier: MIT
"""Works a host's cells off: boot by boot, guest by guest, cell by cell.

A cell that fails is recorded with its cause, and the rest goes on in a freshly booted guest.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from harness import levels
from harness.artifacts import Artifacts
from harness.bench import micro
from harness.bench.traps import Event as TraceEvent
from harness.bench.traps import counting, usable_event
from harness.cache import Cache
from harness.console import Place
from harness.errors import GuestError, HarnessError, InfrastructureError
from harness.guest.emulation import switch
from harness.guest.microbench import MicrobenchGuest, microbench_guest
from harness.guest.parameters import cycle_counter
from harness.guest.vmm import GUEST_CPUS, Guest, vmm_argv
from harness.host import Host
from harness.inventory import HostSpec, SshHostSpec
from harness.journal import Facts, Journal
from harness.playbook import Cell, Configuration, Playbook
from harness.results.schema import Measurement, Mechanism
from harness.results.store import CellRecord

_BOOT_SECONDS = 180.0
_BENCH_SECONDS = 300.0


@dataclass(frozen=True)
class Job:
    """The cells of one host in one run, for whoever works them off."""

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
    run_id: str, playbook: Playbook, artifacts: Artifacts, consoles: Path, cells: Sequence[Cell],
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
    event: TraceEvent = field(init=False)
    cpus: tuple[int, ...] = ()  # of L0, for vCPUs one to one

    @property
    def spec(self) -> HostSpec:
        return self.job.spec

    def _stage(self, name: str) -> AbstractContextManager[None]:
        return self.journal.stage(f"{self.spec.name}: {name}")

    def execute(self) -> None:
        job = self.job
        with ExitStack() as stack:
            with self._stage("boot L0"):
                host = stack.enter_context(levels.l0(
                    Cache.default(), self.spec, job.artifacts, job.consoles, wait=job.wait
                ))
            self.event = usable_event(host)
            self.cpus = levels.cpus_for_guests(host, self.spec)
            self.journal.tell(Facts({"accounting": {self.spec.name: {
                "tracepoint": self.event.name, "all_exits": self.event.complete,
            }}}))
            while self.queue:
                below = self._hypervisor(self.queue[0])
                try:
                    self._at_level(host, below)
                except GuestError as error:
                    self._blame(below, error)
                    if not _alive(host):
                        return

    def _hypervisor(self, cell: Cell) -> str | None:
        """What has to run for `cell`: a kernel of L1, or none."""
        track, configuration = self.job.artifacts.track, cell.configuration
        return track.hypervisor(configuration) if configuration.nested else None

    def _at_level(self, host: Host, below: str | None) -> None:
        """Run the cells at the head of the queue that need the guest hypervisor `below`.

        It is booted with the quicker architecture, where the track has a switch for that: what
        the boot cost is in no figure.
        """
        track = self.job.artifacts.track
        with self._place(host, self.queue[0].configuration) as place:
            while self.queue and self._hypervisor(self.queue[0]) == below:
                configuration = self.queue[0].configuration
                repetition = self.queue[0].repetition
                if below:
                    switch(host, track, track.modes[configuration].switch)
                with self._guest(place, configuration) as guest:
                    while self.queue and (
                        self.queue[0].configuration, self.queue[0].repetition
                    ) == (configuration, repetition):
                        self._cell(host, guest, self.queue[0])

    @contextmanager
    def _place(self, host: Host, configuration: Configuration) -> Iterator[Place]:
        """Where the guest that is measured starts: L0, or an L1 that is booted for it."""
        if not configuration.nested:
            yield host
            return
        artifacts = self.job.artifacts
        switch(host, artifacts.track, None)
        guest = replace(levels.l1_guest(
            host, artifacts, configuration, gic=self.spec.gic,
            memory_mib=self.job.playbook.l1_memory,
        ), pinned=self.cpus)
        name = artifacts.track.hypervisor(configuration)
        self._record(name, guest)
        with ExitStack() as stack:
            with self._stage(f"{name}: boot"), cycle_counter(host):
                place = stack.enter_context(levels.l1(host, artifacts, guest, name=name))
            stack.callback(switch, host, artifacts.track, None)
            yield place

    @contextmanager
    def _guest(self, place: Place, configuration: Configuration) -> Iterator[MicrobenchGuest]:
        level = "L2" if configuration.nested else "L1"
        guest = Guest(
            place.put(self.job.artifacts.microbench), GUEST_CPUS,
            self.job.playbook.l2_memory, self.spec.gic,
            pinned=() if configuration.nested else self.cpus,
        )
        self._record(f"{configuration}: benchmark guest at {level}", guest)
        with ExitStack() as stack:
            with (
                self._stage(f"{configuration}: boot benchmark guest at {level}"),
                cycle_counter(place, for_good=configuration.nested) as counts_cycles,
            ):
                micro_guest = stack.enter_context(microbench_guest(
                    place, guest, name=str(configuration), boot_seconds=_BOOT_SECONDS
                ))
                if counts_cycles:
                    micro_guest.use_timer("cycles")
            yield micro_guest

    def _record(self, what: str, guest: Guest) -> None:
        """Keep the exact command line in the metadata."""
        self.journal.tell(Facts({"commands": {f"{self.spec.name}: {what}": vmm_argv(guest)}}))

    def _cell(self, host: Host, guest: MicrobenchGuest, cell: Cell) -> None:
        playbook = self.job.playbook
        effort = micro.Effort(
            playbook.iterations, playbook.warmup, playbook.trap_iterations, _BENCH_SECONDS,
        ).part(playbook.nested_share if cell.configuration.nested else 1.0)
        started = time.monotonic()
        with self._stage(f"{cell.configuration}: {cell.benchmark}"):
            sample = micro.measure_cost(guest, cell.benchmark, effort)
            with counting(host, self.event) as counter:
                traps = list(micro.measure_traps(guest, counter, sample, effort))
        values = [micro.cost_value(sample, icount=self.spec.kind == "tcg"), *traps]
        self.journal.tell(CellRecord(
            cell.id, "passed", round(time.monotonic() - started, 3),
            measurements=tuple(self._measurement(cell, value) for value in values),
            samples=(asdict(sample),),
        ))
        self.queue.remove(cell)

    def _measurement(self, cell: Cell, value: micro.Value) -> Measurement:
        cpu = "host" if isinstance(self.spec, SshHostSpec) else self.spec.cpu
        nested = cell.configuration.nested
        mechanism = Mechanism(self.job.artifacts.track.mechanism) if nested else Mechanism.NONE
        return Measurement(
            run_id=self.job.run_id, host=self.spec.name, track=self.job.playbook.track,
            cpu=cpu, gic=self.spec.gic, configuration=cell.configuration, mechanism=mechanism,
            benchmark=cell.benchmark, **asdict(value),
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
