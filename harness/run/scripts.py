# SPDX-License-Identifier: MIT
"""Runs micro-benchmarks: a script of L0's for the cells of each configuration and repetition."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.bench.traps import Event, event_of, usable_event
from harness.bench.workload.micro import (
    HermeticMachine,
    HostMachine,
    Machine,
    MicroScript,
    UnderWay,
)
from harness.build.image.emulator import emulator
from harness.cache import Cache
from harness.errors import GuestError
from harness.machine import levels
from harness.machine.guest.vmm import vmm_argv
from harness.machine.host import pinning
from harness.model.guest import Guest
from harness.model.inventory import TcgHostSpec
from harness.model.journal import Facts
from harness.model.playbook import Cell
from harness.run.queue import CellQueue


class Scripts(CellQueue):
    """Micro-benchmarks: a script for the cells of each configuration and repetition."""

    def execute(self) -> None:
        job = self.job
        if isinstance(self.spec, TcgHostSpec):
            machine = levels.machine_of(self.spec, job.artifacts)
            hermetic = HermeticMachine(emulator(Cache.default()), machine, job.consoles)
            kernel = job.artifacts.l0(self.spec.name)
            event = event_of(kernel.version, patched="accounting" not in kernel.without)
            self._run_all(hermetic, event, ())
            return
        with self.host() as host, TemporaryDirectory(prefix="neve-") as scratch:
            cpus = pinning.cpus_for_guests(host, self.spec, job.artifacts.setup.guest_cpus)
            self._run_all(HostMachine(host, Path(scratch)), usable_event(host), cpus)

    def _run_all(self, machine: Machine, event: Event, cpus: tuple[int, ...]) -> None:
        self.account(event)
        while self.queue:
            first = self.queue[0]
            self._run(
                machine,
                MicroScript(
                    self.job.artifacts,
                    self.spec,
                    first.configuration,
                    event,
                    cpus,
                    first.repetition,
                ),
                [
                    cell
                    for cell in self.queue
                    if (cell.configuration, cell.repetition)
                    == (first.configuration, first.repetition)
                ],
            )

    def _run(self, machine: Machine, wanted: MicroScript, cells: Sequence[Cell]) -> None:
        """Run `cells`, all of one configuration; one that fails ends them."""
        configuration, under_way = wanted.configuration, cells[0]
        name = f"{self.spec.name}-{configuration}-{under_way.repetition}"
        benchmarks = [cell.benchmark for cell in cells]
        try:
            with machine.run(wanted, benchmarks, name) as (script, guests):
                self._record(guests)
                with self.stage(f"{configuration}: boot"):
                    booted = wanted.verify(script.begun())
                self.told(configuration, booted)
                for under_way in cells:
                    started = time.monotonic()
                    with self.stage(f"{configuration}: {under_way.benchmark}"):
                        outcome = UnderWay(wanted, script, booted).measure(under_way)
                        self.ended(under_way, outcome, time.monotonic() - started)
        except GuestError as error:
            self.failed(under_way, error)

    def _record(self, guests: Mapping[str, Guest]) -> None:
        """Keep the exact command lines in the metadata."""
        commands = {f"{self.spec.name}: {name}": vmm_argv(guest) for name, guest in guests.items()}
        self.journal.record(Facts({"commands": commands}))
