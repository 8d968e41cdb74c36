# SPDX-License-Identifier: MIT
"""A QEMU TCG machine that nothing from outside reaches: two runs are equal, byte for byte.

It has no network, no share, no source of randomness and no input. Everything that it needs is in
its initrd, and all its output comes from its serial port. `-icount sleep=off` skips the time in
which it idles, so its time is a function of the instructions that it executes.
"""

import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.build.image.cpio import ArchiveMember
from harness.build.image.emulator import Emulator
from harness.machine.console import Console, Program
from harness.machine.host.board import hermetic_argv, initrd_of
from harness.model.machine import TcgMachine
from harness.process import mortal

FILES = "/images"  # where its files are


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
    with initrd_of(Path(machine.initramfs), _entries(script, files)) as initrd:
        argv = hermetic_argv(emulator, machine, initrd)
        console = Console.of_process(mortal(argv, "KILL"), "l0", transcript)
        try:
            yield Program(console)
        finally:
            console.close()


def _entries(script: str, files: Mapping[str, Path]) -> Iterator[ArchiveMember]:
    yield ArchiveMember("script", stat.S_IFREG | 0o644, script.encode())
    yield ArchiveMember("images", stat.S_IFDIR | 0o755)
    for name, path in sorted(files.items()):
        yield ArchiveMember(f"images/{name}", stat.S_IFREG | 0o644, path.read_bytes())
