# SPDX-License-Identifier: MIT
"""A Linux guest with a shell, for `neve shell` and for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.bench.outcome import Outcome
from harness.bench.workload.workload import Workload
from harness.machine import levels
from harness.machine.console import Place, Shell
from harness.model.playbook import Cell, Configuration


@dataclass(frozen=True)
class LinuxGuest:
    """The guest at its prompt."""

    shell: Shell

    def measure(self, cell: Cell) -> Outcome:
        """Nothing but that it answers."""
        self.shell.run("true")
        return Outcome()


class LinuxWorkload(Workload):
    """Boots the guest that is measured as Linux, with nothing to measure in it."""

    @contextmanager
    def target(self, place: Place, configuration: Configuration) -> Iterator[LinuxGuest]:
        guest = self.guest(place, configuration)
        with (
            self.booted.stage(f"{configuration}: boot guest at L{configuration.guest_level}"),
            levels.l2(place, guest, name=str(configuration)) as shell,
        ):
            yield LinuxGuest(shell)
