# SPDX-License-Identifier: MIT
"""What all QEMU TCG machines have in common: the board that they are, and how its kernel boots."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.build.image.cpio import ArchiveMember, write
from harness.build.image.emulator import Emulator
from harness.model.machine import TcgMachine


def board_argv(emulator: Emulator, machine: TcgMachine, *, sleep: str) -> list[str]:
    """QEMU and its board, whose clocks and seeds are pinned. Where instructions are counted,
    `sleep` says whether it waits ("on") while all its CPUs idle, or skips that time ("off")."""
    return [
        *emulator.argv,
        "-machine",
        f"virt,virtualization=on,gic-version={machine.gic},dtb-randomness=off",
        "-accel",
        "tcg,tb-size=512",
        "-cpu",
        machine.cpu,
        "-smp",
        str(machine.cpus),
        "-m",
        f"{machine.memory_mib}M",
        *(("-icount", f"shift=0,sleep={sleep}") if machine.icount else ()),
        "-rtc",
        "base=2026-01-01T00:00:00,clock=vm",
        "-seed",
        "1",
        "-nodefaults",
        "-nographic",
    ]


def kernel_argv(machine: TcgMachine, initrd: str) -> list[str]:
    """What boots on it."""
    return [
        "-kernel",
        machine.kernel,
        "-initrd",
        initrd,
        "-append",
        " ".join(machine.kernel_arguments),
    ]


@contextmanager
def initrd_of(image: Path, members: Iterator[ArchiveMember]) -> Iterator[str]:
    """A file in memory, by a path that QEMU can open: the image, and behind it an archive of
    `members`.

    The path is our /proc entry, so nothing is left when we are killed.
    """
    descriptor = os.memfd_create("initrd")
    try:
        with image.open("rb") as source:
            left = image.stat().st_size
            while left:
                left -= os.sendfile(descriptor, source.fileno(), None, left)
        with os.fdopen(os.dup(descriptor), "ab") as stream:
            write(stream, members)
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)
