# SPDX-License-Identifier: MIT
"""What the newest values of a series say: whether its level has changed, and where.

The tests are distances of means in standard deviations, over every place where a change could
have begun: a generalized likelihood ratio in a window (Lai 1995, J. R. Stat. Soc. B 57:613).
Outliers, tails, two values that come by turns and counters with steps are no normal noise. So
a distance is not enough: what the series has done before must not explain it.
"""

from dataclasses import dataclass
from functools import cache
from math import comb, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

Values = NDArray[np.float64]

_CHANCE = 1e-3  # of as many old values as far out as the new ones, were they all alike
_DOUBT = 0.3  # standard errors by which a correlation is taken to be less than it seems
_MOST = 0.9  # correlation that is believed
_EXACT = 400  # pairs of values above which the normal approximation is good enough


@dataclass(frozen=True)
class Scan:
    """A window of a series, oldest value first, in units that the noise `sigma` has. Values are
    clipped `reach` sigmas from their median (bounded influence, as in Fearnhead and Rigaill
    2019). `distances[k - 1]` is that of the newest k values from those before them."""

    raw: Values
    clipped: Values
    sigma: float
    distances: Values

    @classmethod
    def of(cls, raw: Values, sigma: float, reach: float) -> "Scan":
        size = len(raw)
        middle = np.partition(raw, size // 2)[size // 2]
        clipped = np.minimum(np.maximum(raw, middle - reach * sigma), middle + reach * sigma)
        sums = np.cumsum(clipped[::-1])
        newest, older, weight = _weights(size)
        means = sums[:-1] / newest - (sums[-1] - sums[:-1]) / older
        return cls(raw, clipped, sigma, means * (weight / sigma))

    def farthest(self, within: int | None = None) -> float:
        """The greatest distance, of no more than `within` newest values."""
        return float(np.abs(self.distances[:within]).max())

    def convincing(self, newest: int, threshold: float, *, confirmed: bool) -> bool:
        """Whether the last `newest` values are another level for certain.

        Where the last night is not `confirmed` by a second measurement, the farthest of them
        counts no more than the next one: one measurement alone says nothing.
        """
        split, sign = len(self.raw) - newest, float(np.sign(self.distances[newest - 1]))
        old, new = sign * self.clipped[:split], sign * self.clipped[split:]
        if not confirmed:
            new = np.minimum(new, np.partition(new, -2)[-2])
        scale = max(self.sigma, _step(self.raw[:split]) / 2)
        distance = (new.mean() - old.mean()) * sqrt(newest * split / len(self.raw)) / scale
        return bool(
            distance > threshold * _lasting(old, newest, self.sigma)
            and _apart(sign * self.raw[:split], sign * self.raw[split:])
        )


@cache
def _weights(size: int) -> tuple[Values, Values, Values]:
    """For each number of newest values: that, the number of older ones, and what the difference
    of their means is worth, as a share of one standard deviation's."""
    newest = np.arange(1.0, size)
    older = size - newest
    return newest, older, np.sqrt(newest * older / size)


def _step(old: Values) -> float:
    """The smallest difference of two values: a counter that steps by 16 shows it, and half of a
    step can't be told from rounding."""
    differences = np.diff(np.sort(old))
    real = differences[differences > 1e-9]
    return float(real.min()) if len(real) else 0.0


def _lasting(old: Values, count: int, sigma: float) -> float:
    """By how much the mean of `count` successive values varies more than that of independent
    ones: what lasts from night to night is not averaged out. 1.0 where nothing does.

    The factor is that of an autoregressive process of first order (Bayley and Hammersley 1946);
    its correlation is estimated from the old values, with Marriott's and Pope's correction (1954)
    for their being few.
    """
    size = len(old)
    rest = old - old.mean()
    variance = max(float(rest @ rest) / size, sigma**2)
    found = float(rest[1:] @ rest[:-1]) / variance / size
    correlation = found + (1.0 + 3.0 * max(found, 0.0)) / size - _DOUBT / sqrt(size)
    if correlation <= 0:
        return 1.0
    lags = np.arange(1, count)
    powers = min(correlation, _MOST) ** lags
    return sqrt(1.0 + 2.0 * float(((1 - lags / count) * powers).sum()))


def _apart(old: Values, new: Values) -> bool:
    """Whether the new values lie above the old ones by their ranks: Mann and Whitney's U, which
    supposes no distribution. A tie counts against it: a value that was there before is not new.
    Where all new ones exceed all old ones, that is as much as ranks can say."""
    ranks = np.searchsorted(np.sort(old), new, "left")
    lost = int((len(old) - ranks).sum())
    return lost == 0 or _chance(len(old), len(new), lost) <= _CHANCE


def _chance(old: int, new: int, lost: int) -> float:
    """Probability that `lost` or fewer of all pairs have the old value above the new one, where
    both come from one distribution."""
    pairs = old * new
    if pairs > _EXACT:
        deviation = sqrt(pairs * (old + new + 1) / 12)
        return float(special.ndtr((lost + 0.5 - pairs / 2) / deviation))
    return sum(_orders(old, new)[: lost + 1]) / comb(old + new, new)


@cache
def _orders(old: int, new: int) -> tuple[int, ...]:
    """In how many orders 0, 1, … pairs have the old value above the new one: the coefficients of
    a Gaussian binomial, factor by factor."""
    counts = [1] + [0] * (old * new)
    for factor in range(1, new + 1):
        for power in range(old * new, old + factor - 1, -1):
            counts[power] -= counts[power - old - factor]
        for power in range(factor, old * new + 1):
            counts[power] += counts[power - factor]
    return tuple(counts)
