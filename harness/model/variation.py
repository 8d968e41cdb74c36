# SPDX-License-Identifier: MIT
"""Two sides of an experiment: one playbook that differs in one thing."""

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import UserError
from harness.model.document import complaints
from harness.model.inventory import SshHostSpec
from harness.model.kernel_choice import Level
from harness.model.playbook import Playbook, with_kernels, with_vmm

BOOTS = 5  # of fewer, no interval of a ratio means anything


class Vary(StrEnum):
    """What differs between two sides."""

    KERNEL = "kernel"  # of all levels
    L0 = "l0"
    L1 = "l1"
    L2 = "l2"
    VMM = "vmm"
    CPU = "cpu"
    GIC = "gic"
    CONFIG = "config"


def sides(
    playbook: Playbook, vary: Vary, values: tuple[str, str], boots: int = BOOTS
) -> tuple[Playbook, Playbook]:
    """`playbook` with each of the two `values` of what varies, and at least so many `boots` or
    repetitions where figures have noise. Raises UserError if a value can't be had."""
    make = _MAKERS[vary]
    before, after = (make(_often_enough(playbook, boots), value) for value in values)
    return before, after


def _often_enough(playbook: Playbook, boots: int) -> Playbook:
    if all(playbook.exact(host) for host in playbook.hosts) or playbook.rounds >= boots:
        return playbook
    booted = all(isinstance(host, SshHostSpec) and host.boots_ours for host in playbook.hosts)
    often = {"boots": boots, "repetitions": 1} if booted else {"boots": 1, "repetitions": boots}
    return playbook.model_copy(update=often)


def _kernel(levels: list[Level], playbook: Playbook, value: str) -> Playbook:
    return with_kernels(playbook, dict.fromkeys(levels, value))


def _machine(key: str, playbook: Playbook, value: str) -> Playbook:
    """With another property of its emulated machines."""
    hosts = []
    for host in playbook.hosts:
        if isinstance(host, SshHostSpec):
            raise UserError(f"--vary {key}: host {host.name} is a server, which has one {key}")
        data: dict[str, Any] = {**host.model_dump(), key: int(value) if value.isdigit() else value}
        try:
            hosts.append(type(host).model_validate(data))
        except ValidationError as error:
            raise UserError(f"--vary {key}: {complaints(error)}") from error
    return playbook.model_copy(update={"hosts": tuple(hosts)})


def _config(playbook: Playbook, value: str) -> Playbook:
    return playbook.model_copy(
        update={"kernel_config": None if value == "none" else Path(value).absolute()}
    )


_MAKERS: dict[Vary, Callable[[Playbook, str], Playbook]] = {
    Vary.KERNEL: partial(_kernel, list(Level)),
    Vary.L0: partial(_kernel, [Level.L0]),
    Vary.L1: partial(_kernel, [Level.L1]),
    Vary.L2: partial(_kernel, [Level.L2]),
    Vary.VMM: with_vmm,
    Vary.CPU: partial(_machine, "cpu"),
    Vary.GIC: partial(_machine, "gic"),
    Vary.CONFIG: _config,
}
