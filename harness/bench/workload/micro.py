# SPDX-License-Identifier: MIT
"""Micro-benchmarks: a guest of ours without an operating system, measured by a script of L0's."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from harness.bench import proof
from harness.bench.outcome import Outcome
from harness.bench.proof import Booted
from harness.bench.script import Effort, Script, Step, outcome, script
from harness.bench.traps import Event, Histogram
from harness.build.artifacts import Artifacts
from harness.build.image.emulator import Emulator
from harness.machine import levels
from harness.machine.console import Program, Shelf
from harness.machine.guest.vmm import pinned_argv
from harness.machine.host import Host
from harness.machine.host.hermetic import FILES, hermetic
from harness.model.guest import Guest
from harness.model.inventory import HostSpec, TcgHostSpec
from harness.model.machine import TcgMachine
from harness.model.playbook import Cell, Configuration

# A sample takes as many at least, on a real processor: what is measured is then far more than the
# timer's step, and than what reading it takes.
TICKS = 1000

Running = tuple[Script, dict[str, Guest]]  # a script under way, and its guests by name


@dataclass
class Files:
    """Files below `folder`, each by its name there."""

    folder: str
    by_name: dict[str, Path] = field(default_factory=dict)

    def put(self, local: Path) -> str:
        name = f"{local.parent.name}-{local.name}"
        self.by_name[name] = local
        return f"{self.folder}/{name}"


@dataclass(frozen=True)
class InL1:
    """L1's own files, which are in its image, by their local paths."""

    names: Mapping[Path, str]

    def put(self, local: Path) -> str:
        return f"{FILES}/{self.names[local]}"


@dataclass(frozen=True)
class MicroScript:
    """The script that measures one configuration on one host, whose `event` sees its exits; vCPUs
    of guests in L0 are on its `cpus`, or on the first ones. Guests with a seed have another one in
    each `repetition`."""

    artifacts: Artifacts
    spec: HostSpec
    configuration: Configuration
    event: Event
    cpus: tuple[int, ...] = ()
    repetition: int = 1

    @property
    def emulated(self) -> bool:
        """Whether the host is a machine of the emulator's, which counts instructions."""
        return isinstance(self.spec, TcgHostSpec)

    @property
    def _in_l1(self) -> InL1:
        return InL1({path: name for name, path in self.artifacts.nested.items()})

    def guests(self, shelf: Shelf) -> dict[str, Guest]:
        """The guests by what they are called in plans and in metadata, the one in L0 first; their
        files are put on `shelf`."""
        setup, configuration = self.artifacts.setup, self.configuration
        wanted = {}
        if configuration.nested:
            name = setup.track.hypervisor(configuration)
            wanted[name] = setup.hypervisor(self.spec, configuration)
        measured = setup.measured(self.spec, configuration)
        assert measured is not None, f"{configuration} has no guest"
        wanted[f"{configuration}: guest at L{configuration.guest_level}"] = measured
        places: list[Shelf] = [shelf, self._in_l1]
        placed = [
            replace(
                levels.placed(guest, place, self.artifacts), seed=guest.seed and self.repetition
            )
            for guest, place in zip(wanted.values(), places, strict=False)
        ]
        placed[0] = replace(placed[0], pinned=self.cpus)
        return dict(zip(wanted, placed, strict=True))

    def verify(self, said: Sequence[Booted]) -> dict[str, Any]:
        """What each level has `said` that it booted, for the metadata. Raises GuestError if a level
        booted something else, or says nothing."""
        return proof.verify(said, self.artifacts.booted_by(self.spec, self.configuration))

    def step(self, benchmark: str) -> Step:
        playbook = self.artifacts.setup.playbook
        effort = Effort(
            playbook.iterations,
            playbook.warmup,
            playbook.trap_iterations,
            playbook.benchmark_seconds,
        )
        share = playbook.nested_share if self.configuration.nested else 1.0
        ticks = 0 if self.emulated else TICKS
        return Step(benchmark, effort.part(share), ticks)

    def text(self, shelf: Shelf, guests: Sequence[Guest], benchmarks: Sequence[str]) -> str:
        """What L0 runs to measure `benchmarks` in `guests`, the one in L0 first; the files that it
        needs are put on `shelf`."""
        track, nested = self.artifacts.setup.track, self.configuration.nested
        switch = track.nv_switch if nested else None
        variables = {
            "L1": shlex.join(pinned_argv(shelf, guests[0])) if nested else "",
            "VMM": shlex.join(pinned_argv(self._in_l1 if nested else shelf, guests[-1])),
            "MODE": (switch and track.nv(self.configuration)) or "",
            "MODE_BOOT": (switch and track.nv(self.configuration, booting=True)) or "",
            "MODE_FILE": switch.file if switch else "",
            "IMPLIED_EL2": track.implied_el2 or "" if guests[0].device_tree else "",
            # Where instructions are counted, the timer counts them.
            "TIMER": "virtual" if self.emulated else "cycles",
            "EVENT": self.event.name,
            "TRIGGER": "" if self.event.complete else self.event.trigger,
            "MORE": str(Histogram.MORE),
            "PROOF": proof.SCRIPT,
        }
        return script(variables, [self.step(benchmark) for benchmark in benchmarks])

    def said_by(self, program: Program) -> Script:
        """What `program`, which runs the text, says."""
        return Script(program, self.artifacts.setup.playbook.boot_seconds)


class Machine(Protocol):
    """What runs scripts."""

    def run(
        self, wanted: MicroScript, benchmarks: Sequence[str], name: str
    ) -> AbstractContextManager[Running]:
        """The script `wanted` under way, and its guests; `name` is its console's."""
        ...


@dataclass(frozen=True)
class HermeticMachine:
    """A machine of the emulator's for each script; it need not wait for the end of its guests."""

    emulator: Emulator
    machine: TcgMachine
    transcripts: Path

    @contextmanager
    def run(self, wanted: MicroScript, benchmarks: Sequence[str], name: str) -> Iterator[Running]:
        files = Files(FILES)
        guests = wanted.guests(files)
        text = wanted.text(files, list(guests.values()), benchmarks)
        transcript = self.transcripts / f"{name}.log"
        with hermetic(self.emulator, self.machine, text, files.by_name, transcript) as program:
            yield wanted.said_by(program), guests


@dataclass(frozen=True)
class HostMachine:
    """A host that is up; scripts are written into the folder `scratch` of ours first."""

    host: Host
    scratch: Path

    @contextmanager
    def run(self, wanted: MicroScript, benchmarks: Sequence[str], name: str) -> Iterator[Running]:
        guests = wanted.guests(self.host)
        file = self.scratch / f"{name}.sh"
        file.write_text(wanted.text(self.host, list(guests.values()), benchmarks), encoding="utf-8")
        program = self.host.start(["sh", self.host.put(file)], name)
        try:
            said = wanted.said_by(program)
            yield said, guests
            said.ended()
        finally:
            program.hang_up()


@dataclass(frozen=True)
class UnderWay:
    """A script that runs, cell by cell."""

    wanted: MicroScript
    script: Script
    booted: Mapping[str, Any]

    def measure(self, cell: Cell) -> Outcome:
        step = self.wanted.step(cell.benchmark)
        pinned = self.wanted.cpus or tuple(range(self.wanted.artifacts.setup.guest_cpus))
        found = self.script.measure(step, self.wanted.event, pinned)
        return proof.stamped(outcome(found, icount=self.wanted.emulated), self.booted)
