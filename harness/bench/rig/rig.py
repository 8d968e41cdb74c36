# SPDX-License-Identifier: MIT
"""What all rigs have in common: the guest hypervisor, and a place below it or in L0 itself."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness.bench.micro import Value
from harness.bench.traps import Event
from harness.build.artifacts import Artifacts
from harness.machine import levels
from harness.machine.console import Place
from harness.machine.guest.emulation import switch
from harness.machine.guest.parameters import cycle_counter
from harness.machine.guest.vmm import vmm_argv
from harness.machine.host import Host
from harness.model.guest import Guest
from harness.model.inventory import HostSpec
from harness.model.journal import Facts, Journal
from harness.model.playbook import Cell, Configuration, Playbook


@dataclass(frozen=True)
class Answer:
    """What a cell gave: a value a metric, and the statistics that they were made of."""

    values: Sequence[Value]
    samples: Sequence[dict[str, Any]]


class Subject(Protocol):
    """What is measured, up and ready."""

    def measure(self, cell: Cell) -> Answer:
        """Raises GuestError if the benchmark fails, or what it runs on."""
        ...


@dataclass(frozen=True)
class Site:
    """L0 during one boot. `cpus` are its CPUs for vCPUs one to one, `event` counts its exits."""

    host: Host
    spec: HostSpec
    playbook: Playbook
    artifacts: Artifacts
    journal: Journal
    event: Event
    cpus: tuple[int, ...]

    def stage(self, name: str) -> AbstractContextManager[None]:
        return self.journal.stage(f"{self.spec.name}: {name}")

    def record(self, what: str, guest: Guest) -> None:
        """Keep the exact command line in the metadata."""
        self.journal.tell(Facts({"commands": {f"{self.spec.name}: {what}": vmm_argv(guest)}}))


@dataclass(frozen=True)
class Rig(ABC):
    """Puts up what a benchmark runs in."""

    site: Site

    @abstractmethod
    def subject(
        self, place: Place, configuration: Configuration
    ) -> AbstractContextManager[Subject]:
        """What is measured in `configuration`, started in `place`."""

    @contextmanager
    def place(self, configuration: Configuration) -> Iterator[Place]:
        """Where the guest that is measured starts: L0, or an L1 that is booted for it.

        L1 boots with the quicker architecture, where the track has a switch for that: what the
        boot cost is in no figure.
        """
        site = self.site
        if not configuration.nested:
            yield site.host
            return
        switch(site.host, site.artifacts.track, None)
        guest = replace(self.hypervisor(configuration), pinned=site.cpus)
        name = site.artifacts.track.hypervisor(configuration)
        site.record(name, guest)
        with ExitStack() as stack:
            with site.stage(f"{name}: boot"), cycle_counter(site.host):
                place = stack.enter_context(levels.l1(site.host, site.artifacts, guest, name=name))
                self.settle(place)
            stack.callback(switch, site.host, site.artifacts.track, None)
            yield place

    def hypervisor(self, configuration: Configuration) -> Guest:
        """The guest hypervisor that is booted for `configuration`."""
        site = self.site
        return levels.l1_guest(
            site.host,
            site.artifacts,
            configuration,
            gic=site.spec.gic,
            memory_mib=site.playbook.l1_memory,
        )

    def settle(self, hypervisor: levels.GuestPlace) -> None:  # noqa: B027  (most need nothing)
        """Make the booted `hypervisor` ready for what it is to run."""
