# SPDX-License-Identifier: MIT
"""Programs that a server need not have: nothing is installed there."""

import tarfile
from pathlib import Path

from harness.build.debian import Debian
from harness.build.image import elf
from harness.build.image.rootfs import extract
from harness.cache import Cache, content_key

KEXEC = "usr/sbin/kexec"
BUSYBOX = "usr/bin/busybox"
LOADER = "loader"


def server_tools(cache: Cache, debian: Debian) -> Path:
    """A tar archive with kexec, its libraries in `usr/lib/*/`, their `loader`, and a static
    busybox, all for arm64; made once per recipe."""
    recipe = debian.roots["server"]

    def make(folder: Path) -> None:
        root = folder / "root"
        (folder / "packages.txt").write_text(extract(cache, debian, recipe, root), encoding="utf-8")
        interpreter = elf.interpreter(root / KEXEC)
        assert interpreter is not None, f"{KEXEC} is static"
        loader = root / "usr" / interpreter.lstrip("/")
        (root / LOADER).write_bytes(loader.read_bytes())
        (root / LOADER).chmod(0o755)
        with tarfile.open(folder / "tools.tar", "w") as archive:
            for path in sorted(root.rglob("*")):
                archive.add(path, path.relative_to(root), recursive=False, filter=_anonymous)

    key = content_key([recipe, debian.suites, "tar"])
    return cache.artifact("server-tools", key, make) / "tools.tar"


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without owner and time: the same programs give the same archive."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member
