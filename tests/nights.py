# SPDX-License-Identifier: MIT
"""Synthetic nights of a host, watched as `neve run --check` watches real ones."""

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


def gaussian(sigma=0.01):
    """The noise of one night, relative; shape (series,)."""
    return lambda rng, size, night: rng.normal(scale=sigma, size=size)


def outliers(rng, size, night):
    """One cell in twenty is off by up to 20 %, mostly slower, as by another's load."""
    hit = rng.random(size) < 0.05
    return rng.normal(scale=0.01, size=size) + hit * rng.uniform(-0.05, 0.20, size=size)


def heavy_tails(rng, size, night):
    """Student's t of 3 degrees of freedom, with a standard deviation of 1 %."""
    return 0.01 * rng.standard_t(3, size=size) / np.sqrt(3)


def uneven():
    """A host whose series have noises of their own, from 0.1 to 3 %, in the same order for both
    measurements of a night."""
    sigmas = np.geomspace(0.001, 0.03, SERIES)
    return lambda rng, size, night: rng.normal(size=size) * sigmas


def drift(total):
    """1 % noise around a level that moves by `total` in 60 nights."""
    return lambda rng, size, night: rng.normal(scale=0.01, size=size) + total * night / NIGHTS


def weekdays(rng, size, night):
    """1 % noise, and 1 % more on five days of seven."""
    return rng.normal(scale=0.01, size=size) + 0.01 * (night % 7 < 5)


def wandering():
    """1 % noise of which half the variance lasts: an autoregressive process, 0.7 a night, that
    both measurements of a night share."""
    state = {}

    def one(rng, size, night):
        if state.get("night") != night:
            last = state.get("value", np.zeros(size)) if night else np.zeros(size)
            step = rng.normal(scale=0.01 * np.sqrt(0.5 * (1 - 0.49)), size=size)
            state.update(night=night, value=0.7 * last + step)
        return state["value"] + rng.normal(scale=0.01 * np.sqrt(0.5), size=size)

    return one


def watch(rng, noise, steps: Mapping[int, float] | None = None, *, nights=NIGHTS, series=SERIES):
    """A monitor after `nights`, and how many cells were measured again. The first series changes
    by `steps`, {night: relative step}; every level lies between 1,000 and 200,000."""
    monitor, again = Monitor(), 0
    levels = np.exp(rng.uniform(np.log(1e3), np.log(2e5), size=series))
    for night in range(nights):
        levels[0] *= 1 + (steps or {}).get(night, 0.0)
        first, second = (levels * (1 + noise(rng, series, night)) for _ in range(2))
        monitor.night(
            night, {(str(each),): ("instructions", first[each]) for each in range(series)},
            Repetitions(monitor, {(str(each),): second[each] for each in range(series)}),
        )
        again += len(monitor.suspects)
    return monitor, again


def delay(monitor, night, *, within=12):
    """How many nights it took until the change of `night` was called (1: the same); None if it
    was not."""
    found = [change.called - night + 1 for change in monitor.changes
             if change.key == ("0",) and night <= change.called < night + within
             and abs(change.start - night) <= NEAR]
    return found[0] if found else None


def false_calls(monitor, steps=()):
    """Changes that were called where none was planted."""
    return [change for change in monitor.changes
            if change.key != ("0",) or all(abs(change.start - night) > NEAR for night in steps)]
