# SPDX-License-Identifier: MIT
"""cpio archives in the kernel's `newc` format (Documentation/driver-api/early-userspace/
buffer-format.rst): owner root, time 0, sorted names, so the same tree gives the same bytes."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class ArchiveMember:
    """One member: `mode` holds the file type too (stat.S_IFREG | 0o600)."""

    name: str
    mode: int
    data: bytes = b""


def tree_entries(root: Path) -> Iterator[ArchiveMember]:
    """Members for every file, folder and link below `root`, folders before their contents."""
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield ArchiveMember(name, stat.S_IFLNK | 0o777, str(path.readlink()).encode())
        elif stat.S_ISDIR(mode):
            yield ArchiveMember(name, mode)
        else:
            yield ArchiveMember(name, mode, path.read_bytes())


def write(stream: BinaryIO, entries: Iterator[ArchiveMember]) -> None:
    """Write one archive, padded to 512 bytes so that another may follow it."""
    size = 0
    for number, entry in enumerate([*entries, ArchiveMember("TRAILER!!!", 0)], start=1):
        name = entry.name.encode() + b"\0"
        fields = (
            number,
            entry.mode,
            0,
            0,
            1,
            0,
            len(entry.data),
            0,
            0,
            0,
            0,
            len(name),
            0,
        )
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        for part in (header + name, entry.data):
            padding = -len(part) % 4
            stream.write(part + b"\0" * padding)
            size += len(part) + padding
    stream.write(b"\0" * (-size % 512))
