# SPDX-License-Identifier: MIT
"""Flat arm64 images out of a few lines of assembly, as a user might bring one."""

import subprocess
from pathlib import Path

from harness.build.toolchain import Toolchain

# Linux's boot protocol (Documentation/arch/arm64/booting.rst): a branch over the header, where in
# memory, how large, little endian and 4 KiB pages, and the magic number.
_HEADER = """\
    .quad 0x14000010, 0x80000, 0x1000, 0xa, 0, 0, 0
    .ascii "ARM\\x64"
    .long 0
"""


def flat(folder: Path, name: str, body: str) -> Path:
    """The image `name` in `folder`, of the instructions `body`."""
    source, linked, image = (folder / f"{name}.{kind}" for kind in ("S", "o", "flat"))
    source.write_text(_HEADER + body)
    prefix = Toolchain.find().prefix
    subprocess.run([f"{prefix}gcc", "-c", source, "-o", linked], check=True)
    subprocess.run([f"{prefix}objcopy", "-O", "binary", linked, image], check=True)
    return image
