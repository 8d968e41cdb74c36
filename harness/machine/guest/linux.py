# SPDX-License-Identifier: MIT
"""A Linux guest with our initramfs: L1, the guest hypervisor, or a Linux L2."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.deadline import Deadline
from harness.machine.console import Place, Shell
from harness.machine.guest.vmm import start
from harness.model.guest import Guest

OFF_SECONDS = 60


@contextmanager
def booted(
    place: Place, guest: Guest, level: str, *, name: str, boot_seconds: float
) -> Iterator[Shell]:
    """Boot `guest` in `place` up to its prompt, and power it off at the end."""
    program = start(place, guest, name)
    shell = Shell(program.console, f"{level}# ", program.ended)
    try:
        shell.ready(Deadline(boot_seconds, f"{level} to boot"))
        yield shell
        shell.console.send("poweroff -f\n")
        program.wait(Deadline(OFF_SECONDS, f"{level} to power off"))
    finally:
        program.hang_up()
