# SPDX-License-Identifier: MIT
"""A Linux guest with our initramfs: L1, the guest hypervisor, or a Linux L2."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.console import Place, Shell
from harness.deadline import Deadline
from harness.guest.vmm import Guest, start

OFF_SECONDS = 60


def kernel_arguments(level: str, *extra: str) -> tuple[str, ...]:
    """What every kernel of ours gets: no randomness, and the level that its init is told."""
    return (f"neve.level={level}", "nokaslr", "norandmaps", "panic=-1", *extra)


def linux_guest(
    level: str, *, kernel: str, initrd: str, cpus: int, memory_mib: int, gic: int
) -> Guest:
    """Linux at `level`."""
    return Guest(
        kernel=kernel, initrd=initrd, cpus=cpus, memory_mib=memory_mib, gic=gic,
        # In this order: an early console prints at once what came before "quiet".
        arguments=" ".join(kernel_arguments(level, "quiet", "earlycon", "console=hvc0")),
        virtio_console=True, devices=("virtio-rng-device",),
    )


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
