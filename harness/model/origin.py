# SPDX-License-Identifier: MIT
"""Where a track's kernel comes from, and which versions belong to it: data of its series.toml."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.version import Version, dotted, parse_version


@dataclass(frozen=True)
class DebianOrigin:
    """A linux-source package of Debian's archive; `package` is a pattern of its names."""

    package: str
    oldest: Version

    @property
    def accepted(self) -> str:
        """The versions that `accepts` holds for, in words."""
        return f"{self.example} or newer"

    @property
    def example(self) -> str:
        """A version that `accepts` holds for."""
        return dotted(self.oldest)

    def accepts(self, version: str) -> bool:
        """Whether Linux `version` belongs to the track."""
        return parse_version(version) >= self.oldest


@dataclass(frozen=True)
class ReleaseOrigin:
    """One release of kernel.org, known by its hash. `signer` has made the `signature`, a URL."""

    version: str
    sha256: str
    urls: tuple[str, ...]
    signature: str
    signer: str

    @property
    def accepted(self) -> str:
        """The version that `accepts` holds for, in words."""
        return f"the release {self.version} itself"

    @property
    def example(self) -> str:
        """The version that `accepts` holds for."""
        return self.version

    def accepts(self, version: str) -> bool:
        """Whether Linux `version` belongs to the track."""
        return version == self.version


Origin = DebianOrigin | ReleaseOrigin


def origin_of(data: Mapping[str, Mapping[str, Any]]) -> Origin:
    """From the table [origin.debian] or [origin.release] of a series.toml."""
    if item := data.get("debian"):
        return DebianOrigin(item["package"], parse_version(item["oldest"]))
    item = data["release"]
    return ReleaseOrigin(
        item["version"], item["sha256"], tuple(item["urls"]), item["signature"], item["signer"]
    )
