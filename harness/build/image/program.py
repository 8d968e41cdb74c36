# SPDX-License-Identifier: MIT
"""Builds what `images/` holds in C and assembly."""

from collections.abc import Mapping
from pathlib import Path

from harness.build.toolchain import Toolchain
from harness.cache import Cache, content_key, file_sha256
from harness.paths import IMAGES
from harness.process import require, run


def program(
    cache: Cache,
    name: str,
    product: str,
    *,
    shared: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Path:
    """The file `product` of the folder `name`, built unless the same sources were built before.

    `shared` is a folder whose sources it uses, too; `headers` are generated, by name.
    """
    folders = [IMAGES / each for each in (name, shared) if each]
    toolchain = Toolchain.find()
    sources = {
        f"{folder.name}/{path.name}": file_sha256(path)
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.is_file()
    }

    def make(into: Path) -> None:
        for header, text in (headers or {}).items():
            (into / header).write_text(text, encoding="utf-8")
        run(
            [
                require("make", "make"),
                "-s",
                "-C",
                str(folders[0]),
                f"O={into}",
                f"CROSS_COMPILE={toolchain.prefix}",
            ],
            log=cache.log(name),
        )
        for left_over in into.glob("*.o"):
            left_over.unlink()

    key = content_key([sources, headers or {}, toolchain.version])
    return cache.artifact(name, key, make) / product
