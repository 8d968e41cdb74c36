# SPDX-License-Identifier: MIT
"""The appendix of a report: how and on what the run was measured, and with which command lines."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.amounts import size
from harness.model.metadata import Metadata
from harness.results import tables
from harness.results.measured import Measured

_TIMERS = {
    "cycles": "PMCCNTR_EL0, the cycle counter, which the VM reads without a trap",
    "virtual": "CNTVCT_EL0, the virtual counter",
}
_OF_OPERATIONS = ("iterations", "warmup", "trap_iterations", "nested_share")
_OF_APPLICATIONS = ("size", "guest_cpus")
_OF_ALL = ("repetitions", "boots", "l1_memory", "l2_memory")
# `Linux version 7.3.4 (me@here) (gcc (Debian …) 12.2.0, GNU ld …) #1 …`, before 5.8 without the
# linker.
_COMPILER = re.compile(r"Linux version \S+ \([^)]*\) \(((?:[^()]|\([^()]*\))*)\)")


def environment(measured: Measured) -> dict[str, list[str]]:
    """What the run was measured with, a line or more by what it is of."""
    metadata = measured.metadata
    kernels = {
        f"kernel {level.upper()}": [
            f"Linux {kernel.version} (track {metadata.track}), key {kernel.key}, {kernel.origin}"
            f"{f', commit {kernel.commit}' if kernel.commit else ''}"
        ]
        for level, kernel in metadata.kernels.items()
    }
    found = {
        **kernels,
        "compiler": _compilers(metadata),
        "processor": _processors(measured),
        "computer": [_computer(metadata)],
        "timer": [_timers(measured.samples)] if measured.of_operations else [],
        "emulator": [f"QEMU {metadata.emulator}" if metadata.emulator else "none"],
        "settings": [_settings(measured)],
        "images": [
            f"{name} {image.sha256[:16]}"
            for name in ("rootfs", "microbench", "disk", "payload")
            if (image := getattr(metadata, name))
        ],
        "harness": [metadata.harness],
        "started": [metadata.started.isoformat()],
        "repeat": [str(metadata.repeat)],
    }
    known = {name: [line for line in lines if line] for name, lines in found.items()}
    return {name: lines for name, lines in known.items() if lines}


def commands(metadata: Metadata) -> dict[str, str]:
    """The command lines of machines and guests, quoted for a shell, by what each starts."""
    return {name: shlex.join(argv) for name, argv in metadata.commands.items()}


def _compilers(metadata: Metadata) -> list[str]:
    """Those that the kernels say they were built with, each with its levels if they differ."""
    users: dict[str, dict[str, None]] = {}
    for levels in metadata.booted.values():
        for level, booted in levels.items():
            if known := _COMPILER.match(booted.version):
                users.setdefault(known[1], {})[level.upper()] = None
    if len(users) == 1:
        return list(users)
    return [f"{', '.join(levels)}: {compiler}" for compiler, levels in users.items()]


def _processors(measured: Measured) -> list[str]:
    """That of L0 on each host: a model of QEMU's, or what the server said."""
    of_hosts: list[Mapping[str, Any]] = measured.metadata.playbook.get("hosts") or []
    said = measured.metadata.processors
    lines = []
    for host in of_hosts:
        name = str(host.get("name"))
        if host.get("kind") == "ssh":
            model = said.get(name, "a server that did not tell its own")
        else:
            model = f"{host.get('cpu')}, emulated by QEMU"
        lines.append(f"{name}: {model}, GICv{host.get('gic')}")
    return lines


def _computer(metadata: Metadata) -> str:
    """Where the harness ran, and with it every emulated machine."""
    computer = metadata.computer
    if computer is None:
        return ""
    return (
        f"{computer.processor}, {computer.cpus} CPUs, {size(computer.memory)} of memory, "
        f"{computer.system}"
    )


def _settings(measured: Measured) -> str:
    names = _OF_APPLICATIONS if measured.of_applications else _OF_OPERATIONS
    wanted = (*(() if measured.payload else names), *_OF_ALL)
    given = measured.metadata.playbook
    seed = measured.metadata.seed
    return " ".join(
        [f"{name}={given[name]}" for name in wanted if given.get(name) is not None]
        + ([f"seed={seed}"] if seed is not None else [])
    )


def _timers(samples: pd.DataFrame) -> str:
    """The counters that costs were read from, each with its configurations where they differ."""
    users: dict[str, dict[str, None]] = {}
    for sample in tables.records(samples):
        name = _TIMERS[sample.get("timer", "virtual")]
        users.setdefault(name, {})[f"{sample['host']}/{sample['configuration']}"] = None
    if len(users) == 1:
        return next(iter(users))
    return "; ".join(f"{name}: {', '.join(cells)}" for name, cells in users.items())
