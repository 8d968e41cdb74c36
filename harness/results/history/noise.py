# SPDX-License-Identifier: MIT
"""By how much a host's figures differ from run to run although nothing has changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import hypot, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

_GAUSSIAN = 0.6147  # 1 / (sqrt(2) * 1.1503): makes it the standard deviation of normal data
_EFFICIENCY = 0.9  # … and tells as much as this share of normal values would
_FLOOR = 2e-4  # no series is trusted to repeat better than this, relatively
_RESOLUTION = {"exits": 0.005, "instructions": 0.5, "cycles": 0.5, "ticks": 0.5}


@dataclass(frozen=True)
class Noise:
    """`sigma`, relative (0.01 is 1 %), known as well as `freedom` normal values tell it."""

    sigma: float
    freedom: float

    def threshold(self, error: float) -> float:
        """How many sigmas chance exceeds, up or down, with the probability `error`."""
        return float(-special.stdtrit(self.freedom, error / 2))


def scale(regimes: Sequence[ArrayLike]) -> float:
    """Scale of values around their regime's own level: the third quartile of all distances within
    a regime, made a standard deviation.

    It generalizes Qn (Rousseeuw and Croux 1993), which takes the first quartile. Qn is 0 where a
    quarter of the distances are, as in a series of two values that come by turns. The third
    quartile sees both values unless one of them is rarer than one in seven, tells more of
    normal data (Qn 82 %), and still takes no harm from outliers among an eighth of the values.
    """
    parts = [np.asarray(regime, float) for regime in regimes]
    distances = np.concatenate(
        [np.abs(np.subtract(*part[_pairs(len(part))])) for part in parts if len(part) > 1]
        or [np.zeros(1)]
    )
    rank = min(3 * len(distances) // 4, len(distances) - 1)
    return _GAUSSIAN * float(np.partition(distances, rank)[rank])


@cache
def _pairs(size: int) -> NDArray[np.intp]:
    """The indices of all pairs of `size` values; shape (2, pairs)."""
    return np.array(np.triu_indices(size, 1))


def own(regimes: Sequence[ArrayLike]) -> Noise:
    """The noise of one series, by itself."""
    size = sum(np.size(regime) for regime in regimes)
    return Noise(scale(regimes), max(1.0, _EFFICIENCY * (size - len(regimes))))


def floor(unit: str, level: float) -> float:
    """The least relative noise that a series of `unit` around `level` is given.

    A counter's step can't be told from rounding, so half of one is noise. It keeps a series
    that never varies, as under icount, from being infinitely sure.
    """
    return max(_FLOOR, _RESOLUTION.get(unit, 0.0) / hypot(1.0, level))


def pooled(series: Sequence[Noise]) -> Noise:
    """What is known of any series from its host's others: the prior of moderated variances
    (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3(1):3, section 6.2).

    Its freedom is high where all series are alike, and nearly 0 where each has a noise of its own.
    """
    if len(series) < 2:
        return Noise(series[0].sigma if series else _FLOOR, 0.0)
    half = np.array([noise.freedom for noise in series]) / 2
    logs = np.log(np.square([max(noise.sigma, _FLOOR) for noise in series]))
    logs -= special.digamma(half) - np.log(half)
    excess = float(logs.var(ddof=1) - special.polygamma(1, half).mean())
    most = 2 * float(half.sum() - half.max())  # no more than the others can tell
    prior = min(most, 2 * _trigamma_inverse(excess)) if excess > 0 else most
    log_sigma = logs.mean() + special.digamma(prior / 2) - np.log(prior / 2)
    return Noise(float(np.exp(log_sigma / 2)), prior)


def moderated(noise: Noise, prior: Noise, least: float) -> Noise:
    """`noise` with the host's `prior`, at least `least` (which is known without doubt)."""
    freedom = noise.freedom + prior.freedom
    variance = (noise.freedom * noise.sigma**2 + prior.freedom * prior.sigma**2) / freedom
    sigma = sqrt(variance)
    return Noise(sigma, freedom) if sigma > least else Noise(least, np.inf)


def _trigamma_inverse(value: float) -> float:
    """x with trigamma(x) = value, by Newton's method as in Smyth's appendix."""
    x = 0.5 + 1.0 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1.0 - trigamma / value) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
