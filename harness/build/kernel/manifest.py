# SPDX-License-Identifier: MIT
"""A manifest: the SHA-256 of each file that a series touches, in sha256sum's format.

It tells an untouched release from a tree with changes of somebody's own, however the tree came.
"""

import hashlib
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError

_SHOWN = 5


@dataclass(frozen=True)
class Manifest:
    """{path in the kernel tree: SHA-256}."""

    hashes: dict[str, str]

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        text = path.read_text(encoding="utf-8")
        lines = (line.split() for line in text.splitlines() if line[:1] != "#")
        return cls({name: sha256 for sha256, name in lines})

    @classmethod
    def of(cls, tree: Path, files: Iterable[str]) -> "Manifest":
        """Of `files` as they are in `tree`."""
        return cls({name: hashlib.sha256((tree / name).read_bytes()).hexdigest() for name in files})

    def write(self, path: Path) -> None:
        """Replace the list in the file, below the comments that it begins with."""
        present = path.read_text(encoding="utf-8").splitlines()
        comments = [line for line in present if line[:1] == "#"]
        lines = [f"{sha256}  {name}" for name, sha256 in self.hashes.items()]
        path.write_text("\n".join([*comments, *lines]) + "\n", encoding="utf-8")

    def check(self, archive: Path, what: str) -> None:
        """Raise UserError naming the files of `archive` that are missing or not as they must be."""
        found = {}
        with tarfile.open(archive) as members:
            for member in members:
                name = member.name.partition("/")[2]
                if name in self.hashes and (stream := members.extractfile(member)):
                    found[name] = hashlib.sha256(stream.read()).hexdigest()
        wrong = sorted(name for name, wanted in self.hashes.items() if found.get(name) != wanted)
        if wrong:
            more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
            raise UserError(
                f"{what} is not the untouched release that the patches are for; changed or "
                f"missing: {', '.join(wrong[:_SHOWN])}{more}"
            )
