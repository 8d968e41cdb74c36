# SPDX-License-Identifier: MIT
"""Flat arm64 images that are booted in place of benchmarks: the user's own, and ours by name."""

from pathlib import Path

from harness.build.image.program import program
from harness.cache import Cache

OURS = ("readback",)  # fails if it reads back other bytes than it wrote


def is_there(image: Path) -> bool:
    """Whether `image` is a file, or the name of one of ours."""
    return image.is_file() or str(image) in OURS


def payload(cache: Cache, image: Path) -> Path:
    """The file of `image`; a file of the user's goes before one of ours."""
    if image.is_file():
        return image
    return program(cache, image.name, f"{image.name}.bin", shared="bare")
