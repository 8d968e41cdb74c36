# SPDX-License-Identifier: MIT
"""What virtualization costs applications: the paper's figure, each normalized to native."""

from collections.abc import Iterable, Mapping
from math import nan

import numpy as np
import pandas as pd
from scipy import special

from harness.model.cell import CellRecord
from harness.model.legend import ApplicationLegend
from harness.model.measurement import Metric

KEYS = ["host", "benchmark", "configuration"]
_CONFIDENCE = 0.95
_Key = tuple[str, str, str]


def overheads(
    cells: Iterable[CellRecord], applications: Mapping[str, ApplicationLegend]
) -> pd.DataFrame:
    """A row per host, application and configuration, in the order of the run.

    Columns value (mean of all runs) and error (half the width of its 95 % confidence interval,
    Student's t), both in `unit`; runs (count); overhead (1 is native's cost, whichever direction
    is better) and overhead_error, the two errors propagated; traps (exits to L0 per second); cpu
    (text: how many CPUs each level kept busy). Unknown cells are NaN.
    """
    figures: dict[_Key, list[float]] = {}
    traps: dict[_Key, list[float]] = {}
    busy: dict[_Key, dict[str, list[float]]] = {}
    for cell in cells:
        if cell.name.benchmark not in applications:
            continue
        key = (cell.name.host, cell.name.benchmark, cell.name.configuration)
        for sample in cell.samples:
            figures.setdefault(key, []).extend(sample["figures"])
        for row in cell.measurements:
            if row.metric == Metric.TRAPS and not row.reason:
                traps.setdefault(key, []).append(row.value)
            elif row.metric == Metric.CPU:
                busy.setdefault(key, {}).setdefault(row.level, []).append(row.value)
    rows = []
    for key, values in figures.items():
        mean, error = _mean(values)
        rows.append(
            {
                **dict(zip(KEYS, key, strict=True)),
                "value": mean,
                "error": error,
                "unit": applications[key[1]].unit,
                "runs": len(values),
                **_overhead(applications[key[1]], figures.get((key[0], key[1], "native")), values),
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
        "overhead_error",
        "traps",
        "cpu",
    ]
    return pd.DataFrame(rows, columns=columns)


def geometric_mean(values: "pd.Series[float]") -> float:
    """As scipy.stats.gmean, which takes half a second to load."""
    return float(np.exp(np.log(values).mean()))


def _mean(values: list[float]) -> tuple[float, float]:
    """Mean, and half the width of its confidence interval."""
    if len(values) < 2:
        return float(np.mean(values)), nan
    quantile = float(special.stdtrit(len(values) - 1, (1 + _CONFIDENCE) / 2))
    return float(np.mean(values)), quantile * float(np.std(values, ddof=1)) / len(values) ** 0.5


def _overhead(
    application: ApplicationLegend, native: list[float] | None, values: list[float]
) -> dict[str, float]:
    if not native:
        return {"overhead": nan, "overhead_error": nan}
    (base, base_error), (mean, error) = _mean(native), _mean(values)
    overhead = application.overhead(base, mean)
    if values is native:
        return {"overhead": 1.0, "overhead_error": error / mean}
    relative = float(np.hypot(base_error / base, error / mean))
    return {"overhead": overhead, "overhead_error": overhead * relative}
