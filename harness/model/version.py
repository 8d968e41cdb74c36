# SPDX-License-Identifier: MIT
"""Kernel versions, and ranges of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import UserError

Version = tuple[int, ...]
VERSION = r"\d+(\.\d+){0,2}(-rc\d+)?"  # a line of Linux, or a release


def parse_version(text: str) -> Version:
    """`7.3.4-1~bpo13+1` -> (7, 3, 4): the numbers before the first other character."""
    match = re.match(r"\d+(\.\d+)*", text)
    if match is None:
        raise UserError(f"{text!r} is not a kernel version")
    return tuple(int(part) for part in match[0].split("."))


def dotted(version: Version) -> str:
    """(7, 3, 4) -> `7.3.4`."""
    return ".".join(map(str, version))


def is_version(version: str, wanted: str | None) -> bool:
    """Whether `version` is the line or the release that was asked for."""
    if wanted is None:
        return True
    prefix = parse_version(wanted)
    return parse_version(version)[: len(prefix)] == prefix


@dataclass(frozen=True)
class VersionRange:
    """Versions from `since` on and before `before`; None leaves that end open."""

    since: Version | None = None
    before: Version | None = None

    @classmethod
    def of(cls, data: Mapping[str, str]) -> "VersionRange":
        """From the keys `since` and `before` of a table, where it has them."""
        ends = {key: parse_version(data[key]) for key in ("since", "before") if key in data}
        return cls(**ends)

    def __contains__(self, version: str) -> bool:
        number = parse_version(version)
        return (self.since is None or number >= self.since) and (
            self.before is None or number < self.before
        )


ALL_VERSIONS = VersionRange()
