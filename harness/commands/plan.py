# SPDX-License-Identifier: MIT
"""`neve plan`."""

from typing import Any

from harness.amounts import duration, size
from harness.build.image.emulator import Emulator, emulator_at_hand
from harness.build.stock import has_images, has_kernel
from harness.cache import Cache
from harness.machine.guest.vmm import vmm_argv
from harness.machine.host.board import l0_command
from harness.model.setup import Setup
from harness.run.pace import Pace


def describe(setup: Setup) -> dict[str, Any]:
    """Cells, what is skipped and why, command lines, in which files stand as symbols, and what is
    `expected`: seconds and bytes of a run, by earlier ones on this machine (None if not known),
    whether its kernels and images are to be `built` first, and how many emulated `machines` run at
    once."""
    cache = Cache.default()
    # Which one it is decides the first words; before it is downloaded they stand for it.
    qemu = emulator_at_hand(cache) or Emulator(("qemu-system-aarch64",), "")
    commands = {}
    for spec in setup.playbook.hosts:
        if machine := setup.machine(spec):
            commands[f"{spec.name}: L0"] = l0_command(qemu, cache, machine)
        for name, guest in setup.guests(spec).items():
            commands[f"{spec.name}: {name}"] = vmm_argv(guest)
    return {
        "cells": [cell.id for cell in setup.cells],
        "skipped": setup.skipped,
        "commands": commands,
        "expected": _expected(cache, setup),
    }


def _expected(cache: Cache, setup: Setup) -> dict[str, Any]:
    pace = Pace.of(cache, setup)
    built = has_images(cache) and has_kernel(cache, setup.track.name)
    return {
        "seconds": pace.seconds,
        "bytes": pace.size,
        "built": not built,
        "machines": pace.machines,
    }


def expectation(expected: dict[str, Any]) -> str:
    """In words."""
    words = "expected: unknown: not run here yet"
    if expected["seconds"] is not None:
        words = f"expected: about {duration(expected['seconds'])}"
        words += f", {size(expected['bytes'])}" if expected["bytes"] is not None else ""
    if expected["machines"] > 1:
        words += f"; {expected['machines']} machines at once"
    if expected["built"]:
        words += "; before that, kernels and images are built: minutes, and 3 GB in the cache"
    return words
