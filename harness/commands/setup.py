# SPDX-License-Identifier: MIT
"""The setup that commands read from a playbook and from their options."""

from collections.abc import Sequence
from pathlib import Path

from harness.build.feasible import refuse_empty, refuse_impossible
from harness.model.inventory import Inventory
from harness.model.kernel_choice import choices_of
from harness.model.playbook import Payload, load, narrow, on_host, with_kernels, with_payload
from harness.model.setup import Setup, Workload


def read_setup(
    path: Path,
    only: str | None,
    host: str | None,
    inventory: Path | None = None,
    *,
    kernels: Sequence[str] = (),
    payload: Payload | None = None,
    workload: Workload | None = None,
    here: bool = True,
) -> Setup:
    """Of the playbook at `path`, narrowed as the options say; its machines are started `here`.
    Raises UserError if it is known to be in vain, in part or as a whole."""
    lab = Inventory.of(inventory)
    playbook = load(path, lab)
    if host:
        playbook = on_host(playbook, host, lab)
    if kernels:
        playbook = with_kernels(playbook, choices_of(kernels))
    if payload:
        playbook = with_payload(playbook, payload)
    if only:
        playbook = narrow(playbook, only)
    setup = Setup.of(playbook, workload=workload)
    refuse_impossible(setup, str(path), here=here)
    refuse_empty(setup, str(path))
    return setup
