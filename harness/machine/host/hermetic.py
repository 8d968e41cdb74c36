# SPDX-License-Identifier: MIT
"""A QEMU TCG machine that nothing from outside reaches: two runs are equal, byte for byte.

It has no network, no share, no source of randomness and no input. All that it needs is in its
initrd, and all that it has to say comes out of its serial port. `-icount sleep=off` skips the
time in which it idles, so its time is a function of the instructions that it executes.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.build.image.cpio import ArchiveMember, write
from harness.build.image.emulator import Emulator
from harness.machine.console import Console, Program
from harness.model.machine import TcgMachine
from harness.process import mortal

FILES = "/images"  # where its files are


def hermetic_argv(emulator: Emulator, machine: TcgMachine, initrd: str) -> list[str]:
    """The whole QEMU command line."""
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
        "-icount",
        "shift=0,sleep=off",
        "-rtc",
        "base=2026-01-01T00:00:00,clock=vm",
        "-seed",
        "1",
        "-nodefaults",
        "-nographic",
        "-no-reboot",
        "-monitor",
        "none",
        "-serial",
        "stdio",
        "-nic",
        "none",
        "-kernel",
        machine.kernel,
        "-initrd",
        initrd,
        "-append",
        " ".join(machine.kernel_arguments),
    ]


@contextmanager
def hermetic(
    emulator: Emulator,
    machine: TcgMachine,
    script: str,
    files: Mapping[str, Path],
    transcript: Path,
) -> Iterator[Program]:
    """Boot `machine` to run `script`, with `files` (by name) below /images; its serial port.

    The machine ends with the script, or with the context.
    """
    descriptor = os.memfd_create("initrd")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as stream:
            stream.write(Path(machine.initramfs).read_bytes())
            write(stream, _entries(script, files))
        argv = hermetic_argv(emulator, machine, f"/proc/{os.getpid()}/fd/{descriptor}")
        console = Console.of_process(mortal(argv, "KILL"), "l0", transcript)
        try:
            yield Program(console)
        finally:
            console.close()
    finally:
        os.close(descriptor)


def _entries(script: str, files: Mapping[str, Path]) -> Iterator[ArchiveMember]:
    yield ArchiveMember("script", stat.S_IFREG | 0o644, script.encode())
    yield ArchiveMember("images", stat.S_IFDIR | 0o755)
    for name, path in sorted(files.items()):
        yield ArchiveMember(f"images/{name}", stat.S_IFREG | 0o644, path.read_bytes())
