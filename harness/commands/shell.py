# SPDX-License-Identifier: MIT
"""`neve shell`."""

import sys
from contextlib import ExitStack
from pathlib import Path

from harness.build.artifacts import prepare
from harness.cache import Cache
from harness.commands.run import read_playbook
from harness.errors import UserError
from harness.machine import levels
from harness.machine.console import Program
from harness.machine.console.terminal import hand_over
from harness.model.track import Track, nested
from harness.paths import PLAYBOOKS
from harness.progress import Progress


def shell(
    level: str, command: str | None, path: Path | None, only: str | None, host: str | None
) -> int:
    """Boot up to `level`; run `command`, or hand the prompt to the user's terminal.

    L1 is the guest hypervisor of the playbook's first nested configuration.
    """
    if command is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("neve shell needs a terminal, or --command")
    playbook = read_playbook(path or PLAYBOOKS / "fallback.yaml", only, host)
    known = [*playbook.configurations, *Track.load(playbook.track).modes]
    configuration = next(filter(nested, known))
    cache, progress = Cache.default(), Progress()
    artifacts = prepare(
        cache,
        progress,
        track=playbook.track,
        kernel=playbook.kernel,
        hosts=playbook.hosts[:1],
        configurations=[] if level == "l0" else [configuration],
    )
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
                machine, artifacts, configuration, gic=spec.gic, memory_mib=playbook.l1_memory
            )
            place = stack.enter_context(levels.l1(machine, artifacts, hypervisor, name="l1"))
        prompt = place.shell
        if level == "l2":
            with progress.stage("boot L2"):
                prompt = stack.enter_context(
                    levels.linux_l2(place, artifacts, gic=spec.gic, memory_mib=256, name="l2")
                )
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
