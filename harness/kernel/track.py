# SPDX-License-Identifier: MIT
"""A track: one kernel line, described by `kernel-patches/<track>/series.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.kernel.patches import Series
from harness.kernel.version import ALL_VERSIONS, Version, VersionRange, parse_version
from harness.paths import KERNEL_PATCHES


@dataclass(frozen=True)
class Fragment:
    """A piece of kernel configuration, for some versions."""

    path: Path
    versions: VersionRange = ALL_VERSIONS


@dataclass(frozen=True)
class Track:
    """Which versions belong to the track and what their kernels are made with."""

    name: str
    oldest: Version
    package: str
    fragments: tuple[Fragment, ...]
    series: Series

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
            fragments=tuple(
                Fragment(file.parent / item["file"], VersionRange.of(item))
                for item in data["fragments"]
            ),
            series=Series.of(file.parent, data),
        )

    def fragments_for(self, version: str) -> list[Path]:
        """The fragments that a kernel of `version` is configured with."""
        return [item.path for item in self.fragments if version in item.versions]

    def check(self, version: str, origin: str) -> None:
        """Raise UserError if a kernel of `version` can't be used on this track."""
        if parse_version(version) < self.oldest:
            oldest = ".".join(map(str, self.oldest))
            raise UserError(
                f"{origin} is Linux {version}; track {self.name} needs {oldest} or newer"
            )
