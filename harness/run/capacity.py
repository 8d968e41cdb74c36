# SPDX-License-Identifier: MIT
"""How many emulated machines this computer can run at once."""

import os

import psutil

from harness.model.setup import Setup


def machines_at_once(setup: Setup) -> int:
    """How many of those that `setup` boots. The emulator counts instructions on one CPU, so each
    machine has one for itself, and there is memory for all that their guests may use. At least
    one, if there is any."""
    machines = {
        host.name: machine for host in setup.playbook.hosts if (machine := setup.machine(host))
    }
    boots = sum(cells[0].host in machines for cells in setup.boots(setup.cells).values())
    if not boots:
        return 0
    largest = max(machine.memory_mib for machine in machines.values())
    free = psutil.virtual_memory().available >> 20
    return max(1, min(boots, len(os.sched_getaffinity(0)), free // largest))
