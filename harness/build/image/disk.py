# SPDX-License-Identifier: MIT
"""The disk of the applications: Debian packages as they are, the same for every level and track."""

import shutil
import tempfile
from pathlib import Path

from harness.build.debian import Debian
from harness.build.image.rootfs import unpack, write_files
from harness.cache import Cache, content_key, file_sha256
from harness.errors import InfrastructureError
from harness.paths import IMAGES
from harness.process import ProcessError, require, run

_OWN = IMAGES / "applications"
_PAGE_BYTES = 11_000  # about what Apache's own first page has
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
    "mysql:x:100:100::/nonexistent:/bin/false\n"
    "www-data:x:33:33::/srv:/bin/false\n"
    "nobody:x:65534:65534::/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nwww-data:x:33:\nmysql:x:100:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "srv/index.html": "<!DOCTYPE html><title>NEVE</title>\n".ljust(_PAGE_BYTES, "x"),
}
_SPARE = 1.15  # of the files' own size: what ext2 needs to keep them


def disk(cache: Cache, debian: Debian, kernbench: Path, specjvm: Path | None = None) -> Path:
    """An ext2 image, made once per recipe; `packages.txt` beside it says of what. `kernbench` is
    the folder of what Kernbench compiles, `specjvm` that of the user's SPECjvm2008, if any.

    Nothing writes to it: each level has what it changes in memory.
    """
    recipe = dict(debian.roots["applications"])
    java = recipe.pop("java")
    licensed = {}
    if specjvm:
        recipe["packages"] = [*recipe["packages"], *java]
        licensed = _contents(specjvm)
    own = _contents(_OWN)

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="neve-disk-", dir=folder.parent) as temporary:
            tree = Path(temporary) / "root"
            packages = unpack(cache, debian, recipe, tree)
            (folder / "packages.txt").write_text(packages, encoding="utf-8")
            for name in recipe["unread"]:
                shutil.rmtree(tree / name, ignore_errors=True)
            shutil.copytree(_OWN, tree, dirs_exist_ok=True)
            shutil.copytree(kernbench, tree / "kernbench")
            if specjvm:
                shutil.copytree(specjvm, tree / "specjvm")
            write_files(tree, _FILES)
            _pack(cache, tree, folder / "disk.ext2")

    key = content_key([recipe, debian.suites, own, _FILES, kernbench.name, licensed])
    return cache.artifact("applications", key, make) / "disk.ext2"


def _contents(folder: Path) -> dict[str, str]:
    """{name: hash} of all files below `folder`."""
    return {
        str(path.relative_to(folder)): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _pack(cache: Cache, tree: Path, image: Path) -> None:
    files = [path for path in tree.rglob("*") if not path.is_symlink()]
    size = sum(path.stat().st_size + 4096 for path in files) * _SPARE
    log = cache.log("mke2fs")
    try:
        run(
            [
                require("mke2fs", "e2fsprogs"),
                "-q",
                "-t",
                "ext2",
                "-b",
                "4096",
                "-m",
                "0",
                "-N",
                str(len(files) * 2),
                "-E",
                "root_owner=0:0",
                "-d",
                str(tree),
                str(image),
                f"{int(size / 1024)}k",
            ],
            log=log,
        )
    except ProcessError as error:
        raise InfrastructureError(
            f"mke2fs could not make the disk of the applications: {error.tail}\nlog: {log}"
        ) from error
