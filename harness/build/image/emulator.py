# SPDX-License-Identifier: MIT
"""The QEMU that emulates the ARM machine: our own by default, $NEVE_QEMU if it is set."""

import os
import re
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path

from harness.build.debian import Debian
from harness.build.image.rootfs import tools, tools_folder
from harness.cache import Cache
from harness.errors import HarnessError, UserError
from harness.process import require, run

OLDEST = (9, 0)  # the first with FEAT_NV and FEAT_NV2


@dataclass(frozen=True)
class Emulator:
    """`argv` starts QEMU; `version` is what it says of itself."""

    argv: tuple[str, ...]
    version: str


def emulator(cache: Cache) -> Emulator:
    """The emulator of this machine.

    Raises UserError if $NEVE_QEMU is no QEMU or one that is too old.
    """
    chosen = os.environ.get("NEVE_QEMU")
    if chosen:
        return _checked((require(chosen, "qemu-system-arm"),), "NEVE_QEMU")
    return _checked(_bundled(tools(cache, Debian.load())), "QEMU")


def emulator_at_hand(cache: Cache) -> Emulator | None:
    """The emulator, unless it has yet to be downloaded."""
    if not os.environ.get("NEVE_QEMU") and not tools_folder(cache, Debian.load()).is_dir():
        return None
    return emulator(cache)


def _bundled(folder: Path) -> tuple[str, ...]:
    """The emulator with its own loader and libraries, so the distribution does not matter."""
    root = folder / "root"
    program = root / "usr/bin/qemu-system-aarch64"
    loader = next(root.glob("usr/lib*/ld-linux*.so.*"))  # x86-64 has lib64 beside lib
    libraries = next(root.glob("usr/lib/*-linux-gnu*"))
    return (str(loader), "--library-path", str(libraries), str(program))


@once
def _checked(argv: tuple[str, ...], name: str) -> Emulator:
    try:
        said = run([*argv, "--version"], timeout=30).splitlines()[0]
    except (HarnessError, IndexError) as error:
        raise UserError(f"{name} {argv[0]} does not start: {error}") from error
    match = re.search(r"version (\d+)\.(\d+)", said)
    if match is None or (int(match[1]), int(match[2])) < OLDEST:
        raise UserError(
            f"{name} {argv[0]} is too old or no QEMU ({said}): "
            f"{OLDEST[0]}.{OLDEST[1]} or newer is needed for FEAT_NV2"
        )
    return Emulator(argv, said.removeprefix("QEMU emulator version "))
