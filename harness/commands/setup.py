# SPDX-License-Identifier: MIT
"""The setup that commands read from a playbook and from their options."""

from collections.abc import Sequence
from pathlib import Path

from harness.build.feasible import refuse_empty, refuse_impossible
from harness.model.inventory import Inventory
from harness.model.kernel_choice import choices_of
from harness.model.playbook import (
    Payload,
    Playbook,
    load,
    narrow,
    on_host,
    with_kernels,
    with_payload,
)
from harness.model.setup import Setup, Workload
from harness.model.variation import BOOTS, Vary, sides


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
    playbook = _read(path, only, host, inventory, kernels, payload)
    return _checked(Setup.of(playbook, workload=workload), str(path), here=here)


def read_sides(
    path: Path,
    vary: Vary,
    values: tuple[str, str],
    only: str | None = None,
    host: str | None = None,
    inventory: Path | None = None,
    kernels: Sequence[str] = (),
    boots: int = BOOTS,
) -> tuple[Setup, Setup]:
    """Those of the playbook at `path` with each of the two `values` of what varies. Raises
    UserError if one of them is known to be in vain."""
    playbook = _read(path, only, host, inventory, kernels, None)
    before, after = (Setup.of(each) for each in sides(playbook, vary, values, boots))
    return (
        _checked(before, f"{values[0]}, {path}", here=True),
        _checked(after, f"{values[1]}, {path}", here=True),
    )


def _read(
    path: Path,
    only: str | None,
    host: str | None,
    inventory: Path | None,
    kernels: Sequence[str],
    payload: Payload | None,
) -> Playbook:
    lab = Inventory.of(inventory)
    playbook = load(path, lab)
    if host:
        playbook = on_host(playbook, host, lab)
    if kernels:
        playbook = with_kernels(playbook, choices_of(kernels))
    if payload:
        playbook = with_payload(playbook, payload)
    return narrow(playbook, only) if only else playbook


def _checked(setup: Setup, origin: str, *, here: bool) -> Setup:
    refuse_impossible(setup, origin, here=here)
    refuse_empty(setup, origin)
    return setup
