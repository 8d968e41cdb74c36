# SPDX-License-Identifier: MIT
"""Runs all workloads but micro-benchmarks: guest by guest and cell by cell, during one boot of
L0."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from harness.bench import proof
from harness.bench.traps import usable_event
from harness.bench.workload import WORKLOADS, BootedHost, Target, Workload
from harness.errors import GuestError, InfrastructureError
from harness.machine import levels
from harness.machine.console import Place, Shell
from harness.machine.guest.nv_mode import set_nv_mode
from harness.machine.host import Host, pinning
from harness.model.playbook import Cell, Configuration
from harness.run.queue import CellQueue


class Boot(CellQueue):
    """The cells of a job during one boot of its host."""

    def execute(self) -> None:
        with self.host() as host:
            workload = self._workload(host)
            while self.queue:
                below = self._hypervisor(self.queue[0])
                try:
                    self._at_level(workload, below)
                except GuestError as error:
                    self.failed(self._under_way(below), error)
                    if not _alive(host):
                        return

    def _hypervisor(self, cell: Cell) -> tuple[str, str | None] | None:
        """What has to run for `cell`: a kernel of L1 and what it boots with, or none."""
        configuration, track = cell.configuration, self.job.artifacts.setup.track
        if not configuration.nested:
            return None
        return track.hypervisor(configuration), track.nv(configuration, booting=True)

    def _workload(self, host: Host) -> Workload:
        event, setup = usable_event(host), self.job.artifacts.setup
        self.account(event)
        cpus = pinning.cpus_for_guests(host, self.spec, setup.guest_cpus)
        booted = BootedHost(host, self.spec, self.job.artifacts, self.journal, event, cpus)
        return WORKLOADS[setup.workload](booted)

    def _at_level(self, workload: Workload, below: tuple[str, str | None] | None) -> None:
        """Run the cells at the head of the queue that need the guest hypervisor `below`."""
        track = self.job.artifacts.setup.track
        with workload.place(self.queue[0].configuration) as place:
            while self.queue and self._hypervisor(self.queue[0]) == below:
                configuration = self.queue[0].configuration
                repetition = self.queue[0].repetition
                if below:
                    set_nv_mode(workload.booted.host, track, track.nv(configuration))
                with workload.target(place, configuration) as target:
                    booted = self._proof(workload, place, target, configuration)
                    while self.queue and (
                        self.queue[0].configuration,
                        self.queue[0].repetition,
                    ) == (configuration, repetition):
                        self._cell(workload, target, self.queue[0], booted)

    def _proof(
        self, workload: Workload, place: Place, target: Target, configuration: Configuration
    ) -> dict[str, Any]:
        """What the levels have booted."""
        host = workload.booted.host
        said = [proof.asked("l0", lambda line: host.run(line).stdout)]
        shells = {
            "l1": place.shell if isinstance(place, levels.GuestPlace) else None,
            "l2": target.shell,
        }
        said += [proof.asked(level, _in(shell)) for level, shell in shells.items() if shell]
        booted = proof.verify(said, self.job.artifacts.booted_by(self.spec, configuration))
        self.told(configuration, booted)
        return booted

    def _cell(
        self, workload: Workload, target: Target, cell: Cell, booted: Mapping[str, Any]
    ) -> None:
        started, host = time.monotonic(), workload.booted.host
        pinned = workload.pinned(cell.configuration)
        with self.stage(f"{cell.configuration}: {cell.benchmark}"):
            pinning.verify(host, pinned)
            outcome = target.measure(cell)
            pinning.verify(host, pinned)
            self.ended(cell, proof.stamped(outcome, booted), time.monotonic() - started)

    def _under_way(self, below: tuple[str, str | None] | None) -> Cell | None:
        """The cell that ran; none if the next one needs another guest hypervisor than `below`."""
        if not self.queue or self._hypervisor(self.queue[0]) != below:
            return None
        return self.queue[0]


def _in(shell: Shell) -> Callable[[str], str]:
    """What runs a line in `shell`."""
    return lambda line: shell.run(line, timeout=60).output


def _alive(host: Host) -> bool:
    try:
        host.run("true", timeout=30)
    except (GuestError, InfrastructureError):
        return False
    return True
