# SPDX-License-Identifier: MIT
"""Programs that a server need not have: nothing is installed there."""

from dataclasses import dataclass
from pathlib import Path

from harness.cache import Cache, content_key
from harness.debian import Debian
from harness.image import elf
from harness.image.rootfs import extract


@dataclass(frozen=True)
class ServerTools:
    """kexec with its loader and libraries, and a static busybox: arm64, one file each."""

    loader: Path
    kexec: Path
    busybox: Path
    libraries: tuple[Path, ...]


def server_tools(cache: Cache, debian: Debian) -> ServerTools:
    """The programs, made once per recipe."""
    recipe = debian.roots["server"]

    def make(folder: Path) -> None:
        (folder / "packages.txt").write_text(extract(cache, debian, recipe, folder / "root"))

    root = cache.artifact("server-tools", content_key([recipe, debian.suites]), make) / "root"
    kexec = root / "usr/sbin/kexec"
    loader = root / "usr" / elf.interpreter(kexec).lstrip("/")
    libraries = tuple(sorted(path for path in root.glob("usr/lib/*/*.so*") if path != loader))
    return ServerTools(loader, kexec, root / "usr/bin/busybox", libraries)
