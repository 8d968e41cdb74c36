# SPDX-License-Identifier: MIT
"""The content-addressed cache under $NEVE_CACHE.

    artifacts/<kind>/<key>/   finished, never changed again; also shared with L0 read-only
    downloads/                verified files as they came
    trees/                    kernel sources and object directories, changed in place
    apt/                      state of the isolated apt

An artifact appears whole or not at all: it is made in a sibling folder and renamed. Whoever uses
one holds it (`harness.holding`), so that it can't be removed meanwhile.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness.errors import UserError
from harness.holding import hold
from harness.paths import expanded

# Make, the shell and QEMU's loader would take these apart; kbuild refuses most of them itself.
_UNFIT = re.compile(r"[^\w./,+=@~-]")


def content_key(parts: Any) -> str:
    """16 hex digits that name `parts`, anything JSON can hold."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def size_of(folder: Path) -> int:
    """Bytes on the disk of all that is below `folder`; what several names have counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    folders = [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as found:
                for each in found:
                    status = each.stat(follow_symlinks=False)
                    if status.st_nlink > 1 and not each.is_dir(follow_symlinks=False):
                        if (status.st_dev, status.st_ino) in seen:
                            continue
                        seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * 512
                    if each.is_dir(follow_symlinks=False):
                        folders.append(each.path)
        except FileNotFoundError:  # it was removed just now
            continue
    return total


def write_atomically(path: Path, text: str) -> None:
    """As `write_bytes` does, in UTF-8; half characters, as names of files may have them, become
    escapes."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`; a reader or a crash sees the old or the new, never a part.

    What a symbolic link leads to is replaced, not the link. A device or a pipe is written to.
    Raises UserError if `path` is a folder or in none.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder: a file's name is needed")
    if is_special(path):
        with path.open("wb") as stream:
            stream.write(data)
        return
    target = path.resolve()
    if not target.parent.is_dir():
        raise UserError(f"{path}: there is no folder {target.parent}")
    temporary = target.with_name(f".{secrets.token_hex(8)}.new")  # others may write it, too
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def is_special(path: Path) -> bool:
    """Whether it is no file of a disk, or one that is our output already, as /dev/stdout may be."""
    try:
        found = path.stat()
    except OSError:
        return False
    return not stat.S_ISREG(found.st_mode) or any(
        os.path.samestat(found, os.fstat(stream)) for stream in (1, 2) if _is_open(stream)
    )


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Cache:
    """Folders by purpose below one root."""

    root: Path

    @classmethod
    def default(cls) -> "Cache":
        """Where $NEVE_CACHE says. Raises UserError if no kernel can be built there."""
        named = os.environ.get("NEVE_CACHE") or "~/.cache/neve"
        root = expanded(Path(named), "the cache (NEVE_CACHE)").resolve()
        if unfit := _UNFIT.search(str(root)):
            raise UserError(
                f"the cache {root}: no kernel can be built below a path with {unfit[0]!r}: "
                "set NEVE_CACHE to another folder"
            )
        return cls(root)

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def downloads(self) -> Path:
        return self.root / "downloads"

    @property
    def trees(self) -> Path:
        return self.root / "trees"

    @contextmanager
    def lock(self, name: str, wait: float = -1) -> Iterator[None]:
        """One process at a time; the kernel frees the lock of one that was killed. Raises
        filelock.Timeout if another one has it for longer than `wait` seconds, if that is given."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock", timeout=wait):
            yield

    def log(self, name: str) -> Path:
        """A fresh log file, kept also when what it tells of failed."""
        path = self.root / "logs" / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
        return path

    def artifact(self, kind: str, key: str, make: Callable[[Path], None]) -> Path:
        """Folder of artifact `kind`/`key`, held; `make` fills an empty one if there is none."""
        final = self.artifacts / kind / key
        if hold(final):
            return final
        with self.lock(f"{kind}-{key}"):
            if hold(final):
                return final
            final.parent.mkdir(parents=True, exist_ok=True)
            for stale in final.parent.glob(f".{key}-*"):
                shutil.rmtree(stale)
            made = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=final.parent))
            made.chmod(0o755)
            try:
                make(made)
                hold(made)  # before anybody else can see it
                made.replace(final)
            except BaseException:
                shutil.rmtree(made, ignore_errors=True)
                raise
        return final
