# SPDX-License-Identifier: MIT
"""How long things took on this machine: the last few times of each, stored in the cache."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from harness.cache import Cache, write_atomically

_KEPT = 5  # times of each
_NAMES = 5000  # those that were added last


@dataclass(frozen=True)
class Span:
    """Seconds, or bytes, from the least to the most that it took."""

    least: float
    median: float
    most: float

    @property
    def steady(self) -> bool:
        """Whether the median says something of the next time; what builds and what finds a kernel
        in the cache is the same stage."""
        return self.most <= 3 * self.least + 1


@dataclass(frozen=True)
class Times:
    """In a file of `cache`."""

    cache: Cache

    def known(self) -> dict[str, Span]:
        """By name."""
        found = self._read().items()
        return {name: Span(min(taken), median(taken), max(taken)) for name, taken in found if taken}

    def add(self, taken: Mapping[str, float]) -> None:
        """Remember what each of these took just now, if the cache may be written to."""
        if not taken:
            return
        with suppress(OSError), self.cache.lock("times"):
            kept = self._read()
            for name, amount in taken.items():
                kept[name] = [*kept.pop(name, []), round(amount, 3)][-_KEPT:]
            newest = dict(list(kept.items())[-_NAMES:])
            write_atomically(self.cache.root / "times.json", json.dumps(newest, indent=0) + "\n")

    def _read(self) -> dict[str, list[float]]:
        """Nothing if there is no file, or none of ours."""
        try:
            found = json.loads((self.cache.root / "times.json").read_bytes())
            return {str(name): [float(each) for each in taken] for name, taken in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
