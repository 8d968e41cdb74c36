# SPDX-License-Identifier: MIT
"""What was measured: the kernels of a cell, and the guest that measures. Exact figures of other
subjects are other series."""

from collections.abc import Mapping
from functools import cache

from harness.errors import UserError
from harness.model.metadata import KernelImage
from harness.model.track import Track, nested

_SHORT = 12  # digits that name an image


def written(kernels: Mapping[str, KernelImage]) -> str:
    """The kernels of a run as the history keeps them: `l0: 7.3.4 key; l1: …`."""
    return "; ".join(
        f"{name}: {kernel.version} {kernel.key}" for name, kernel in sorted(kernels.items())
    )


def subject(kernels: str, microbench: str, host: str, track: str, configuration: str) -> str:
    """What was measured in a cell of a run with these `kernels`, as `written`, and the guest whose
    hash is `microbench`: `L0=7.3.4/key L1=7.3.4/key microbench=hash`, where they are known."""
    by_name = dict(each.split(": ", 1) for each in kernels.split("; ") if ": " in each)
    names = [f"l0 of {host}" if f"l0 of {host}" in by_name else "l0"]
    if nested(configuration):
        hypervisor = _hypervisor(track, configuration)
        unknown = hypervisor not in by_name
        names += sorted(
            name for name in by_name if name == hypervisor or (unknown and name.startswith("l1"))
        )
    parts = [
        f"{name[:2].upper()}={by_name[name].replace(' ', '/')}" for name in names if name in by_name
    ]
    if microbench:
        parts.append(f"microbench={microbench[:_SHORT]}")
    return " ".join(parts)


@cache
def _hypervisor(track: str, configuration: str) -> str:
    """The name of the kernel that is the guest hypervisor; nothing if the track is not ours."""
    try:
        return Track.load(track).hypervisor(configuration)
    except (UserError, KeyError):
        return ""


def differences(before: str, after: str) -> list[str]:
    """What tells two subjects apart: `kernel of L1: 7.3.4/a → 7.3.4/b`."""
    old, new = (_parts(text) for text in (before, after))
    return [
        f"{f'kernel of {name}' if name in ('L0', 'L1') else name}: "
        f"{old.get(name, 'unknown')} → {new.get(name, 'unknown')}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]


def _parts(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(" ") if "=" in part)
