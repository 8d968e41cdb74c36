# SPDX-License-Identifier: MIT
"""What a level says that it has booted: /proc/version, /proc/cmdline, its configuration where it
tells it, and the build ID that the linker gave its kernel (/sys/kernel/notes)."""

import base64
import binascii
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.bench.outcome import Outcome
from harness.build.kernel.build import Kernel
from harness.cache import file_sha256
from harness.errors import GuestError
from harness.plain import plain

_GNU_BUILD_ID = struct.pack("<III4s", 4, 20, 3, b"GNU")
_ID_BYTES = 20
LINE = "@NEVE kernel "
# The level is $level. One line: L1 is told by its console what to run.
SCRIPT = (
    f'echo "{LINE}$level $(for file in /proc/version /proc/cmdline /sys/kernel/notes; do '
    'base64 <$file 2>/dev/null | tr -d "\\n"; echo " "; done | tr -d "\\n")'
    '$(zcat /proc/config.gz 2>/dev/null | sha256sum | cut -d " " -f 1)"'
)
_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of nothing


@dataclass(frozen=True)
class Booted:
    """The kernel of a level: its banner, its command line, its build ID, and the SHA-256 of its
    configuration; what it does not tell is empty."""

    level: str
    version: str
    arguments: str
    build_id: str
    config: str

    @classmethod
    def of(cls, line: str) -> "Booted":
        """By the line that `SCRIPT` prints. Raises GuestError if it is damaged."""
        words = line.removeprefix(LINE).split(" ")
        try:
            level, version, arguments, notes, config = words
            texts = [base64.b64decode(word, validate=True) for word in (version, arguments, notes)]
        except (ValueError, binascii.Error) as error:
            raise GuestError(f"a level's line about its kernel is damaged: {line!r}") from error
        banner, command = (plain(text.decode(errors="replace")).strip() for text in texts[:2])
        known = "" if config == _NOTHING else config
        return cls(level, banner, command, next(_build_ids(texts[2]), ""), known)

    def verify(self, kernel: Kernel) -> None:
        """Raise GuestError if it is not `kernel`, or not the level that it is said to be."""
        level = re.search(r"\bneve\.level=(l[0-2])\b", self.arguments)
        if level is None or level[1] != self.level:
            raise GuestError(
                f"{self.level} did not boot as {self.level}: its command line is {self.arguments!r}"
            )
        ids = set(_build_ids(kernel.image.read_bytes()))
        if not self.version.startswith("Linux version ") or self.build_id not in ids:
            raise GuestError(
                f"{self.level} booted another kernel than {kernel.origin} ({kernel.key}): "
                f"build ID {self.build_id or 'unknown'}, {self.version}"
            )

    def record(self, kernel: Kernel | None) -> dict[str, Any]:
        """For the metadata and the cells; the configuration is that of `kernel`, if it is ours."""
        config = file_sha256(kernel.folder / "config") if kernel else self.config
        return {
            "version": self.version,
            "arguments": self.arguments,
            "build_id": self.build_id,
            "config": config,
        }


def verify(said: Sequence[Booted], wanted: Mapping[str, Kernel | None]) -> dict[str, Any]:
    """What the levels have `said`, for the metadata and the cells. Raises GuestError if they are
    not the `wanted` ones, or if one booted another kernel; where None is wanted, any kernel will
    do."""
    if (levels := [booted.level for booted in said]) != list(wanted):
        raise GuestError(
            f"{', '.join(levels) or 'no level'} said which kernel it booted; "
            f"expected: {', '.join(wanted)}"
        )
    found = {}
    for booted in said:
        if kernel := wanted[booted.level]:
            booted.verify(kernel)
        found[booted.level] = booted.record(kernel)
    return found


def stamped(outcome: Outcome, booted: Mapping[str, Any]) -> Outcome:
    """`outcome`, whose samples say what was `booted`."""
    return replace(outcome, samples=[{**sample, "booted": booted} for sample in outcome.samples])


def asked(level: str, run: Callable[[str], str]) -> Booted:
    """What `level` says, in which `run` runs a line of shell and gives its output. Raises
    GuestError if that is nothing."""
    lines = run(f"level={level}; {SCRIPT}").splitlines()
    line = next((line for line in lines if line.startswith(LINE)), "")
    return Booted.of(line.strip())


def _build_ids(data: bytes) -> Iterator[str]:
    """Those in ELF notes of the GNU, as hexadecimal digits: an image has its vDSO's, too."""
    place = data.find(_GNU_BUILD_ID)
    while place >= 0:
        start = place + len(_GNU_BUILD_ID)
        yield data[start : start + _ID_BYTES].hex()
        place = data.find(_GNU_BUILD_ID, start)
