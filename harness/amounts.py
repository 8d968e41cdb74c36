# SPDX-License-Identifier: MIT
"""Durations and sizes as people write them."""


def duration(seconds: float) -> str:
    """2.5 s, 70 s, 4 min 42 s."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def size(number: float) -> str:
    """Of so many bytes: 0 B, 1.1 MB, 16 GB."""
    units = ["B", "kB", "MB", "GB"]
    while number >= 999.5 and len(units) > 1:
        number /= 1000
        del units[0]
    return f"{number:.1f} {units[0]}" if 0 < number < 9.95 else f"{number:.0f} {units[0]}"
