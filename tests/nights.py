# SPDX-License-Identifier: MIT
"""Synthetic nights of a host, watched as `neve run --check` watches real ones.

A kind of noise is a class: `values` are one measurement of every series in a night, and what the
two measurements of a night share is drawn by `begin`.
"""

from collections.abc import Mapping

import numpy as np

from harness.results.history.changes import Monitor

SERIES = 10
NIGHTS = 60
NEAR = 4  # nights by which noise may misplace a change


class Repetitions(dict):
    """Second measurements, of which only those of suspects are made."""

    def __init__(self, monitor, values):
        super().__init__(values)
        self.monitor = monitor

    def keys(self):
        return set(self.monitor.suspects)


class Gaussian:
    """1 % noise around levels between 1,000 and 200,000."""

    unit = "instructions"
    sigma = 0.01

    def __init__(self, rng, series=SERIES):
        self.rng, self.size = rng, series
        self.levels = np.exp(rng.uniform(np.log(1e3), np.log(2e5), size=series))
        self.begin(0)

    def begin(self, night):
        self.night = night

    def relative(self):
        return self.rng.normal(scale=self.sigma, size=self.size)

    def values(self):
        """Shape (series,); NaN for what was not measured."""
        return self.levels * (1 + self.relative())


class Uneven(Gaussian):
    """Series with noises of their own, from 0.1 to 3 %."""

    def relative(self):
        return self.rng.normal(size=self.size) * np.geomspace(0.001, 0.03, self.size)


class Constant(Gaussian):
    """Under icount figures are the same for weeks."""

    sigma = 0.0


class Missing(Gaussian):
    """A third of all nights of a series is missing."""

    def begin(self, night):
        super().begin(night)
        self.gone = self.rng.random(self.size) < 1 / 3

    def values(self):
        return np.where(self.gone, np.nan, super().values())


class Outliers(Gaussian):
    """One measurement in twenty is 5 to 30 % slower, as by another's load."""

    def relative(self):
        hit = self.rng.random(self.size) < 0.05
        return super().relative() + hit * self.rng.uniform(0.05, 0.30, size=self.size)


class HeavyTails(Gaussian):
    """Student's t of 3 degrees of freedom, with a standard deviation of 1 %."""

    def relative(self):
        return 0.01 * self.rng.standard_t(3, size=self.size) / np.sqrt(3)


class ExponentialTail(Gaussian):
    """A quarter of all measurements is slower, exponentially, by 3 % in the mean."""

    def relative(self):
        hit = self.rng.random(self.size) < 0.25
        return super().relative() + hit * self.rng.exponential(0.03, size=self.size)


class Autoregressive(Gaussian):
    """1 % noise of which half the variance lasts, 0.6 a night; both measurements share that."""

    share, last = 0.5, 0.6
    state = 0.0

    def begin(self, night):
        super().begin(night)
        new = self.rng.normal(scale=self.sigma * np.sqrt(self.share), size=self.size)
        self.state = self.last * self.state + np.sqrt(1 - self.last**2) * new if night else new

    def relative(self):
        return self.state + np.sqrt(1 - self.share) * super().relative()


class NightsShared(Autoregressive):
    """Both measurements of a night are the same, and a third of it lasts: AR(1)."""

    share, last = 1.0, 0.3


class NoiseTriples(Gaussian):
    """1 % noise that is 3 % from the middle on."""

    def relative(self):
        return super().relative() * (1 if self.night < NIGHTS // 2 else 3)


class NoisyWeeks(Gaussian):
    """1 % noise, 5 % in one week of four."""

    def relative(self):
        return super().relative() * (5 if self.night // 7 % 4 == 3 else 1)


class Weekdays(Gaussian):
    """1 % noise, and 1 % more on five days of seven."""

    def relative(self):
        return super().relative() + 0.01 * (self.night % 7 < 5)


class Drift(Gaussian):
    """1 % noise around a level that moves by 1 % in 60 nights."""

    total = 0.01

    def relative(self):
        return super().relative() + self.total * self.night / NIGHTS


class FastDrift(Drift):
    """Three times that."""

    total = 0.03


class Ticks(Gaussian):
    """1 % noise of 25 ticks, rounded to ticks."""

    unit = "ticks"

    def values(self):
        return np.round(25 * (1 + self.relative()))


class TrapsWithTicks(Gaussian):
    """38 traps, and a tick of the guest hypervisor's more or less."""

    unit = "exits"

    def values(self):
        return 38 + self.rng.normal(scale=0.7, size=self.size)


class Quantized(Gaussian):
    """A counter of 62.5 MHz under icount steps by 16 instructions; 0.1 % noise."""

    sigma = 0.001

    def values(self):
        return np.round(super().values() / 16) * 16


class TwoValues(Gaussian):
    """Two values, 1 % apart, by turns of a coin."""

    chance = 0.5

    def relative(self):
        return 0.01 * (self.rng.random(self.size) < self.chance)


class RareValue(TwoValues):
    """The second value is seen in a fifth of all measurements."""

    chance = 0.2


class NoisyValues(TwoValues):
    """Two values with 0.02 % of noise around each."""

    def relative(self):
        return super().relative() + self.rng.normal(scale=2e-4, size=self.size)


class NoisyRareValue(NoisyValues):
    """… of which one is seen in a fifth."""

    chance = 0.2


class Flipping(Gaussian):
    """The cells of the fallback playbook: the medians of six of ten come by turns with 417 more."""

    def values(self):
        levels = np.array([21, 1390, 2150, 5198, 43761, 50104, 104220, 168254, 202205, 446197.0])
        flips = (self.rng.random(self.size) < 0.5) & (np.arange(self.size) > 3)
        return levels[: self.size] + 417 * flips


# By kind: the share of series of 60 nights with a false call and the calls in a series-year that
# are allowed: what the product before had with its noise estimate made safe for two values
# (the larger of Qn and the range of the middle eight tenths), or less.
KINDS = {
    Gaussian: (0.005, 0.05),
    Uneven: (0.005, 0.05),
    Constant: (0, 0),
    Missing: (0.005, 0.05),
    HeavyTails: (0.05, 0.5),
    Weekdays: (0.01, 0.1),
    Outliers: (0.15, 1.4),
    ExponentialTail: (0.155, 1.7),
    Autoregressive: (0.15, 1.2),
    NightsShared: (0.15, 1.2),
    NoiseTriples: (0.59, 7.3),
    NoisyWeeks: (0.96, 22),
    Drift: (0.03, 0.2),
    FastDrift: (0.86, 6),
    Ticks: (0, 0),
    TrapsWithTicks: (0.005, 0.05),
    Quantized: (0.02, 0.2),
    TwoValues: (0.10, 1.1),
    RareValue: (0.24, 4.1),
    NoisyValues: (0.10, 1.1),
    NoisyRareValue: (0.24, 4.1),
    Flipping: (0.09, 1.4),
}


def watch(
    rng, kind=Gaussian, steps: Mapping[int, float] | None = None, *, nights=NIGHTS, series=SERIES
):
    """A monitor after `nights`, and how many cells were measured again. The first series changes
    by `steps`, {night: relative step}."""
    monitor, again, noise, factor = Monitor(), 0, kind(rng, series), np.ones(series)
    for night in range(nights):
        noise.begin(night)
        factor[0] *= 1 + (steps or {}).get(night, 0.0)
        first, second = (
            {
                (str(each),): value
                for each, value in enumerate((noise.values() * factor).tolist())
                if not np.isnan(value)
            }
            for _ in range(2)
        )
        monitor.night(
            night,
            {key: (noise.unit, value) for key, value in first.items()},
            Repetitions(monitor, second),
        )
        again += len(monitor.suspects)
    return monitor, again


def false_alarms(kind, hosts, seed, series=SERIES):
    """Of `hosts` hosts without any change: the share of series with a call, calls in a
    series-year, and the share of cells that were measured again."""
    rng, alarmed, calls, again = np.random.default_rng(seed), 0, 0, 0
    for _ in range(hosts):
        monitor, count = watch(rng, kind, series=series)
        alarmed += len({change.key for change in monitor.changes})
        calls += len(monitor.changes)
        again += count
    total = hosts * series
    return alarmed / total, calls / total * 365 / NIGHTS, again / total / NIGHTS


def found(size, hosts, seed, kind=Gaussian, when=30, nights=30):
    """After how many nights (1: the same) steps of `size`, up or down, were called; shape
    (hosts,), infinite where they were not within `nights`."""
    rng, delays = np.random.default_rng(seed), []
    for _ in range(hosts):
        step = size * rng.choice([-1, 1])
        monitor, _ = watch(rng, kind, {when: step}, nights=when + nights)
        delays.append(delay(monitor, when, within=nights) or np.inf)
    return np.array(delays)


def delay(monitor, night, *, within=12):
    """How many nights it took until the change of `night` was called (1: the same); None if it
    was not."""
    calls = [
        change.called - night + 1
        for change in monitor.changes
        if change.key == ("0",)
        and night <= change.called < night + within
        and abs(change.start - night) <= NEAR
    ]
    return calls[0] if calls else None


def false_calls(monitor, steps=()):
    """Changes that were called where none was planted."""
    return [
        change
        for change in monitor.changes
        if change.key != ("0",) or all(abs(change.start - night) > NEAR for night in steps)
    ]
