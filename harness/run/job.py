# SPDX-License-Identifier: MIT
"""The cells of one host in one run, for whoever runs them, here or in a worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build.artifacts import Artifacts
from harness.model.inventory import HostSpec
from harness.model.playbook import Cell


@dataclass(frozen=True)
class Job:
    """All that a worker has to know. `wait` is for how many seconds another run may have the
    host."""

    run_id: str
    spec: HostSpec
    artifacts: Artifacts
    consoles: Path
    cells: tuple[Cell, ...]
    wait: float = 0


def jobs_of(
    run_id: str,
    artifacts: Artifacts,
    consoles: Path,
    cells: Sequence[Cell],
    wait: float = 0,
) -> list[Job]:
    """A job for each host that has some of `cells`; `wait` is for how many seconds another run
    may have it."""
    return [
        Job(run_id, spec, artifacts, consoles, mine, wait)
        for spec in artifacts.setup.playbook.hosts
        if (mine := tuple(cell for cell in cells if cell.host == spec.name))
    ]
