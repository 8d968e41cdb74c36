# SPDX-License-Identifier: MIT
"""A track: one kernel line, described by `kernel-patches/<track>/series.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.kernel.manifest import Manifest
from harness.kernel.origin import Origin, origin_of
from harness.kernel.patches import Series, Value
from harness.kernel.version import ALL_VERSIONS, VersionRange
from harness.paths import KERNEL_PATCHES

LEVELS = ("l0", "l1", "l2")


@dataclass(frozen=True)
class Fragment:
    """A piece of kernel configuration, for some versions and some variants of the series."""

    path: Path
    versions: VersionRange = ALL_VERSIONS
    when: Mapping[str, Value] = field(default_factory=dict)

    def belongs(self, version: str, values: Mapping[str, Value]) -> bool:
        """Whether it is for Linux `version` with the series' parameters at `values`."""
        return version in self.versions and self.when.items() <= values.items()


@dataclass(frozen=True)
class Track:
    """Where the track's kernels come from and what they are made with.

    `roles` are the series' parameters by level, where they differ; `cpu_options` what QEMU's
    processor models need; `nested_arguments` what the host's kernel is told so that it nests;
    `mechanism` how EL2 accesses of its guest hypervisor reach L0; `nested_switch` the parameter of
    L0's kernel that chooses between ARMv8.3 and NEVE, where the guest hypervisor's kernel does not;
    `compared` how far its results compare with the paper's.
    """

    name: str
    origin: Origin
    fragments: tuple[Fragment, ...]
    series: Series
    manifest: Manifest | None = None
    roles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cpu_options: Mapping[str, str] = field(default_factory=dict)
    nested_arguments: tuple[str, ...] = ()
    mechanism: str = "none"
    nested_switch: str | None = None
    compared: str = ""

    @classmethod
    def load(cls, name: str) -> "Track":
        """The track `name`. Raises UserError if there is none."""
        file = KERNEL_PATCHES / name / "series.toml"
        if not file.exists():
            raise UserError(f"unknown track {name!r}: known are {', '.join(track_names())}")
        data = tomllib.loads(file.read_text())
        return cls(
            name=name,
            origin=origin_of(data["origin"], name),
            fragments=tuple(_fragment(file.parent, item) for item in data["fragments"]),
            series=Series.of(file.parent, data),
            manifest=Manifest.load(file.parent / data["manifest"]) if "manifest" in data else None,
            roles=data.get("roles", {}),
            cpu_options=data.get("cpu_options", {}),
            nested_arguments=tuple(data.get("nested_arguments", ())),
            mechanism=data["mechanism"],
            nested_switch=data.get("nested_switch"),
            compared=" ".join(data["compared"].split()),
        )

    def fragments_for(self, version: str, values: Mapping[str, Value]) -> list[Path]:
        """The fragments that such a kernel is configured with."""
        return [item.path for item in self.fragments if item.belongs(version, values)]

    def settings_for(self, level: str) -> dict[str, str]:
        """The series' parameters for the kernel that boots at `level`."""
        return dict(self.roles.get(level, {}))

    def check(self, version: str, what: str) -> None:
        """Raise UserError if a kernel of `version` can't be used on this track."""
        if not self.origin.accepts(version):
            raise UserError(
                f"{what} is Linux {version}; track {self.name} needs {self.origin.accepted}"
            )


def track_names() -> list[str]:
    """All tracks that the project has."""
    return sorted(path.parent.name for path in KERNEL_PATCHES.glob("*/series.toml"))


def _fragment(folder: Path, item: Mapping[str, Any]) -> Fragment:
    return Fragment(folder / item["file"], VersionRange.of(item), item.get("when", {}))
