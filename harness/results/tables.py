# SPDX-License-Identifier: MIT
"""The frames from which reports and comparisons are made."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.model.measurement import CELL, USUAL, Statistic
from harness.results import reference

_KEYS = ["host", "benchmark", "configuration"]


def summary(results: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """A row per host, benchmark and configuration, each in the order of its first appearance.

    Columns cost, stdev (of one operation), unit, statistic (of the cost), traps, ratio (cost to
    that of the same host's vm, if this is not 0 and in the same unit) and the paper's paper_cost
    (cycles), paper_ratio, paper_traps. Repetitions are joined by their median. `exact` says
    whether traps were counted operation by operation, `share` which part of the operations took
    exactly so many, and `cost_share` which part had exactly that cost, in the worst repetition.
    Unknown cells are NaN.
    """
    totals = _ordered(results[results["reason"] == ""])
    order = totals[_KEYS].drop_duplicates()
    grouped = totals.groupby([*_KEYS, "metric"], sort=False)
    value = grouped["value"].median().unstack("metric")
    table = value.reindex(columns=["cost", "traps"])
    cost_rows = totals[totals["metric"] == "cost"].groupby(_KEYS, sort=False)
    table["stdev"] = cost_rows["stdev"].median()
    table[["unit", "statistic"]] = cost_rows[["unit", "statistic"]].first()
    table["cost_share"] = cost_rows["share"].min()
    trap_rows = totals[totals["metric"] == "traps"]
    table["exact"] = (
        (trap_rows["statistic"] == "mode")
        .groupby([trap_rows[key] for key in _KEYS], sort=False)
        .all()
    )
    table["exact"] = table["exact"].eq(True)
    table["share"] = trap_rows.groupby(_KEYS, sort=False)["share"].min()
    if _has(table, "vm"):
        vm = table.xs("vm", level="configuration").reindex(_keys(table, "host", "benchmark"))
        vm.index = table.index
        base = vm["cost"].where((vm["cost"] > 0) & (vm["unit"] == table["unit"]))
        table["ratio"] = table["cost"] / base
    else:
        table["ratio"] = float("nan")
    cells = _keys(table, "benchmark", "configuration")
    for metric in ("cost", "ratio", "traps"):
        known = reference.lookup(paper, metric)
        table[f"paper_{metric}"] = known.reindex(cells).to_numpy()
    return table.loc[pd.MultiIndex.from_frame(order)].reset_index()


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """The cells of a host side by side; hosts that run at once end theirs by turns."""
    ranks = {key: {name: rank for rank, name in enumerate(rows[key].unique())} for key in _KEYS}
    return rows.sort_values(
        _KEYS, key=lambda column: column.map(ranks[str(column.name)]), kind="stable"
    )


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries by column."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _keys(table: pd.DataFrame, *names: str) -> pd.MultiIndex:
    """The index of `table`, reduced to the levels `names`."""
    return pd.MultiIndex.from_frame(table.index.to_frame()[list(names)])


def _has(table: pd.DataFrame, configuration: str) -> bool:
    return configuration in table.index.get_level_values("configuration")


def reasons(results: pd.DataFrame) -> pd.DataFrame:
    """Traps per operation: a row per reason (most first), a column per cell."""
    rows = _ordered(results[(results["metric"] == "traps") & (results["reason"] != "")])
    if rows.empty:  # a pivot table of nothing forgets the names of its columns
        return pd.DataFrame(columns=pd.MultiIndex.from_arrays([[], [], []], names=_KEYS))
    table = rows.pivot_table(
        index="reason",
        columns=_KEYS,
        values="value",
        aggfunc="median",
        fill_value=0.0,
        sort=False,
    )
    return table.loc[table.sum(axis=1).sort_values(ascending=False).index]


def by_redirection(
    reasons: pd.DataFrame, redirections: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """`reasons` summed up by what NEVE makes of them, which `redirections` says for each
    configuration; what is no access of a register or an instruction of EL2 is "exit of a
    guest"."""
    summed = {
        cell: reasons[cell]
        .groupby(
            [redirection(redirections, cell[2], reason) for reason in reasons.index], sort=False
        )
        .sum()
        for cell in reasons.columns.to_list()
    }
    table = pd.DataFrame(summed).fillna(0.0)
    return table.set_axis(reasons.columns, axis=1)


def redirection(
    redirections: Mapping[str, Mapping[str, str]], configuration: str, reason: object
) -> str:
    """What NEVE makes of an exit for `reason` in `configuration`."""
    return redirections.get(configuration, {}).get(str(reason), "exit of a guest")


def comparison(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """A row per cell, metric, level and statistic of either run: columns before, after, `change`
    (after / before - 1) and `difference` (after - before); NaN where a run does not have it, and
    for a change from 0. `exact` says whether any difference is one for certain, `unusual` whether
    the figures ought to be exact, but do not stand for their operations and repetitions."""
    keys = [*CELL, "metric", "level", "unit", "statistic"]
    groups = [frame[frame["reason"] == ""].groupby(keys, sort=False) for frame in (before, after)]
    medians = [group["value"].median() for group in groups]
    usual = [(group["share"].min() >= USUAL) & (group["value"].nunique() == 1) for group in groups]
    joined = pd.concat(medians, axis=1, keys=["before", "after"], sort=False)
    both = pd.concat(usual, axis=1, keys=["before", "after"], sort=False).reindex(joined.index)
    joined["exact"] = both.eq(True).all(axis=1)
    joined = joined.reset_index()
    modes = joined["statistic"] == Statistic.MODE
    joined["unusual"] = modes & ~joined["exact"]
    joined["exact"] &= modes
    base = joined["before"]
    joined["change"] = (joined["after"] / base.where(base != 0) - 1).mask(
        base.eq(0) & joined["after"].eq(0), 0.0
    )
    joined["difference"] = joined["after"] - base
    return joined
