# SPDX-License-Identifier: MIT
"""`neve plan`."""

from typing import Any

from harness.build.image.emulator import Emulator
from harness.cache import Cache
from harness.machine import levels
from harness.machine.guest.vmm import vmm_argv
from harness.model.setup import Setup


def describe(setup: Setup) -> dict[str, Any]:
    """Cells, what is skipped and why, and command lines, in which files stand as symbols."""
    qemu, cache = Emulator(("qemu-system-aarch64",), ""), Cache.default()
    commands = {}
    for spec in setup.playbook.hosts:
        if machine := setup.machine(spec):
            commands[f"{spec.name}: L0"] = levels.l0_command(qemu, cache, machine)
        for name, guest in setup.guests(spec).items():
            commands[f"{spec.name}: {name}"] = vmm_argv(guest)
    return {
        "cells": [cell.id for cell in setup.cells],
        "skipped": setup.skipped,
        "commands": commands,
    }
