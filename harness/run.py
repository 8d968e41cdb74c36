# SPDX-License-Identifier: MIT
"""Runs a plan: host by host, guest by guest, cell by cell.

A cell that fails is recorded with its cause, and the rest goes on in a freshly booted guest.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import groupby

from harness import levels
from harness.artifacts import Artifacts
from harness.bench import micro
from harness.bench.traps import Event, counting, usable_event
from harness.cache import Cache
from harness.console import Place
from harness.errors import GuestError, HarnessError, InfrastructureError
from harness.guest.emulation import switch
from harness.guest.microbench import MicrobenchGuest, microbench_guest
from harness.guest.parameters import cycle_counter
from harness.guest.vmm import GUEST_CPUS, Guest, vmm_argv
from harness.host import Host
from harness.playbook import Cell, Configuration, HostSpec, Playbook, SshHostSpec
from harness.progress import Progress
from harness.results.schema import Measurement, Mechanism
from harness.results.store import CellRecord, RunFolder

_BOOT_SECONDS = 180.0
_BENCH_SECONDS = 300.0


@dataclass(frozen=True)
class Run:
    """One execution of a playbook."""

    cache: Cache
    playbook: Playbook
    artifacts: Artifacts
    folder: RunFolder
    progress: Progress

    def execute(self, cells: Sequence[Cell]) -> None:
        """Run `cells`; each is on the disk when it has ended.

        Raises InfrastructureError if a host is lost; its unfinished cells stay open, for
        `run --resume`.
        """
        for name, group in groupby(cells, key=lambda cell: cell.host):
            spec = next(host for host in self.playbook.hosts if host.name == name)
            queue = list(group)
            while queue:
                _HostRun(self, spec, queue).execute()


@dataclass
class _HostRun:
    """The cells of one host during one boot of it; what is finished leaves the queue."""

    run: Run
    spec: HostSpec
    queue: list[Cell]
    event: Event = field(init=False)

    def execute(self) -> None:
        """Boot L0 and work the queue off. A kernel of L0 that dies costs the cell under way
        and a new boot; one that does not even boot is raised."""
        run = self.run
        with ExitStack() as stack:
            with run.progress.stage(f"{self.spec.name}: boot L0"):
                host = stack.enter_context(levels.l0(
                    run.cache, self.spec, run.artifacts, run.folder.consoles
                ))
            self.event = usable_event(host)
            run.folder.update(tracepoint=self.event.name, all_exits=self.event.complete)
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
        track, configuration = self.run.artifacts.track, cell.configuration
        return track.hypervisor(configuration) if configuration.nested else None

    def _at_level(self, host: Host, below: str | None) -> None:
        """Run the cells at the head of the queue that need the guest hypervisor `below`.

        It is booted with the quicker architecture, where the track has a switch for that: what
        the boot cost is in no figure.
        """
        track = self.run.artifacts.track
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
        artifacts = self.run.artifacts
        switch(host, artifacts.track, None)
        guest = levels.l1_guest(
            host, artifacts, configuration, gic=self.spec.gic,
            memory_mib=self.run.playbook.l1_memory,
        )
        name = artifacts.track.hypervisor(configuration)
        self._record(name, guest)
        with ExitStack() as stack:
            with self.run.progress.stage(f"{name}: boot"), cycle_counter(host):
                place = stack.enter_context(levels.l1(host, artifacts, guest, name=name))
            stack.callback(switch, host, artifacts.track, None)
            yield place

    @contextmanager
    def _guest(self, place: Place, configuration: Configuration) -> Iterator[MicrobenchGuest]:
        level = "L2" if configuration.nested else "L1"
        guest = Guest(
            place.put(self.run.artifacts.microbench), GUEST_CPUS,
            self.run.playbook.l2_memory, self.spec.gic,
        )
        self._record(f"{configuration}: benchmark guest at {level}", guest)
        with ExitStack() as stack:
            with (
                self.run.progress.stage(f"{configuration}: boot benchmark guest at {level}"),
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
        commands = self.run.folder.metadata.get("commands", {})
        self.run.folder.update(commands={
            **commands, f"{self.spec.name}: {what}": vmm_argv(guest)
        })

    def _cell(self, host: Host, guest: MicrobenchGuest, cell: Cell) -> None:
        run = self.run
        effort = micro.Effort(
            run.playbook.iterations, run.playbook.warmup, run.playbook.trap_iterations,
            _BENCH_SECONDS,
        ).part(run.playbook.nested_share if cell.configuration.nested else 1.0)
        started = time.monotonic()
        with run.progress.stage(f"{cell.configuration}: {cell.benchmark}"):
            sample = micro.measure_cost(guest, cell.benchmark, effort)
            with counting(host, self.event) as counter:
                traps = list(micro.measure_traps(guest, counter, sample, effort))
        values = [micro.cost_value(sample, icount=self.spec.kind == "tcg"), *traps]
        run.folder.append(CellRecord(
            cell.id, "passed", round(time.monotonic() - started, 3),
            measurements=tuple(self._measurement(cell, value) for value in values),
            samples=(asdict(sample),),
        ))
        self.queue.remove(cell)

    def _measurement(self, cell: Cell, value: micro.Value) -> Measurement:
        cpu = "host" if isinstance(self.spec, SshHostSpec) else self.spec.cpu
        nested = cell.configuration.nested
        mechanism = Mechanism(self.run.artifacts.track.mechanism) if nested else Mechanism.NONE
        return Measurement(
            run_id=self.run.folder.id, host=self.spec.name, track=self.run.playbook.track,
            cpu=cpu, gic=self.spec.gic, configuration=cell.configuration, mechanism=mechanism,
            benchmark=cell.benchmark, **asdict(value),
        )

    def _blame(self, below: str | None, error: HarnessError) -> None:
        """Fail the cell under way; with none left the guest only did not end as it should."""
        line = str(error).splitlines()[0]
        if not self.queue or self._hypervisor(self.queue[0]) != below:
            self.run.progress.note(f"after the last benchmark of a guest: {line}")
            return
        cell = self.queue.pop(0)
        self.run.progress.note(f"{cell.id} failed: {line}")
        self.run.folder.append(CellRecord(cell.id, "failed", 0.0, error=str(error)))


def _alive(host: Host) -> bool:
    try:
        host.run("true", timeout=30)
    except (GuestError, InfrastructureError):
        return False
    return True
