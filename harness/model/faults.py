# SPDX-License-Identifier: MIT
"""Published faults of nested KVM/arm64, by the kernels that have them: `faults.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import UserError
from harness.model.kernel_choice import Level
from harness.model.version import VersionRange


@dataclass(frozen=True)
class Fault:
    """What kernels of `level` within `ranges` break, how to get rid of it, and who says so."""

    id: str
    level: Level
    ranges: tuple[VersionRange, ...]
    breaks: str
    fix: str
    sources: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.id}: {self.breaks}. {self.fix}. See {self.sources[0]}"


def faults_of(level: Level, release: str) -> list[Fault]:
    """Those that a kernel of this `release`, `6.18.44-fcvm` say, has at `level`; none of one whose
    release is no number."""
    try:
        return [
            fault
            for fault in faults()
            if fault.level is level and any(release in versions for versions in fault.ranges)
        ]
    except UserError:
        return []


@cache
def faults() -> tuple[Fault, ...]:
    """All that are known."""
    data = tomllib.loads(Path(__file__).with_name("faults.toml").read_text(encoding="utf-8"))
    return tuple(
        Fault(
            item["id"],
            Level(item["level"]),
            tuple(VersionRange.of(versions) for versions in item["ranges"]),
            " ".join(item["breaks"].split()),
            item["fix"],
            tuple(item["sources"]),
        )
        for item in data["faults"]
    )
