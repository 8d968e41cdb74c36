# SPDX-License-Identifier: MIT
"""`neve run`."""

import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.build.artifacts import Artifacts, build_all
from harness.build.image.emulator import emulator
from harness.cache import Cache
from harness.commands.computer import computer
from harness.commands.session import Session, facts_in_common
from harness.commands.windows import bisect_commands
from harness.errors import GuestError, HarnessError, UserError
from harness.holding import hold
from harness.machine import levels
from harness.machine.host.board import l0_command
from harness.machine.host.openssh import settings
from harness.machine.host.sudo import Sudo
from harness.model.inventory import SshHostSpec, TcgHostSpec
from harness.model.legend import Legend
from harness.model.playbook import Playbook
from harness.model.setup import Setup
from harness.progress import Progress
from harness.results import report
from harness.results.store import RunFolder
from harness.run.pace import Pace
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
    """Run all cells of `setup`, or those left of a run, write the reports, and import it into the
    history. `check` overrides the playbook's; `wait` is for how many seconds another run may have a
    server. The time it took is remembered, for what the next run expects."""
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
    if scheduler:
        from harness.run import fleet

        fleet.probe(playbook.hosts, scheduler)
    processors = reach(playbook, runs, wait, progress)
    artifacts = build_all(cache, progress, setup)
    facts = {**facts_of(cache, artifacts), "processors": processors}
    folder = _folder(runs, resume, playbook.name, facts)
    session = Session(folder, artifacts, progress, scheduler, wait)
    cells = session.left
    judge = history.Check(database, runs, folder, playbook.check if check is None else check)
    session.plan()
    with session.kept(resume_command(folder)):
        session.execute(cells)
        again = session.ordered(judge.suspicious(playbook))
        for cell in again:
            progress.note(f"{cell.id}: looks changed, so it is measured again")
        session.execute(again)
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


def reach(playbook: Playbook, transcripts: Path, wait: float, progress: Progress) -> dict[str, str]:
    """The processors of the servers that can be reached, by host. Raises only if every host is
    unusable; a host that fails alone is retried by its own job."""
    servers = [spec for spec in playbook.hosts if isinstance(spec, SshHostSpec)]
    for spec in servers:
        with suppress(HarnessError):  # which is told below
            Sudo.of(spec, settings(spec).user)  # asks while somebody is at the terminal
    errors, processors = [], {}
    for spec in servers:
        try:
            with progress.stage(f"reach {spec.name}"):
                processors[spec.name] = levels.reach(spec, transcripts, wait)
        except HarnessError as error:
            progress.note(str(error).splitlines()[0])
            errors.append(error)
    if errors and len(errors) == len(playbook.hosts):
        raise errors[0]
    return processors


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
        "computer": computer(),
        "commands": {
            f"{name}: L0": l0_command(qemu, cache, machine)
            for name, machine in machines.items()
            if qemu
        },
    }


def _resumable(folder: RunFolder, facts: dict[str, Any]) -> RunFolder:
    """`folder`, whose run went with the same `facts`, as far as they are known already."""
    if changed := facts_in_common(folder.metadata.written(), facts):
        raise UserError(
            f"--resume {folder.id}: the {changed} is not the one that the run began with; "
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
        hints = [f"\nfind the commit: {command}" for command in bisect_commands(folder)]
        raise GuestError(f"worse than the history: {'; '.join(worse)}{''.join(hints)}")


def resume_command(folder: RunFolder) -> str:
    """What goes on with the run: it must be asked for what it began with."""
    return f"{folder.metadata.repeat} --resume {folder.id}"


def repeat_command() -> str:
    """As it was typed, but for a password in a URL."""
    words = [re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", word) for word in sys.argv[1:]]
    return shlex.join(["neve", *words])
