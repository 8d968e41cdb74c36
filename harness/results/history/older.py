# SPDX-License-Identifier: MIT
"""A database of an older schema, read as one of today's: reading never migrates."""

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from harness.model.measurement import COLUMNS, Metric, Statistic
from harness.results import schema1


def columns(
    measurements: sa.FromClause, there: Collection[str]
) -> Mapping[str, sa.ColumnElement[Any]]:
    """An expression for every column of results.csv and the sequence, where the table has those
    that are `there`: the others follow from these, as `schema1` says."""
    found: dict[str, sa.ColumnElement[Any]] = {
        "sequence": sa.null(),
        **{name: measurements.c[name] for name in (*COLUMNS, "sequence") if name in there},
    }
    if "level" in found:
        return found
    metric, reason = found["metric"], found["reason"]
    busy = metric == Metric.CPU.value
    return {
        **found,
        "level": sa.case((busy, reason), else_=""),
        "reason": sa.case((busy, ""), else_=reason),
        "statistic": sa.case(
            (metric.in_(schema1.MEDIANS), Statistic.MEDIAN.value), else_=Statistic.MEAN.value
        ),
        "share": sa.null(),
    }
