# SPDX-License-Identifier: MIT
"""Builds the micro-benchmark guest of `images/microbench/` (C and assembly)."""

from pathlib import Path

from harness.cache import Cache, content_key, file_sha256
from harness.paths import IMAGES
from harness.process import require, run
from harness.toolchain import Toolchain


def microbench(cache: Cache) -> Path:
    """The flat arm64 image, built unless the same sources were built before."""
    folder = IMAGES / "microbench"
    toolchain = Toolchain.find()
    sources = {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}

    def make(into: Path) -> None:
        run(
            [require("make", "make"), "-s", "-C", str(folder), f"O={into}",
             f"CROSS_COMPILE={toolchain.prefix}"],
            log=cache.log("microbench"),
        )
        for left_over in into.glob("*.o"):
            left_over.unlink()

    key = content_key([sources, toolchain.version])
    return cache.artifact("microbench", key, make) / "microbench.bin"
