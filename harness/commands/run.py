# SPDX-License-Identifier: MIT
"""`neve run`."""

import re
import shlex
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from harness.build.artifacts import Artifacts, build_all
from harness.build.image.emulator import emulator
from harness.cache import Cache
from harness.errors import GuestError, HarnessError, UserError
from harness.holding import hold
from harness.machine import levels
from harness.machine.host.board import l0_command
from harness.machine.host.openssh import settings
from harness.machine.host.sudo import Sudo
from harness.model.inventory import SshHostSpec, TcgHostSpec
from harness.model.legend import Legend
from harness.model.playbook import Cell, Playbook, shuffled
from harness.model.setup import Setup
from harness.progress import Progress
from harness.results import report
from harness.results.store import RunFolder
from harness.run.execution import execute as execute_job
from harness.run.folder_journal import FolderJournal
from harness.run.job import jobs_of
from harness.run.pace import Pace, stage_of
from harness.version import harness_version


def run(
    runs: Path,
    setup: Setup,
    resume: str | None,
    scheduler: str | None = None,
    *,
    check: bool | None = None,
    database: str | None = None,
    wait: float = 0,
) -> RunFolder:
    """Run all cells of `setup`, or what is left of a run, and write the reports; the history has
    it then. `check` overrides the playbook's; `wait` is for how many seconds another run may have
    a server. What it took is remembered: the next one says what to expect."""
    progress, pace = Progress(), Pace.of(Cache.default(), setup)
    if scheduler is None:  # other machines take other times
        progress.expect(pace.stage, pace.seconds)
    try:
        folder = _run(
            runs, setup, resume, scheduler, progress, check=check, database=database, wait=wait
        )
        if scheduler is None:
            pace.keep_whole(progress, folder.path)
        return folder
    finally:
        if scheduler is None:
            pace.keep(progress)


def _run(
    runs: Path,
    setup: Setup,
    resume: str | None,
    scheduler: str | None,
    progress: Progress,
    *,
    check: bool | None,
    database: str | None,
    wait: float,
) -> RunFolder:
    playbook = setup.playbook
    if resume:
        _resumable(RunFolder.open(runs, resume), {"playbook": playbook.model_dump(mode="json")})
    from harness.commands import history

    history.probe(database, runs)
    cache = Cache.default()
    if len(playbook.hosts) > 1 or scheduler:
        from harness.run import fleet

        fleet.probe(playbook.hosts, scheduler)
    reach(playbook, runs, wait, progress)
    artifacts = build_all(cache, progress, setup)
    folder = _folder(runs, resume, playbook.name, facts_of(cache, artifacts))
    finished = {record.id for record in folder.records() if record.passed}
    ordered = _order(folder, playbook)
    cells = ordered(cell for cell in setup.cells if cell.id not in finished)
    judge = history.Check(database, runs, folder, playbook.check if check is None else check)
    folder.update(state="unfinished", planned=[cell.id for cell in ordered(setup.cells)])

    def execute(cells: Sequence[Cell]) -> None:
        progress.measure(stage_of(cell) for cell in cells)
        journal = FolderJournal(folder, progress)
        jobs = jobs_of(folder.id, artifacts, folder.consoles, cells, wait)
        if len(jobs) == 1 and scheduler is None:
            execute_job(jobs[0], journal)
        elif jobs:
            from harness.run import fleet

            fleet.execute(jobs, journal, scheduler)

    try:
        execute(cells)
        again = ordered(judge.suspicious(playbook))
        for cell in again:
            progress.note(f"{cell.id}: looks changed, so it is measured again")
        execute(again)
        folder.update(state="finished")
    except BaseException:
        folder.update(state="cut off")
        with suppress(GuestError):  # none has passed
            report.write(folder)
        progress.note(f"finished cells are kept; go on: {resume_command(folder)}")
        raise
    finally:
        folder.update(durations=progress.durations, ended=datetime.now(UTC).isoformat())
    try:
        judge.conclude()
    finally:
        report.write(folder)
    return folder


def _folder(runs: Path, resume: str | None, name: str, facts: dict[str, Any]) -> RunFolder:
    """A new one, or that of the run to resume; nobody deletes it meanwhile."""
    if resume:
        folder = _resumable(RunFolder.open(runs, resume), facts)
    else:
        folder = RunFolder.create(runs, name, {**facts, "repeat": repeat_command()})
    hold(folder.path)
    return folder


def _order(folder: RunFolder, playbook: Playbook) -> Callable[[Iterable[Cell]], list[Cell]]:
    """What puts cells of the run into the order in which they run, also when it is resumed."""
    seed = folder.metadata.seed
    if seed is None:
        seed = zlib.crc32(folder.id.encode())
        folder.update(seed=seed)
    return partial(shuffled, playbook, seed=seed)


def reach(playbook: Playbook, transcripts: Path, wait: float, progress: Progress) -> None:
    """Raise only if every host is unusable; a host that fails alone is retried by its own job."""
    servers = [spec for spec in playbook.hosts if isinstance(spec, SshHostSpec)]
    for spec in servers:
        with suppress(HarnessError):  # which is told below
            Sudo.of(spec, settings(spec).user)  # asks while somebody is at the terminal
    errors = []
    for spec in servers:
        try:
            with progress.stage(f"reach {spec.name}"):
                levels.reach(spec, transcripts, wait)
        except HarnessError as error:
            progress.note(str(error).splitlines()[0])
            errors.append(error)
    if errors and len(errors) == len(playbook.hosts):
        raise errors[0]


def facts_of(cache: Cache, artifacts: Artifacts) -> dict[str, Any]:
    """What two halves of a run must have in common, and what explains its numbers."""
    setup = artifacts.setup
    machines = {
        host.name: levels.machine_of(host, artifacts)
        for host in setup.playbook.hosts
        if isinstance(host, TcgHostSpec)
    }
    qemu = emulator(cache) if machines else None
    return {
        "harness": harness_version(),
        "track": setup.track.name,
        "legend": Legend.of(setup.track.name, setup.playbook.benchmarks).model_dump(),
        "playbook": setup.playbook.model_dump(mode="json"),
        "skipped": setup.skipped,
        **artifacts.describe(),
        "emulator": qemu.version if qemu else None,
        "commands": {
            f"{name}: L0": l0_command(qemu, cache, machine)
            for name, machine in machines.items()
            if qemu
        },
    }


def _resumable(folder: RunFolder, facts: dict[str, Any]) -> RunFolder:
    """`folder`, whose run went with the same `facts`, as far as they are known already."""
    known = folder.metadata.written()
    for key in ("playbook", "kernels", "microbench", "rootfs", "disk", "payload", "emulator"):
        if key in facts and known.get(key) != facts[key]:
            raise UserError(
                f"--resume {folder.id}: the {key} is not the one that the run began with; "
                "start anew"
            )
    return folder


def conclusion(folder: RunFolder) -> dict[str, Any]:
    """What a program asks of a run that has ended: its folder, the cells that failed, what looks
    changed by the history, and the `status` of a payload in each of its cells."""
    records = folder.records()
    return {
        "run": str(folder.path),
        "failed": [record.id for record in records if not record.passed],
        "changes": folder.metadata.written().get("changes", []),
        "status": {
            record.id: sample["status"]
            for record in records
            for sample in record.samples
            if "status" in sample
        },
    }


def require_success(folder: RunFolder) -> None:
    """Raise GuestError if a cell failed, or if the history says that something got worse."""
    from harness.commands.history import regressions

    if failed := conclusion(folder)["failed"]:
        raise GuestError(
            f"{folder.standing()}: {', '.join(failed)}; again: {resume_command(folder)}"
        )
    if worse := regressions(folder):
        raise GuestError(f"worse than the history: {'; '.join(worse)}")


def resume_command(folder: RunFolder) -> str:
    """What goes on with the run: it must be asked for what it began with."""
    return f"{folder.metadata.repeat} --resume {folder.id}"


def repeat_command() -> str:
    """As it was typed, but for a password in a URL."""
    words = [re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", word) for word in sys.argv[1:]]
    return shlex.join(["neve", *words])
