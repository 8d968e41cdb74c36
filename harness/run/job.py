# SPDX-License-Identifier: MIT
"""A job: the cells of one server, or of one emulated machine, which are measured here or in a
worker, independently of all others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build.artifacts import Artifacts
from harness.model.inventory import HostSpec, TcgHostSpec
from harness.model.playbook import Cell


@dataclass(frozen=True)
class Job:
    """All that a worker has to know. `wait` is for how many seconds another run may have the host;
    no two jobs of a run have the same `name`."""

    run_id: str
    spec: HostSpec
    artifacts: Artifacts
    consoles: Path
    cells: tuple[Cell, ...]
    wait: float = 0
    name: str = ""

    @property
    def emulated(self) -> bool:
        """Whether its host is a machine that is started for it."""
        return isinstance(self.spec, TcgHostSpec)


def jobs_of(
    run_id: str,
    artifacts: Artifacts,
    consoles: Path,
    cells: Sequence[Cell],
    wait: float = 0,
) -> list[Job]:
    """The jobs that `cells` are; `wait` is for how many seconds another run may have a host."""
    specs = {spec.name: spec for spec in artifacts.setup.playbook.hosts}
    return [
        Job(run_id, specs[mine[0].host], artifacts, consoles, mine, wait, name)
        for name, mine in artifacts.setup.boots(cells).items()
    ]
