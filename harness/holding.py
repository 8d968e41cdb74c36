# SPDX-License-Identifier: MIT
"""Keeps the folders that a process uses from being removed.

A folder is held by a shared flock(2) on itself, which the kernel frees when the process ends,
however it does. The folder's modification time says when it was last used: the same instant for
everything that one command uses.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

REMOVED = ".removed-"  # begins the names of folders whose content is being removed


@dataclass
class _Use:
    """Open descriptors by device and inode."""

    since: int = field(default_factory=time.time_ns)
    held: dict[tuple[int, int], int] = field(default_factory=dict)


_UNDER_WAY = [_Use()]  # the process's own, and those of commands


@contextmanager
def one_use() -> Iterator[None]:
    """What is held inside is held to the end of it, and was used at once."""
    use = _Use()
    _UNDER_WAY.append(use)
    try:
        yield
    finally:
        _UNDER_WAY.remove(use)
        for descriptor in use.held.values():
            os.close(descriptor)


def hold(folder: Path) -> bool:
    """Use `folder` from now on; False if there is none."""
    use = _UNDER_WAY[-1]
    while (descriptor := _open(folder)) is not None:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        status = os.fstat(descriptor)
        with suppress(FileNotFoundError):
            if os.path.samestat(status, folder.stat()):
                if use.held.setdefault((status.st_dev, status.st_ino), descriptor) != descriptor:
                    os.close(descriptor)
                with suppress(OSError):  # somebody else's, or on a disk that can only be read
                    os.utime(folder, ns=(use.since, use.since))
                return True
        os.close(descriptor)  # it was removed while we waited
    return False


def hold_new(folder: Path) -> Path:
    """`folder`, which is made if there is none, in use from now on."""
    while not hold(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def is_held(folder: Path) -> bool:
    """Whether a process uses `folder`."""
    with _alone(folder) as alone:
        return not alone and folder.is_dir()


def remove(folder: Path) -> bool:
    """Remove `folder` unless a process uses it: whether that is so."""
    with tempfile.TemporaryDirectory(prefix=REMOVED, dir=folder.parent) as doomed:
        with _alone(folder) as alone:
            if alone:
                folder.rename(Path(doomed) / folder.name)  # at once: whoever comes now finds none
        return alone


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    descriptor = _open(folder)
    if descriptor is None:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _open(folder: Path) -> int | None:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
