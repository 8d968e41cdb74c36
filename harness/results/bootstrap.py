# SPDX-License-Identifier: MIT
"""Confidence intervals of ratios of costs, by hierarchical bootstrap: boots are drawn first, then
the samples of each (Davison and Hinkley, Bootstrap Methods and their Application, 3.8).

A sample's error from boot to boot is far larger than within one, so it is boots that count.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.model.cell import CellRecord
from harness.model.measurement import Metric, Statistic

RESAMPLES = 2000
CONFIDENCE = 0.95
ENOUGH_BOOTS = 5  # of fewer, not even the least and the greatest cover CONFIDENCE
COLUMNS = ["host", "benchmark", "configuration", "ratio_low", "ratio_high", "boots"]


@dataclass(frozen=True)
class Distribution:
    """Samples as sorted `values`, and how many samples are up to each of them."""

    values: NDArray[np.float64]
    cumulative: NDArray[np.int64]

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> "Distribution":
        """Of {value: how often}."""
        values, numbers = np.array(list(counts), float), np.array(list(counts.values()), int)
        ordered = values.argsort()
        return cls(values[ordered], numbers[ordered].cumsum())

    def medians(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """The (lower) medians of `size` resamples, each as large as the samples are, drawn with
        replacement.

        The k-th of n numbers that are uniform in [0, 1] has the distribution Beta(k, n + 1 - k);
        the sample at that quantile is what the k-th of a resample is.
        """
        number = int(self.cumulative[-1])
        middle = (number + 1) // 2
        quantiles = rng.beta(middle, number + 1 - middle, size)
        return self.values[np.searchsorted(self.cumulative, quantiles * number)]


@dataclass(frozen=True)
class Times:
    """What the operations of a cell took: samples of `batch` operations each, and of as many that
    do nothing, in ticks of `timer`."""

    timer: str
    batch: int
    samples: Distribution
    empty: Distribution | None = None

    @classmethod
    def of(cls, sample: Mapping[str, Any]) -> "Times | None":
        """Of what a cell keeps; None of one that does not keep all samples."""
        if "counts" not in sample:
            return None
        empty = Distribution.of(sample["empty"]["counts"]) if "empty" in sample else None
        return cls(
            sample["timer"], sample.get("batch", 1), Distribution.of(sample["counts"]), empty
        )

    def costs(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """The cost of an operation by each of `size` resamples."""
        own = self.empty.medians(rng, size) if self.empty else 0.0
        return (self.samples.medians(rng, size) - own) / self.batch


def ratio(
    times: Mapping[int, Times], base: Mapping[int, Times], seed: int
) -> tuple[float, float] | None:
    """The interval of the median cost of `times` to that of `base`, both by boot; None if no boot
    has both, in ticks of one timer, or if `base` costs nothing."""
    both = sorted(times.keys() & base.keys())
    if len({each[boot].timer for each in (times, base) for boot in both}) != 1:
        return None
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(both), size=(len(both), RESAMPLES))
    costs = np.empty((2, *drawn.shape))
    for place, boot in enumerate(both):
        here = drawn == place
        for row, each in zip(costs, (times, base), strict=True):
            row[here] = each[boot].costs(rng, int(here.sum()))
    above, below = np.median(costs, axis=1)
    if not (below > 0).all():
        return None
    low, high = np.quantile(above / below, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def ratio_of_medians(
    values: Sequence[float], base: Sequence[float], seed: int
) -> tuple[float, float] | None:
    """The interval of the median of `values` to that of `base`, each a value a boot; None if there
    are none, or if `base` may be 0."""
    if not values or not base:
        return None
    rng = np.random.default_rng(seed)
    above, below = (
        np.median(rng.choice(np.array(each, float), (RESAMPLES, len(each))), axis=1)
        for each in (values, base)
    )
    if not (below > 0).all():
        return None
    low, high = np.quantile(above / below, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def intervals(records: Iterable[CellRecord], *, boots: bool) -> pd.DataFrame:
    """A row for each host, benchmark and configuration but vm whose costs are medians: ratio_low
    and ratio_high, between which the ratio to the cost in vm is with a confidence of 95 %, and of
    how many boots that is. If repetitions were no `boots` of their own, it is of one alone.

    What is exact has none. The same records give the same intervals.
    """
    found: dict[tuple[str, str, str], dict[int, Times]] = {}
    for record in records:
        name = record.name
        if not any(
            row.metric == Metric.COST and row.statistic == Statistic.MEDIAN
            for row in record.measurements
        ):
            continue
        for sample in record.samples:
            if times := Times.of(sample):
                key = (name.host, name.benchmark, name.configuration)
                found.setdefault(key, {})[name.repetition] = times
    rows = []
    for key, mine in found.items():
        base = found.get((*key[:2], "vm"), {})
        seed = zlib.crc32("/".join(key).encode())
        if key[2] != "vm" and (interval := ratio(mine, base, seed)):
            number = len(mine.keys() & base.keys()) if boots else 1
            rows.append((*key, *interval, number))
    return pd.DataFrame(rows, columns=COLUMNS)
