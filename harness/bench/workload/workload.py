# SPDX-License-Identifier: MIT
"""What all workloads have in common: the guest hypervisor, and a place below it or in L0 itself."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from harness.bench.outcome import Outcome
from harness.bench.traps import Event
from harness.build.artifacts import Artifacts
from harness.machine import levels
from harness.machine.console import Place, Shell
from harness.machine.guest.nv_mode import set_nv_mode
from harness.machine.guest.vmm import vmm_argv
from harness.machine.host import Host
from harness.model.guest import Guest
from harness.model.inventory import HostSpec
from harness.model.journal import Facts, Journal
from harness.model.playbook import Cell, Configuration, Playbook
from harness.model.setup import Setup


class Target(Protocol):
    """What is measured, up and ready. `shell` is that of a Linux guest."""

    @property
    def shell(self) -> Shell | None: ...

    def measure(self, cell: Cell) -> Outcome:
        """Raises GuestError if the benchmark fails, or what it runs on."""
        ...


@dataclass(frozen=True)
class BootedHost:
    """L0 during one boot. `cpus` are its CPUs for vCPUs one to one, `event` counts its exits."""

    host: Host
    spec: HostSpec
    artifacts: Artifacts
    journal: Journal
    event: Event
    cpus: tuple[int, ...]

    @property
    def setup(self) -> Setup:
        return self.artifacts.setup

    @property
    def playbook(self) -> Playbook:
        return self.artifacts.setup.playbook

    def stage(self, name: str) -> AbstractContextManager[None]:
        return self.journal.stage(f"{self.spec.name}: {name}")

    def placed(self, name: str, guest: Guest, place: Place) -> Guest:
        """`guest` with its files where `place` has them, on its CPUs if that is L0; its exact
        command line is kept in the metadata."""
        wanted = levels.placed(guest, place, self.artifacts)
        self.journal.record(Facts({"commands": {f"{self.spec.name}: {name}": vmm_argv(wanted)}}))
        return replace(wanted, pinned=self.cpus) if place is self.host else wanted


@dataclass(frozen=True)
class Workload(ABC):
    """Puts up what a cell is measured in."""

    booted: BootedHost

    @abstractmethod
    def target(self, place: Place, configuration: Configuration) -> AbstractContextManager[Target]:
        """What is measured in `configuration`, started in `place`."""

    @contextmanager
    def place(self, configuration: Configuration) -> Iterator[Place]:
        """Where the guest that is measured starts: L0, or an L1 that is booted for it.

        L1 boots with the quicker architecture, where the track has a switch for that: what the
        boot cost is in no figure.
        """
        booted, host = self.booted, self.booted.host
        if not configuration.nested:
            yield host
            return
        track = booted.setup.track
        set_nv_mode(host, track, track.nv(configuration, booting=True))
        name = track.hypervisor(configuration)
        guest = booted.placed(
            name, booted.setup.hypervisor(booted.spec, configuration), booted.host
        )
        with ExitStack() as stack:
            with booted.stage(f"{name}: boot"):
                place = stack.enter_context(levels.l1(host, booted.artifacts, guest, name=name))
                self.settle(place)
            stack.callback(set_nv_mode, host, track, None)
            yield place

    def guest(self, place: Place, configuration: Configuration) -> Guest:
        """The guest that is measured, to be started in `place`."""
        booted = self.booted
        guest = booted.setup.measured(booted.spec, configuration)
        assert guest is not None, f"{configuration} has no guest"
        name = f"{configuration}: guest at L{configuration.guest_level}"
        return booted.placed(name, guest, place)

    def pinned(self, configuration: Configuration) -> tuple[int, ...]:
        """The CPUs that the vCPUs of a guest in L0 must have before and after a cell."""
        return () if configuration is Configuration.NATIVE else self.booted.cpus

    def settle(self, hypervisor: levels.GuestPlace) -> None:  # noqa: B027  (most need nothing)
        """Make the booted `hypervisor` ready for what it is to run."""
