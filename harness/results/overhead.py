# SPDX-License-Identifier: MIT
"""What virtualization costs applications: the paper's figure, each normalized to native."""

from collections.abc import Iterable
from math import nan

import numpy as np
import pandas as pd
from scipy import special

from harness.model.application import applications
from harness.model.cell import CellRecord

KEYS = ["host", "benchmark", "configuration"]
_CONFIDENCE = 0.95
_Key = tuple[str, str, str]


def overheads(cells: Iterable[CellRecord]) -> pd.DataFrame:
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
        host, configuration, _, benchmark = cell.id.split("/")
        if benchmark not in applications():
            continue
        key = (host, benchmark, configuration)
        for sample in cell.samples:
            figures.setdefault(key, []).extend(sample["figures"])
        for row in cell.measurements:
            if row.metric == "traps" and not row.reason:
                traps.setdefault(key, []).append(row.value)
            elif row.metric == "cpu":
                busy.setdefault(key, {}).setdefault(row.reason, []).append(row.value)
    rows = []
    for key, values in figures.items():
        mean, error = _mean(values)
        rows.append(
            {
                **dict(zip(KEYS, key, strict=True)),
                "value": mean,
                "error": error,
                "unit": applications()[key[1]].unit,
                "runs": len(values),
                **_overhead(key[1], figures.get((key[0], key[1], "native")), values),
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


def _overhead(benchmark: str, native: list[float] | None, values: list[float]) -> dict[str, float]:
    if not native:
        return {"overhead": nan, "overhead_error": nan}
    (base, base_error), (mean, error) = _mean(native), _mean(values)
    overhead = applications()[benchmark].overhead(base, mean)
    if values is native:
        return {"overhead": 1.0, "overhead_error": error / mean}
    relative = float(np.hypot(base_error / base, error / mean))
    return {"overhead": overhead, "overhead_error": overhead * relative}
