# SPDX-License-Identifier: MIT
"""A track: one kernel line, described by `kernel-patches/<track>/series.toml`."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.paths import KERNEL_PATCHES

Version = tuple[int, ...]


def parse_version(text: str) -> Version:
    """`7.3.4-1~bpo13+1` -> (7, 3, 4): the numbers before the first other character."""
    match = re.match(r"\d+(\.\d+)*", text)
    if match is None:
        raise UserError(f"{text!r} is not a kernel version")
    return tuple(int(part) for part in match[0].split("."))


@dataclass(frozen=True)
class Track:
    """Which versions belong to the track and what their kernels are made with."""

    name: str
    oldest: Version
    package: str
    fragments: tuple[Path, ...]

    @classmethod
    def load(cls, name: str) -> "Track":
        file = KERNEL_PATCHES / name / "series.toml"
        if not file.exists():
            known = sorted(path.parent.name for path in KERNEL_PATCHES.glob("*/series.toml"))
            raise UserError(f"unknown track {name!r}: known are {', '.join(known)}")
        data = tomllib.loads(file.read_text())
        return cls(
            name=name,
            oldest=parse_version(data["oldest"]),
            package=data["package"],
            fragments=tuple(file.parent / fragment for fragment in data["fragments"]),
        )

    def check(self, version: str, origin: str) -> None:
        """Raise UserError if a kernel of `version` can't be used on this track."""
        if parse_version(version) < self.oldest:
            oldest = ".".join(map(str, self.oldest))
            raise UserError(
                f"{origin} is Linux {version}; track {self.name} needs {oldest} or newer"
            )
