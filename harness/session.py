# SPDX-License-Identifier: MIT
"""What each command does, with the cache and the progress display of this process."""

import json
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import __version__, levels
from harness.artifacts import Artifacts, prepare
from harness.cache import Cache
from harness.console import Place, Program
from harness.console.terminal import hand_over
from harness.deadline import Deadline
from harness.errors import UserError
from harness.guest.vmm import Guest, payload_guest, vmm_argv
from harness.image.emulator import emulator
from harness.kernel.build import Kernel, build
from harness.kernel.source import Source, find, import_source, sources
from harness.kernel.track import Track
from harness.paths import KERNEL_PATCHES, PLAYBOOKS
from harness.playbook import Playbook, SshHostSpec, load, narrow, on_host, plan
from harness.progress import Progress
from harness.results import report
from harness.results.store import RunFolder
from harness.run import Run


def read_playbook(path: Path, only: str | None, host: str | None) -> Playbook:
    """The playbook at `path`, narrowed as the options say."""
    playbook = load(path)
    if host:
        playbook = on_host(playbook, host)
    return narrow(playbook, only) if only else playbook


def describe(path: Path, only: str | None, host: str | None) -> dict[str, Any]:
    """Cells and command lines; artifacts that are not built yet stand as <name>."""
    playbook = read_playbook(path, only, host)
    spec = playbook.hosts[0]
    nested = Guest("<kernel>", levels.GUEST_CPUS, playbook.l1_memory, spec.gic,
                   initrd="<l1-initramfs>", virtual_el2=True)
    measured = Guest("<microbench>", levels.GUEST_CPUS, playbook.l2_memory, spec.gic)
    commands = {"L1 hypervisor": vmm_argv(nested), "benchmark guest": vmm_argv(measured)}
    return {"cells": [cell.id for cell in plan(playbook)], "commands": commands}


def run(
    runs: Path, path: Path, only: str | None, host: str | None, resume: str | None
) -> RunFolder:
    """Run a playbook, or what is left of a run, and write its reports."""
    playbook = read_playbook(path, only, host)
    cache, progress = Cache.default(), Progress()
    artifacts = prepare(cache, progress, track=playbook.track, kernel=playbook.kernel)
    facts = _facts(cache, playbook, artifacts)
    if resume:
        folder = _resumed(runs, resume, facts)
    else:
        folder = RunFolder.create(runs, playbook.name, {**facts, "repeat": _repeat()})
    finished = {record.id for record in folder.records() if record.status == "passed"}
    cells = [cell for cell in plan(playbook) if cell.id not in finished]
    folder.update(state="running")
    try:
        Run(cache, playbook, artifacts, folder, progress).execute(cells)
        folder.update(state="finished")
    except BaseException:
        folder.update(state="cut off")
        raise
    finally:
        folder.update(durations=progress.durations, ended=datetime.now(UTC).isoformat())
        if folder.records():
            folder.write_results()
    report.write(folder)
    return folder


def _facts(cache: Cache, playbook: Playbook, artifacts: Artifacts) -> dict[str, Any]:
    """What two halves of a run must have in common, and what explains its numbers."""
    spec = playbook.hosts[0]
    return {
        "harness": __version__,
        "track": playbook.track,
        "playbook": playbook.model_dump(mode="json"),
        **artifacts.describe(),
        "emulator": None if isinstance(spec, SshHostSpec) else emulator(cache).version,
        "commands": {
            host.name: levels.l0_command(cache, host, artifacts) for host in playbook.hosts
        },
    }


def _resumed(runs: Path, name: str, facts: dict[str, Any]) -> RunFolder:
    folder = RunFolder.open(runs, name)
    for key in ("playbook", "kernel", "microbench", "rootfs", "emulator"):
        if folder.metadata.get(key) != facts[key]:
            raise UserError(
                f"--resume {name}: the {key} is not the one that the run began with; start anew"
            )
    return folder


def _repeat() -> str:
    return shlex.join(["neve", *sys.argv[1:]])


def run_payload(
    runs: Path, path: Path, only: str | None, host: str | None, payload: Path, arguments: str,
    seconds: float,
) -> dict[str, Path]:
    """Boot the user's image in every configuration; {configuration: transcript}.

    Raises GuestError if it does not end within `seconds` or its VMM ends with an error.
    """
    if not payload.is_file():
        raise UserError(f"--payload {payload}: no such file")
    playbook = read_playbook(path, only, host)
    cache, progress = Cache.default(), Progress()
    artifacts = prepare(cache, progress, track=playbook.track, kernel=playbook.kernel,
                        payload=payload)
    facts = _facts(cache, playbook, artifacts)
    folder = RunFolder.create(runs, "payload", {**facts, "repeat": _repeat()})
    spec = playbook.hosts[0]
    for configuration in playbook.configurations:
        with ExitStack() as stack:
            with progress.stage(f"{configuration}: boot"):
                machine = stack.enter_context(levels.l0(cache, spec, artifacts, folder.consoles))
                place: Place = machine
                if configuration.nested:
                    hypervisor = levels.l1_guest(
                        machine, artifacts, gic=spec.gic, memory_mib=playbook.l1_memory
                    )
                    place = stack.enter_context(
                        levels.l1(machine, artifacts, hypervisor, name=str(configuration))
                    )
            guest = payload_guest(place.put(payload), levels.GUEST_CPUS, playbook.l2_memory,
                                  spec.gic, arguments)
            with progress.stage(f"{configuration}: {payload.name}"):
                program = place.start(vmm_argv(guest), str(configuration))
                status = program.wait(Deadline(seconds, f"{payload.name} to power off"))
                program.hang_up()
            progress.note(f"the VMM ended with status {status}")
    folder.update(state="finished")
    return {
        str(configuration): folder.consoles / f"{spec.name}-{configuration}.log"
        for configuration in playbook.configurations
    }


def shell(level: str, command: str | None, path: Path | None, host: str | None) -> int:
    """Boot up to `level`; run `command`, or hand the prompt to the user's terminal."""
    if command is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("neve shell needs a terminal, or --command")
    playbook = read_playbook(path or PLAYBOOKS / "fallback.yaml", None, host)
    cache, progress = Cache.default(), Progress()
    artifacts = prepare(cache, progress, track=playbook.track, kernel=playbook.kernel)
    spec = playbook.hosts[0]
    transcripts = cache.root / "logs" / "shell"
    with ExitStack() as stack:
        with progress.stage("boot L0"):
            machine = stack.enter_context(levels.l0(cache, spec, artifacts, transcripts))
        if level == "l0":
            if command:
                done = machine.run(command, timeout=3600, check=False)
                print(done.stdout + done.stderr, end="")
                return done.status
            return _interactive(machine.start(["sh"], "l0-shell"))
        with progress.stage("boot L1"):
            hypervisor = levels.l1_guest(
                machine, artifacts, gic=spec.gic, memory_mib=playbook.l1_memory
            )
            place = stack.enter_context(levels.l1(machine, artifacts, hypervisor, name="l1"))
        prompt = place.shell
        if level == "l2":
            with progress.stage("boot L2"):
                prompt = stack.enter_context(levels.linux_l2(
                    place, artifacts, gic=spec.gic, memory_mib=256, name="l2"
                ))
        if command:
            result = prompt.run(command, timeout=3600, check=False)
            print(result.output, end="")
            return result.status
        status = _interactive(Program(prompt.console))
        stack.pop_all()  # the terminal was the user's: nothing more is asked of it
        machine.close()
        return status


def _interactive(program: Program) -> int:
    hand_over(program.console)
    return 0


def build_kernel(
    track: str, wanted: str | None, settings: Sequence[str], update: bool
) -> Kernel:
    """Build the kernel of `track` with the series' parameters `settings` (NAME=VALUE)."""
    cache, progress, line = Cache.default(), Progress(), Track.load(track)
    chosen = _settings(settings)
    with progress.stage("kernel source"):
        source = find(cache, line, wanted=wanted, update=update)
    with progress.stage(f"kernel {source.version}"):
        return build(cache, source, line, chosen)


def render_patches(track: str, settings: Sequence[str], wanted: str | None) -> dict[str, str]:
    """{file name: mail} of the series, for Linux `wanted` or the newest source in the cache."""
    line = Track.load(track)
    known = sources(Cache.default(), line)
    version = wanted or (known[-1].version if known else ".".join(map(str, line.oldest)))
    line.check(version, "--version")
    patches = line.series.render(version, line.series.values(_settings(settings)))
    return {
        patch.name: patch.mail(number, len(patches))
        for number, patch in enumerate(patches, start=1)
    }


def _settings(settings: Sequence[str]) -> dict[str, str]:
    chosen = dict(item.partition("=")[::2] for item in settings)
    if not all("=" in item for item in settings):
        raise UserError(f"--set {' '.join(settings)}: expected NAME=VALUE")
    return chosen


def import_kernel(track: str, path: Path) -> Source:
    line = Track.load(track)
    return import_source(Cache.default(), line, path)


def list_kernels() -> Sequence[dict[str, str]]:
    """Sources and kernels in the cache."""
    cache = Cache.default()
    listed = []
    for file in sorted(KERNEL_PATCHES.glob("*/series.toml")):
        line = Track.load(file.parent.name)
        for source in sources(cache, line):
            listed.append({"what": "source", "track": line.name, "version": source.version,
                           "key": source.key, "origin": source.origin})
    for file in sorted((cache.artifacts / "kernel").glob("*/kernel.json")):
        data = json.loads(file.read_text())
        listed.append({"what": "kernel", "track": data["track"], "version": data["version"],
                       "key": data["key"], "origin": data["origin"]})
    return listed

