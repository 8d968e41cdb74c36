# SPDX-License-Identifier: MIT
"""Runs all cells of one host.

A cell that fails is recorded with its cause, and the others continue in a freshly booted guest.
"""

from collections.abc import Iterator
from itertools import groupby

from harness.model.journal import Journal
from harness.model.playbook import Cell
from harness.model.setup import Workload
from harness.run.boot import Boot
from harness.run.job import Job
from harness.run.scripts import Scripts


def execute(job: Job, journal: Journal) -> None:
    """Run all cells of `job`; `journal` has each when it has ended.

    A kernel of L0 that dies costs the cell under way and a new boot. Raises the error of an L0
    that does not even boot, and InfrastructureError if the host is lost: its unfinished cells stay
    open, for `run --resume`.
    """
    for queue in _boots(job):
        if job.artifacts.setup.workload is Workload.MICRO:
            Scripts(job, journal, queue).execute()
        while queue:
            Boot(job, journal, queue).execute()


def _boots(job: Job) -> Iterator[list[Cell]]:
    """The cells of each boot of the host: of all repetitions, or of one."""
    if job.artifacts.setup.playbook.boots == 1:
        yield list(job.cells)
        return
    for _, cells in groupby(job.cells, key=lambda cell: cell.repetition):
        yield list(cells)
