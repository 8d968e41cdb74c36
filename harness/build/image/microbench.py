# SPDX-License-Identifier: MIT
"""The micro-benchmark guest of `images/microbench/`."""

from pathlib import Path

from harness.build.image.program import program
from harness.cache import Cache


def microbench(cache: Cache) -> Path:
    """The flat arm64 image."""
    return program(cache, "microbench", "microbench.bin", shared="bare")
