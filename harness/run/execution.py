# SPDX-License-Identifier: MIT
"""Runs all cells of one host.

A cell that fails is recorded with its cause, and the rest goes on in a freshly booted guest.
"""

from harness.model.journal import Journal
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
    queue = list(job.cells)
    if job.artifacts.setup.workload is Workload.MICRO:
        Scripts(job, journal, queue).execute()
    while queue:
        Boot(job, journal, queue).execute()
