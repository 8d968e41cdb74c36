# SPDX-License-Identifier: MIT
"""What virtualization costs applications: the paper's figure, each normalized to native."""

from collections.abc import Iterable, Mapping
from math import nan

import numpy as np
import pandas as pd

from harness.model.cell import CellRecord
from harness.model.legend import ApplicationLegend
from harness.model.measurement import Metric

KEYS = ["host", "benchmark", "configuration"]
_CONFIDENCE = 0.95
_Key = tuple[str, str, str]


def overheads(
    cells: Iterable[CellRecord],
    applications: Mapping[str, ApplicationLegend],
    *,
    boots: bool = False,
) -> pd.DataFrame:
    """A row per host, application and configuration, in the order of the run.

    Columns value (mean of all runs) and error (half the width of its 95 % confidence interval,
    Student's t), both in `unit`; runs (count); overhead (1 is native's cost, whichever direction
    is better), overhead_low and overhead_high, between which it is by both errors; traps (exits to
    L0 per second); cpu (text: how many CPUs each level kept busy). Unknown cells are NaN.

    With `boots` each repetition was in a boot of its own: an error is that of the boots' means
    then, as runs of one boot have more in common than runs of two.
    """
    figures: dict[_Key, list[list[float]]] = {}
    traps: dict[_Key, list[float]] = {}
    busy: dict[_Key, dict[str, list[float]]] = {}
    for cell in cells:
        if cell.name.benchmark not in applications:
            continue
        key = (cell.name.host, cell.name.benchmark, cell.name.configuration)
        for sample in cell.samples:
            figures.setdefault(key, []).append(sample["figures"])
        for row in cell.measurements:
            if row.metric == Metric.TRAPS and not row.reason:
                traps.setdefault(key, []).append(row.value)
            elif row.metric == Metric.CPU:
                busy.setdefault(key, {}).setdefault(row.level, []).append(row.value)
    rows = []
    means = {key: _mean(each, boots=boots) for key, each in figures.items()}
    for key, (mean, error) in means.items():
        rows.append(
            {
                **dict(zip(KEYS, key, strict=True)),
                "value": mean,
                "error": error,
                "unit": applications[key[1]].unit,
                "runs": sum(map(len, figures[key])),
                **_overhead(applications[key[1]], means.get((*key[:2], "native")), means[key]),
                "traps": float(np.mean(traps[key])) if key in traps else nan,
                "cpu": ", ".join(
                    f"{level} {np.mean(used):.1f}" for level, used in busy.get(key, {}).items()
                ),
            }
        )
    columns = [
        *KEYS,
        "value",
        "error",
        "unit",
        "runs",
        "overhead",
        "overhead_low",
        "overhead_high",
        "traps",
        "cpu",
    ]
    return pd.DataFrame(rows, columns=columns)


def geometric_mean(values: "pd.Series[float]") -> float:
    """As scipy.stats.gmean, which takes half a second to load."""
    return float(np.exp(np.log(values).mean()))


def _mean(repetitions: list[list[float]], *, boots: bool) -> tuple[float, float]:
    """Mean, and half the width of its confidence interval."""
    runs = [run for runs in repetitions for run in runs]
    values = [float(np.mean(runs)) for runs in repetitions] if boots else runs
    if len(values) < 2:
        return float(np.mean(runs)), nan
    from scipy import special

    quantile = float(special.stdtrit(len(values) - 1, (1 + _CONFIDENCE) / 2))
    return float(np.mean(runs)), quantile * float(np.std(values, ddof=1)) / len(values) ** 0.5


def _overhead(
    application: ApplicationLegend, native: tuple[float, float] | None, own: tuple[float, float]
) -> dict[str, float]:
    names = ("overhead", "overhead_low", "overhead_high")
    if native is None:
        return dict.fromkeys(names, nan)
    (base, base_error), (mean, error) = native, own
    overhead = application.overhead(base, mean)
    if own is native:
        return dict(zip(names, (1.0, nan, nan), strict=True))
    # On a logarithmic scale: a ratio is not below 0, however much its parts scatter.
    factor = float(np.exp(np.hypot(base_error / base, error / mean)))
    return dict(zip(names, (overhead, overhead / factor, overhead * factor), strict=True))
