# SPDX-License-Identifier: MIT
"""QEMU's options: commas separate their parts, and one that is meant is doubled."""

from pathlib import Path


def quoted(value: Path | str) -> str:
    """`value` as a part of an option."""
    return str(value).replace(",", ",,")
