# SPDX-License-Identifier: MIT
"""`neve plan` and `neve run`."""

import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.build.artifacts import Artifacts, artifacts_of
from harness.build.feasible import refuse_empty, refuse_impossible
from harness.build.image.emulator import Emulator, emulator
from harness.cache import Cache
from harness.errors import GuestError, HarnessError, UserError
from harness.machine import levels
from harness.machine.guest.vmm import vmm_argv
from harness.machine.host.openssh import settings
from harness.machine.host.sudo import Sudo
from harness.model.guest import GUEST_CPUS, Guest
from harness.model.inventory import Inventory, SshHostSpec, TcgHostSpec
from harness.model.playbook import Cell, Playbook, load, narrow, on_host, plan, skipped
from harness.model.track import Track
from harness.progress import Progress
from harness.results import report
from harness.results.store import RunFolder
from harness.run.folder_journal import FolderJournal
from harness.run.job import jobs_of
from harness.version import harness_version


def read_playbook(
    path: Path,
    only: str | None,
    host: str | None,
    inventory: Path | None = None,
    *,
    here: bool = True,
) -> Playbook:
    """The playbook at `path`, narrowed as the options say; its machines are started `here`.
    Raises UserError if that is known to be in vain."""
    lab = Inventory.of(inventory)
    playbook = load(path, lab)
    if host:
        playbook = on_host(playbook, host, lab)
    if only:
        playbook = narrow(playbook, only)
    refuse_impossible(playbook, str(path), here=here)
    return playbook


def describe(
    path: Path, only: str | None, host: str | None, inventory: Path | None = None
) -> dict[str, Any]:
    """Cells and command lines; artifacts that are not built yet stand as <name>."""
    playbook = read_playbook(path, only, host, inventory)
    refuse_empty(playbook, str(path))
    spec = playbook.hosts[0]
    measured = Guest("<microbench>", GUEST_CPUS, playbook.l2_memory, spec.gic)
    nested = Guest(
        "<kernel>",
        GUEST_CPUS,
        playbook.l1_memory,
        spec.gic,
        initrd="<l1-initramfs>",
        virtual_el2=spec.gic == 3,
        virtio_console=True,
        device_tree="<device-tree>" if spec.gic == 2 else None,
    )
    if playbook.applications:
        measured = replace(measured, kernel="<kernel>", initrd="<initramfs>", virtio_console=True)
        measured, nested = (
            replace(guest, cpus=playbook.guest_cpus, disk="<disk>", tap="guest", mac="<mac>")
            for guest in (measured, nested)
        )
    commands = {"benchmark guest": vmm_argv(measured)}
    if playbook.nested:
        commands["L1 hypervisor"] = vmm_argv(nested)
    track = Track.load(playbook.track)
    qemu = Emulator(("qemu-system-aarch64",), "")
    for host_spec in playbook.hosts:
        if isinstance(host_spec, TcgHostSpec):
            machine = levels.tcg_machine(host_spec, track, Path("<kernel>"), Path("<initramfs>"))
            commands[f"{host_spec.name}: L0"] = levels.l0_command(qemu, Cache.default(), machine)
    return {
        "cells": [cell.id for cell in plan(playbook)],
        "skipped": skipped(playbook),
        "commands": commands,
    }


def run(
    runs: Path,
    path: Path,
    only: str | None,
    host: str | None,
    resume: str | None,
    scheduler: str | None = None,
    *,
    check: bool | None = None,
    database: str | None = None,
    inventory: Path | None = None,
    wait: float = 0,
) -> RunFolder:
    """Run a playbook, or what is left of a run, and write its reports; the history has it then.
    `check` overrides the playbook's; `wait` is for how many seconds another run may have a
    server."""
    playbook = read_playbook(path, only, host, inventory, here=scheduler is None)
    refuse_empty(playbook, str(path))
    if resume:
        _resumable(RunFolder.open(runs, resume), {"playbook": playbook.model_dump(mode="json")})
    from harness.commands import history

    history.probe(database, runs)
    cache, progress = Cache.default(), Progress()
    if len(playbook.hosts) > 1 or scheduler:
        from harness.run import fleet

        fleet.probe(playbook.hosts, scheduler)
    reach(playbook, runs, wait, progress)
    artifacts = artifacts_of(cache, progress, playbook)
    facts = facts_of(cache, playbook, artifacts)
    if resume:
        folder = _resumable(RunFolder.open(runs, resume), facts)
    else:
        folder = RunFolder.create(runs, playbook.name, {**facts, "repeat": repeat_command()})
    finished = {record.id for record in folder.records() if record.passed}
    cells = [cell for cell in plan(playbook) if cell.id not in finished]
    judge = history.Check(database, runs, folder, playbook.check if check is None else check)
    folder.update(state="unfinished", planned=[cell.id for cell in plan(playbook)])

    def execute(cells: Sequence[Cell]) -> None:
        journal = FolderJournal(folder, progress)
        jobs = jobs_of(folder.id, playbook, artifacts, folder.consoles, cells, wait)
        if len(jobs) == 1 and scheduler is None:
            jobs[0].execute(journal)
        elif jobs:
            from harness.run import fleet

            fleet.execute(jobs, journal, scheduler)

    try:
        execute(cells)
        again = judge.suspicious(playbook)
        for cell in again:
            progress.note(f"{cell.id}: looks changed, so it is measured again")
        execute(again)
        folder.update(state="finished")
    except BaseException:
        folder.update(state="cut off")
        with suppress(GuestError):  # none has passed
            report.write(folder)
        progress.note(f"finished cells are kept; go on: neve run {path} --resume {folder.id}")
        raise
    finally:
        folder.update(durations=progress.durations, ended=datetime.now(UTC).isoformat())
    try:
        judge.conclude()
    finally:
        report.write(folder)
    return folder


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


def facts_of(cache: Cache, playbook: Playbook, artifacts: Artifacts) -> dict[str, Any]:
    """What two halves of a run must have in common, and what explains its numbers."""
    machines = {
        host.name: levels.tcg_machine(
            host, artifacts.track, artifacts.kernels["l0"].image, artifacts.roots.hypervisor
        )
        for host in playbook.hosts
        if isinstance(host, TcgHostSpec)
    }
    qemu = emulator(cache) if machines else None
    return {
        "harness": harness_version(),
        "track": playbook.track,
        "playbook": playbook.model_dump(mode="json"),
        "skipped": skipped(playbook),
        **artifacts.describe(),
        "emulator": qemu.version if qemu else None,
        "commands": {
            f"{name}: L0": levels.l0_command(qemu, cache, machine)
            for name, machine in machines.items()
            if qemu
        },
    }


def _resumable(folder: RunFolder, facts: dict[str, Any]) -> RunFolder:
    """`folder`, whose run went with the same `facts`, as far as they are known already."""
    for key in ("playbook", "kernels", "microbench", "rootfs", "disk", "emulator"):
        if key in facts and folder.metadata.get(key) != facts[key]:
            raise UserError(
                f"--resume {folder.id}: the {key} is not the one that the run began with; "
                "start anew"
            )
    return folder


def repeat_command() -> str:
    """As it was typed, but for a password in a URL."""
    words = [re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", word) for word in sys.argv[1:]]
    return shlex.join(["neve", *words])
