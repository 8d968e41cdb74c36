# SPDX-License-Identifier: MIT
"""Suggests, for an alarm of the history, the command that finds the commit that caused it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from harness.errors import UserError
from harness.model.metadata import Change, KernelImage
from harness.results.store import RunFolder, run_folders

_KERNEL = re.compile(r"kernel of (L[01]): [^/ ]+/(\w+) → [^/ ]+/(\w+)")


def bisect_commands(folder: RunFolder) -> list[str]:
    """A command for each change for the worse in the run that came with another revision of a
    level's kernel; none where a kernel is of no repository, or its run is no more there."""
    words = shlex.split(folder.metadata.repeat or "")
    playbook = words[2] if words[1:2] == ["run"] and len(words) > 2 else "PLAYBOOK"
    found = {
        command: None
        for change in folder.metadata.changes or ()
        if change.verdict == "regressed" and change.noise is None and change.before is not None
        for command in _commands(folder.path.parent, playbook, change)
    }
    return list(found)


def _commands(runs: Path, playbook: str, change: Change) -> Iterator[str]:
    for cause in change.causes:
        if (told := _KERNEL.fullmatch(cause)) is None:
            continue
        level, *keys = told.groups()
        good, bad = (_revision(runs, key) for key in keys)
        if good is None or bad is None or good[0] != bad[0]:
            continue
        sign = ">=" if change.unit.endswith("/s") else "<="
        cell = f"{change.benchmark}/{change.configuration}"
        expected = f"{cell}/{change.metric} {sign} {change.before:.12g}"
        yield shlex.join(
            [
                *("neve", "bisect", f"{good[0]}@{good[1]}", bad[1], playbook),
                *("--level", level.lower(), "--expect", expected),
            ]
        )


def _revision(runs: Path, key: str) -> tuple[str, str] | None:
    """Repository and commit of the kernel with that key, by the newest run that has one."""
    for path in reversed(run_folders(runs)):
        try:
            kernels = RunFolder.open(runs, path.name).metadata.kernels
        except UserError:  # another run's damage is no matter here
            continue
        for kernel in kernels.values():
            if kernel.key == key and kernel.commit:
                return _repository(kernel), kernel.commit
    return None


def _repository(kernel: KernelImage) -> str:
    """As users name it: the work tree, not its `.git`."""
    return kernel.origin.rpartition(" at ")[0].removesuffix("/.git")
