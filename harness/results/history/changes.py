# SPDX-License-Identifier: MIT
"""Changes in a host's series, found night by night as a nightly run sees them.

Each series is split into regimes of one level. Every night, the newest regime is segmented by
penalized least squares (PELT: Killick et al. 2012; exact, by ruptures' KernelCPD with the linear
kernel), in two steps:

1. with a low penalty: what looks changed is *suspicious*, and is measured again;
2. with a high penalty, the repetition included: a change is *called*, and a regime begins.

Values are clipped at the threshold around the regime's median (bounded influence, as in Fearnhead
and Rigaill 2019), so that one measurement alone, however far out, never calls a change.
Penalties are in units of the noise, which `noise` estimates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import ruptures
from numpy.typing import NDArray
from scipy import special

from harness.results.history import noise
from harness.results.history.noise import Noise

LEARNING = 8         # measurements before anything is judged
_SUSPICIOUS = 2.2    # sigmas: one quiet cell in twelve is measured again
_RECENT = 8          # … if what looks changed began within so many measurements
_ERROR = 5e-6        # probability that chance exceeds the threshold for a call: 4.6 sigmas


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
        """Relative: 0.03 is 3 % more than before; infinite after a level of 0."""
        if self.before == 0:
            return float(np.copysign(np.inf, self.after - self.before))
        return self.after / self.before - 1


@dataclass
class Series:
    """One metric of one cell. `values` in its `unit`, `nights` the night of each; a night has
    one value, or two if it was measured again. `starts` are the first indices of the regimes."""

    unit: str
    values: list[float] = field(default_factory=list)
    nights: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])

    def add(self, night: int, value: float) -> None:
        self.values.append(value)
        self.nights.append(night)
        self._forget()

    def _forget(self) -> None:
        """What is known of the noise is of the values of before."""
        self.__dict__.pop("own_noise", None)

    @property
    def judged(self) -> bool:
        """Whether there is history enough, of the series and of its newest regime."""
        return len(self.values) > LEARNING and len(self.values) - self.starts[-1] > 2

    @property
    def level(self) -> float:
        """The median of the newest regime."""
        return float(np.median(self.values[self.starts[-1]:]))

    @cached_property
    def own_noise(self) -> Noise:
        """Within the regimes, and within what may be the next one: a new level is no noise."""
        bounds = [*self.starts, *self._candidate(), len(self.values)]
        logs = _scaled(self.values)
        return noise.own([logs[start:end] for start, end in pairwise(bounds)])

    def noise(self, prior: Noise) -> Noise:
        """What the series differs by from night to night, by itself and by its host."""
        return noise.moderated(self.own_noise, prior, noise.floor(self.unit, self.level))

    def suspicious(self, known: Noise) -> bool:
        """Whether the newest values look like another level, or a change is about to be called."""
        if not self.judged:
            return False
        values = self._bounded(known)
        breaks = _segment(values, (_SUSPICIOUS * known.sigma) ** 2)
        if breaks and len(values) - breaks[-1] <= _RECENT:
            return True
        return bool(breaks and _segment(values, (known.threshold(_ERROR) * known.sigma) ** 2))

    def call(self, key: Key, known: Noise) -> Change | None:
        """The change that is certain now, with which a regime begins; None if there is none."""
        if not self.judged:
            return None
        values = self._bounded(known)
        breaks = _segment(values, (known.threshold(_ERROR) * known.sigma) ** 2)
        if not breaks:
            return None
        base = self.starts[-1]
        start = self.nights.index(self.nights[base + breaks[-1]])  # nights are not divided
        if start == base:
            return None
        raw = self.values[base:]
        change = Change(
            key, self.nights[start], self.nights[-1],
            before=float(np.median(raw[([0, *breaks])[-2]:start - base])),
            after=float(np.median(raw[start - base:])),
            confidence=1.0 - _error(values, start - base, known),
        )
        self.starts.append(start)
        self._forget()
        return change

    def _candidate(self) -> list[int]:
        """Where the newest values part best in two."""
        values = _scaled(self.values[self.starts[-1]:])
        if len(values) < LEARNING:
            return []
        detector = ruptures.KernelCPD(kernel="linear", min_size=1).fit(values[:, None])
        start = int(detector.predict(n_bkps=1)[0])
        return [self.starts[-1] + start] if len(values) - start <= _RECENT else []

    def _bounded(self, known: Noise) -> NDArray[np.float64]:
        """The newest regime, as `_scaled`, clipped."""
        logs = _scaled(self.values[self.starts[-1]:])
        middle, reach = np.median(logs), known.threshold(_ERROR) * known.sigma
        return np.clip(logs, middle - reach, middle + reach)


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
        for key, (unit, value) in first.items():
            self._add(key, unit, number, value)
        self.prior = noise.pooled([
            each.own_noise for each in self.series.values() if len(each.values) > LEARNING
        ])
        self.suspects = [
            key for key in first if self.series[key].suspicious(self.series[key].noise(self.prior))
        ]
        for key in first.keys() & again.keys():
            self._add(key, first[key][0], number, again[key])
        for key in self.suspects:
            series = self.series[key]
            change = series.call(key, series.noise(self.prior))
            if change:
                self.changes.append(change)

    def _add(self, key: Key, unit: str, number: int, value: float) -> None:
        series = self.series.setdefault(key, Series(unit))
        series.add(number, value)


def _scaled(values: Sequence[float]) -> NDArray[np.float64]:
    """Values whose differences are relative for large ones, as logarithms' are, and absolute
    near 0, where counts of traps lie, which may be negative: a difference of two runs."""
    scaled: NDArray[np.float64] = np.arcsinh(np.asarray(values, float))
    return scaled


def _segment(values: NDArray[np.float64], penalty: float) -> Sequence[int]:
    """The indices at which segments begin, the first one's not among them."""
    detector = ruptures.KernelCPD(kernel="linear", min_size=1).fit(values[:, None])
    return [int(index) for index in detector.predict(pen=penalty)[:-1]]


def _error(values: NDArray[np.float64], start: int, known: Noise) -> float:
    """Probability that chance differs as much, at any of the places where it could."""
    before, after = values[:start], values[start:]
    scale = known.sigma * np.sqrt(1 / len(before) + 1 / len(after))
    distance = abs(after.mean() - before.mean()) / scale
    tail = 2 * float(special.stdtr(known.freedom, -distance))
    return min(1.0, tail * (len(values) - 1))
