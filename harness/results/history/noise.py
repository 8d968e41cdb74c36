# SPDX-License-Identifier: MIT
"""How much a host's figures differ from run to run although nothing has changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, hypot

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy.spatial.distance import pdist

_GAUSSIAN = 2.2219    # makes Qn the standard deviation of normal data
_EFFICIENCY = 0.6    # … and tells as much as this share of normal values would (15 to 60 nights)
_FLOOR = 2e-4         # no series is trusted to repeat better than this, relatively
_RESOLUTION = {"exits": 0.005, "instructions": 0.5, "cycles": 0.5, "ticks": 0.5}


@dataclass(frozen=True)
class Noise:
    """`sigma`, relative (0.01 is 1 %), known as well as `freedom` normal values tell it."""

    sigma: float
    freedom: float

    def threshold(self, error: float) -> float:
        """How many sigmas chance exceeds, up or down, with the probability `error`."""
        return float(-special.stdtrit(self.freedom, error / 2))


def qn(regimes: Sequence[ArrayLike]) -> float:
    """Scale of values around their regime's own level: Qn, the first quartile of all distances
    within a regime (Rousseeuw and Croux 1993, with their correction for few values).

    Like the MAD, whose successor it is, it takes no harm from outliers among up to half of the
    values; but it needs no centre, and is worth 82 % of the data in the long run where the MAD is
    worth 37 %, so that nights tell twice as much. 0.0 where a quarter of the distances are 0.
    """
    sizes = [np.size(regime) for regime in regimes]
    size = sum(sizes)
    parts = [pdist(np.asarray(regime, float)[:, None]) for regime in regimes if np.size(regime) > 1]
    if not parts:
        return 0.0
    distances: NDArray[np.float64] = np.concatenate(parts)
    rank = sum(comb(each // 2 + 1, 2) for each in sizes if each > 1) - 1
    quartile = float(np.partition(distances, rank)[rank])
    return _GAUSSIAN * quartile * size / (size + (1.4 if size % 2 else 3.8))


def own(regimes: Sequence[ArrayLike]) -> Noise:
    """The noise of one series, by itself."""
    size = sum(np.size(regime) for regime in regimes)
    return Noise(qn(regimes), max(1.0, _EFFICIENCY * (size - len(regimes))))


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
    variance = (noise.freedom * noise.sigma ** 2 + prior.freedom * prior.sigma ** 2) / freedom
    sigma = float(np.sqrt(variance))
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
