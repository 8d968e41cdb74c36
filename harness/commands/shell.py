# SPDX-License-Identifier: MIT
"""`neve shell`."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from harness.bench.traps import events
from harness.bench.workload import BootedHost, LinuxWorkload
from harness.build.artifacts import build_all
from harness.cache import Cache
from harness.errors import UserError
from harness.machine import levels
from harness.machine.console import Shell
from harness.machine.console.terminal import hand_over
from harness.machine.guest.nv_mode import set_nv_mode
from harness.machine.host import Host, pinning
from harness.model.journal import Messages
from harness.model.playbook import Configuration, obstacle
from harness.model.setup import Setup
from harness.progress import Progress

_L2_MIB = 256


class _LeftError(Exception):
    """The user has left the prompt, with whatever is at it: nothing more is asked of the guests."""


def at_level(setup: Setup, level: str) -> Setup:
    """What of `setup` a shell at `level` needs: its first host, and no configuration (l0), or the
    first nested one. Raises UserError if there is none."""
    spec = setup.playbook.hosts[0]
    below = None
    if level != "l0":
        names = [*setup.playbook.configurations, *map(Configuration, setup.track.modes)]
        below = next((name for name in names if name.nested), None)
        why = obstacle(setup.playbook, spec, below) if below else "it has no guest hypervisor"
        if why:
            raise UserError(f"--level {level}: host {spec.name}, track {setup.track.name}: {why}")
    changes = {
        "configurations": (below,) if below else (),
        "l2_memory": max(_L2_MIB, setup.playbook.l2_memory),
        "hosts": (spec,),
    }
    return Setup(setup.playbook.model_copy(update=changes), setup.track, setup.workload)


def shell(setup: Setup, level: str, command: str | None, wait: float = 0) -> int:
    """Boot up to `level`; run `command`, or hand the prompt to the user's terminal; the status.

    L1 is the guest hypervisor of the playbook's first nested configuration.
    """
    if command is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("neve shell needs a terminal, or --command")
    cache, progress = Cache.default(), Progress()
    needed = at_level(setup, level)
    artifacts = build_all(cache, progress, needed)
    (spec,) = needed.playbook.hosts
    with ExitStack() as stack:
        with progress.stage("boot L0"):
            host = stack.enter_context(
                levels.l0(cache, spec, artifacts, cache.root / "logs" / "shell", wait=wait)
            )
        if level == "l0":
            return _at_host(host, command)
        cpus = pinning.cpus_for_guests(host, spec, needed.guest_cpus)
        journal = Messages(lambda _event: None)
        booted = BootedHost(host, spec, artifacts, journal, events()[0], cpus)
        with suppress(_LeftError), ExitStack() as guests:
            with progress.stage(f"boot {level.upper()}"):
                prompt = guests.enter_context(_prompt(LinuxWorkload(booted), level))
            if command:
                result = prompt.run(command, timeout=3600, check=False)
                print(result.output, end="")
                return result.status
            hand_over(prompt.console)
            raise _LeftError
        return 0


def _at_host(host: Host, command: str | None) -> int:
    if command is None:
        hand_over(host.start(["sh"], "l0-shell").console)
        return 0
    done = host.run(command, timeout=3600, check=False)
    print(done.stdout + done.stderr, end="")
    return done.status


@contextmanager
def _prompt(workload: LinuxWorkload, level: str) -> Iterator[Shell]:
    """The shell of L1, or of an L2 in it with the architecture of its configuration."""
    booted = workload.booted
    (configuration,) = booted.playbook.configurations
    with workload.place(configuration) as place:
        if level == "l1":
            assert isinstance(place, levels.GuestPlace)
            yield place.shell
            return
        set_nv_mode(booted.host, booted.setup.track, booted.setup.track.nv(configuration))
        with workload.target(place, configuration) as guest:
            yield guest.shell
