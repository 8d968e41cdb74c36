# SPDX-License-Identifier: MIT
"""`neve plan`."""

from typing import Any

from harness.build.image.emulator import Emulator, emulator_at_hand
from harness.cache import Cache
from harness.machine.guest.vmm import vmm_argv
from harness.machine.host.board import l0_command
from harness.model.setup import Setup


def describe(setup: Setup) -> dict[str, Any]:
    """Cells, what is skipped and why, and command lines, in which files stand as symbols."""
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
    }
