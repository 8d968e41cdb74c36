# SPDX-License-Identifier: MIT
"""Command lines of QEMU TCG machines: the board that they all have, and what boots on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.build.image.cpio import ArchiveMember, write
from harness.build.image.emulator import Emulator
from harness.build.qemu import quoted
from harness.cache import Cache
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


def machine_argv(
    emulator: Emulator, machine: TcgMachine, *, share: Path, initrd: str, port: int
) -> list[str]:
    """The whole QEMU command line of L0's machine."""
    return [
        *board_argv(emulator, machine, sleep="on"),
        "-monitor",
        "none",
        "-serial",
        "mon:stdio",
        *kernel_argv(machine, initrd),
        "-device",
        "virtio-rng-device",
        "-nic",
        "none",
        "-netdev",
        f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
        "-device",
        "virtio-net-device,netdev=net",
        "-fsdev",
        f"local,id=images,path={quoted(share)},security_model=none,readonly=on",
        "-device",
        "virtio-9p-device,fsdev=images,mount_tag=images",
    ]


def hermetic_argv(emulator: Emulator, machine: TcgMachine, initrd: str) -> list[str]:
    """The whole QEMU command line."""
    return [
        *board_argv(emulator, machine, sleep="off"),
        "-no-reboot",
        "-monitor",
        "none",
        "-serial",
        "stdio",
        "-nic",
        "none",
        *kernel_argv(machine, initrd),
    ]


def l0_command(qemu: Emulator, cache: Cache, machine: TcgMachine) -> list[str]:
    """The QEMU command line of L0's machine; the free port that it will get stands as 0."""
    if machine.hermetic:
        return hermetic_argv(qemu, machine, machine.initramfs)
    return machine_argv(qemu, machine, share=cache.artifacts, initrd=machine.initramfs, port=0)


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
