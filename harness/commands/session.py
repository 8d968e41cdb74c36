# SPDX-License-Identifier: MIT
"""A run under way: its folder, what it boots, and who executes its cells."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.build.artifacts import Artifacts
from harness.cache import Cache
from harness.errors import GuestError
from harness.model.playbook import Cell, shuffled
from harness.progress import Progress
from harness.results import report
from harness.results.store import RunFolder
from harness.run import crew
from harness.run.execution import execute as execute_job
from harness.run.folder_journal import FolderJournal
from harness.run.job import jobs_of
from harness.run.pace import Pace, stage_of


@dataclass(frozen=True)
class Session:
    """`folder` is that of the run of `artifacts`' setup, whose cells run on the Dask workers of
    `scheduler`, or on ours; another run may have a server for `wait` seconds."""

    folder: RunFolder
    artifacts: Artifacts
    progress: Progress
    scheduler: str | None = None
    wait: float = 0

    @property
    def left(self) -> list[Cell]:
        """The cells that have not passed, in the order in which they run."""
        finished = {record.id for record in self.folder.records() if record.passed}
        return self.ordered(cell for cell in self.artifacts.setup.cells if cell.id not in finished)

    def ordered(self, cells: Iterable[Cell]) -> list[Cell]:
        """`cells` in the order in which they run, also when the run is resumed."""
        seed = self.folder.metadata.seed
        if seed is None:
            seed = zlib.crc32(self.folder.id.encode())
            self.folder.update(seed=seed)
        return shuffled(self.artifacts.setup.playbook, cells, seed)

    def plan(self) -> None:
        """Say in the metadata what is to run."""
        cells = self.ordered(self.artifacts.setup.cells)
        self.folder.update(state="unfinished", planned=[cell.id for cell in cells])

    def execute(self, cells: Sequence[Cell]) -> None:
        """Run `cells`, what takes long first; the folder has each when it has ended."""
        self.progress.measure(stage_of(cell) for cell in cells)
        journal = FolderJournal(self.folder, self.progress)
        jobs = jobs_of(self.folder.id, self.artifacts, self.folder.consoles, cells, self.wait)
        if len(jobs) == 1 and self.scheduler is None:
            execute_job(jobs[0], journal)
            return
        pace = Pace.of(Cache.default(), self.artifacts.setup)
        jobs.sort(key=lambda job: pace.rank(job.cells), reverse=True)
        if self.scheduler:
            from harness.run import fleet

            fleet.execute(jobs, journal, self.scheduler)
        else:
            crew.execute(jobs, journal, pace.machines)

    @contextmanager
    def kept(self, resume: str = "") -> Iterator[None]:
        """Whatever ends it, the folder says so, and `resume` is the command that goes on, if it is
        to be told."""
        try:
            yield
            self.folder.update(state="finished")
        except BaseException:
            self.folder.update(state="cut off")
            with suppress(GuestError):  # none has passed
                report.write(self.folder)
            if resume:
                self.progress.note(f"finished cells are kept; go on: {resume}")
            raise
        finally:
            self.folder.update(
                durations=self.progress.durations, ended=datetime.now(UTC).isoformat()
            )


def facts_in_common(known: Mapping[str, Any], facts: Mapping[str, Any]) -> str | None:
    """What two halves of a run do not have in common, of what is known already; None if they may
    be one run."""
    names = ("playbook", "kernels", "microbench", "rootfs", "disk", "payload", "emulator")
    return next((name for name in names if name in facts and known.get(name) != facts[name]), None)
