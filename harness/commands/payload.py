# SPDX-License-Identifier: MIT
"""`neve run --payload`: a guest image of the user's own."""

from contextlib import ExitStack
from pathlib import Path

from harness.build.artifacts import prepare
from harness.cache import Cache
from harness.commands.run import facts_of, read_playbook, repeat_command
from harness.deadline import Deadline
from harness.errors import UserError
from harness.machine import levels
from harness.machine.console import Place
from harness.machine.guest.emulation import switch
from harness.machine.guest.vmm import start
from harness.model.guest import GUEST_CPUS, payload_guest
from harness.progress import Progress
from harness.results.store import RunFolder


def run_payload(
    runs: Path,
    path: Path,
    only: str | None,
    host: str | None,
    payload: Path,
    arguments: str,
    seconds: float,
    inventory: Path | None = None,
) -> dict[str, Path]:
    """Boot the user's image in every configuration; {configuration: transcript}.

    Raises GuestError if it does not end within `seconds` or its VMM ends with an error.
    """
    if not payload.is_file():
        raise UserError(f"--payload {payload}: no such file")
    playbook = read_playbook(path, only, host, inventory)
    cache, progress = Cache.default(), Progress()
    artifacts = prepare(
        cache,
        progress,
        track=playbook.track,
        configurations=playbook.configurations,
        kernel=playbook.kernel,
        payload=payload,
        hosts=playbook.hosts[:1],
    )
    facts = facts_of(cache, playbook, artifacts)
    folder = RunFolder.create(runs, "payload", {**facts, "repeat": repeat_command()})
    spec = playbook.hosts[0]
    for configuration in playbook.configurations:
        with ExitStack() as stack:
            with progress.stage(f"{configuration}: boot"):
                machine = stack.enter_context(levels.l0(cache, spec, artifacts, folder.consoles))
                place: Place = machine
                if configuration.nested:
                    hypervisor = levels.l1_guest(
                        machine,
                        artifacts,
                        configuration,
                        gic=spec.gic,
                        memory_mib=playbook.l1_memory,
                    )
                    place = stack.enter_context(
                        levels.l1(machine, artifacts, hypervisor, name=str(configuration))
                    )
                    switch(machine, artifacts.track, artifacts.track.modes[configuration].switch)
            guest = payload_guest(
                place.put(payload), GUEST_CPUS, playbook.l2_memory, spec.gic, arguments
            )
            with progress.stage(f"{configuration}: {payload.name}"):
                program = start(place, guest, str(configuration))
                status = program.wait(Deadline(seconds, f"{payload.name} to power off"))
                program.hang_up()
            progress.note(f"the VMM ended with status {status}")
    folder.update(state="finished")
    return {
        str(configuration): folder.consoles / f"{spec.name}-{configuration}.log"
        for configuration in playbook.configurations
    }
