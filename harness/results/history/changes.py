# SPDX-License-Identifier: MIT
"""Changes in a host's series, found night by night as a nightly run sees them.

Each series is a row of regimes of one level. Every night its newest regime is judged in two steps:

1. with a low threshold: what looks changed is *suspicious*, and is measured again;
2. with a high threshold, the repetition included: a change is *called*, and a regime begins.

`evidence` is what a change must show, `noise` the unit that it is measured in. Only the newest
values of a series are looked at, so that a night costs the same after ten years as after one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import asinh, inf, nan

import numpy as np
from scipy import special

from harness.results.history import noise
from harness.results.history.evidence import Scan
from harness.results.history.noise import Noise

LEARNING = 8  # measurements before anything is judged
_WINDOW = 64  # measurements that are looked at
_SUSPICIOUS = 2.2  # sigmas: one quiet cell in fourteen is measured again
_RECENT = 8  # … if what looks changed began within so many measurements
_ERROR = 8e-6  # probability that normal noise exceeds the threshold for a call: 4.5 sigmas
_RENEWED = 16  # the noise is estimated anew when so great a part of the window is new
# Less is no change, however certain: a single operation may take a trap more or less.
_SMALLEST = {"exits": 0.5}


Key = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A level that is not what it was. `start` is the first night of the new level, `called`
    the night that was sure of it; `before` and `after` are medians, as known that night.
    `confidence` is that of the better of all places where a change could have begun."""

    key: Key
    start: int
    called: int
    before: float
    after: float
    confidence: float

    @property
    def effect(self) -> float:
        """Relative: 0.03 is 3 % more than before; NaN where the level before is so near 0, or
        on its other side, that a ratio says nothing."""
        if self.before * self.after < 0 or abs(self.before) * _RATIO < abs(self.after):
            return nan
        return self.after / self.before - 1 if self.before else nan


_RATIO = 1000.0  # of two levels, above which the smaller is as good as 0


@dataclass
class Series:
    """One metric of one cell. `values` in its `unit`, `nights` the night of each; a night has
    one value, or two if it was measured again. `starts` are the first indices of the regimes.

    They are compared by asinh, whose differences are relative for large values, as logarithms'
    are, and absolute near 0, where counts of traps lie, which may be negative: a difference of
    two runs."""

    unit: str
    values: list[float] = field(default_factory=list)
    nights: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    _logs: list[float] = field(default_factory=list)
    _own: Noise | None = None
    _floor: float = 0.0
    _counted: int = 0  # values when these two were estimated

    def add(self, night: int, value: float) -> None:
        self.values.append(value)
        self.nights.append(night)
        self._logs.append(asinh(value))

    @property
    def judged(self) -> bool:
        """Whether there is history enough, of the series and of its newest regime."""
        return len(self.values) > LEARNING and len(self.values) - self.starts[-1] > 2

    @property
    def level(self) -> float:
        """The median of the newest regime."""
        return _median(self.values[self._first :])

    @property
    def own_noise(self) -> Noise:
        """Within the regimes, and within what may be the next one: a new level is no noise."""
        size = len(self.values)
        renewed = _RENEWED * (size - self._counted) >= min(size, _WINDOW)
        if self._own is None or renewed:
            first = max(0, size - _WINDOW)
            bounds = [
                first,
                *(start for start in self.starts if start > first),
                *self._candidate(),
                size,
            ]
            logs = np.array(self._logs[first:])
            self._own = noise.own(
                [logs[start - first : end - first] for start, end in pairwise(bounds)]
            )
            self._floor = noise.floor(self.unit, self.level)
            self._counted = size
        return self._own

    def noise(self, prior: Noise) -> Noise:
        """What the series differs by from night to night, by itself and by its host."""
        return noise.moderated(self.own_noise, prior, self._floor)

    def suspicious(self, known: Noise) -> bool:
        """Whether the newest values look like another level, or a change is about to be called."""
        if not self.judged:
            return False
        scan, threshold = self._scan(known), known.threshold(_ERROR)
        looks = scan.farthest(_RECENT) > _SUSPICIOUS or scan.farthest() > threshold
        return looks and self._matters(self._split(scan, 1))

    def call(self, key: Key, known: Noise) -> Change | None:
        """The change that is certain now, with which a regime begins; None if there is none."""
        if not self.judged:
            return None
        scan = self._scan(known)
        start = self._split(scan, 2)
        confirmed = self.nights[-1] == self.nights[-2]
        threshold = known.threshold(_ERROR)
        if (
            start <= self._first
            or not self._matters(start)
            or not scan.convincing(len(self.values) - start, threshold, confirmed=confirmed)
        ):
            return None
        change = Change(
            key,
            self.nights[start],
            self.nights[-1],
            before=_median(self.values[self._first : start]),
            after=_median(self.values[start:]),
            confidence=1.0 - _error(scan, len(self.values) - start, known),
        )
        self.starts.append(start)
        self._own = None
        return change

    @property
    def _first(self) -> int:
        """Where the part of the newest regime begins that is looked at."""
        return max(self.starts[-1], len(self.values) - _WINDOW)

    def _scan(self, known: Noise) -> Scan:
        return Scan.of(np.array(self._logs[self._first :]), known.sigma, known.threshold(_ERROR))

    def _split(self, scan: Scan, least: int) -> int:
        """Where the newest values part best in two, `least` or more of them in the newer part;
        nights are not divided."""
        newest = least + int(np.argmax(np.abs(scan.distances[least - 1 :])))
        start = len(self.values) - newest
        while start > self._first and self.nights[start] == self.nights[start - 1]:
            start -= 1
        return start

    def _matters(self, start: int) -> bool:
        least = _SMALLEST.get(self.unit)
        if least is None or start <= self._first:
            return True
        before, after = self.values[self._first : start], self.values[start:]
        return abs(_median(after) - _median(before)) >= least

    def _candidate(self) -> list[int]:
        """Where the newest values may be another level already."""
        first = self._first
        if len(self.values) - first < LEARNING:
            return []
        scan = Scan.of(np.array(self._logs[first:]), 1.0, inf)
        newest = 1 + int(np.argmax(np.abs(scan.distances)))
        return [len(self.values) - newest] if newest <= _RECENT else []


@dataclass
class Monitor:
    """All series of one metric on one host, which tell each other's noise."""

    series: dict[Key, Series] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    suspects: list[Key] = field(default_factory=list)
    prior: Noise = field(default_factory=lambda: noise.pooled([]))

    def night(
        self, number: int, first: Mapping[Key, tuple[str, float]], again: Mapping[Key, float]
    ) -> None:
        """Take in what a night measured (units and values), and what it measured `again`.

        `suspects` are then this night's, and `changes` has what it called.
        """
        self.look(number, first)
        self.decide(number, again)

    def look(self, number: int, first: Mapping[Key, tuple[str, float]]) -> None:
        """Take in a night's first measurements: `suspects` ought to be measured again."""
        for key, (unit, value) in first.items():
            self.series.setdefault(key, Series(unit)).add(number, value)
        self.prior = noise.pooled(
            [each.own_noise for each in self.series.values() if len(each.values) > LEARNING]
        )
        self.suspects = [
            key for key in first if self.series[key].suspicious(self.series[key].noise(self.prior))
        ]

    def decide(self, number: int, again: Mapping[Key, float]) -> None:
        """Take in what the night measured `again`, and call what is certain."""
        for key in again.keys() & self.series.keys():
            if self.series[key].nights[-1] == number:
                self.series[key].add(number, again[key])
        for key in self.suspects:
            series = self.series[key]
            change = series.call(key, series.noise(self.prior))
            if change:
                self.changes.append(change)


def _median(values: Sequence[float]) -> float:
    ordered, middle = sorted(values), len(values) // 2
    if len(values) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def _error(scan: Scan, newest: int, known: Noise) -> float:
    """Probability that chance differs as much, at any of the places where it could."""
    tail = 2 * float(special.stdtr(known.freedom, -abs(scan.distances[newest - 1])))
    return min(1.0, tail * (len(scan.raw) - 1))
