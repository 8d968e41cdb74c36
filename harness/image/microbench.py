# SPDX-License-Identifier: MIT
"""The micro-benchmark guest of `images/microbench/`."""

from pathlib import Path

from harness.cache import Cache
from harness.image.program import program


def microbench(cache: Cache) -> Path:
    """The flat arm64 image."""
    return program(cache, "microbench", "microbench.bin", shared="bare")
