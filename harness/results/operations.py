# SPDX-License-Identifier: MIT
"""What a report says about micro-benchmarks."""

from itertools import product
from typing import Any

import pandas as pd

from harness.model.legend import Legend
from harness.model.measurement import USUAL, Statistic
from harness.model.track import e2h, nested, nv2
from harness.results import bootstrap, tables
from harness.results.asides import beside_paper
from harness.results.content import Content, number
from harness.results.fidelity import Fidelity
from harness.results.measured import Measured

_SMALL = 0.05  # exits per operation below which a reason is not listed by itself
_VISIBLE = 0.005  # … and below which a number would be 0.00
_COMPARABILITY = {
    "instructions": (
        "Costs here are instructions of an emulated processor (QEMU TCG with icount), the paper's "
        "are cycles of a real one: they can't be compared. The cost of a virtual IPI adds up what "
        "both of its CPUs execute, which a real machine does at the same time."
    ),
    "ticks": "Costs here are ticks of the generic timer on this host.",
    "cycles": "Costs here are cycles, like the paper's, but of another processor.",
}
_OUTLIERS = (
    "No outliers are discarded. A cost is the {of_operations} of a cell's operations, and with "
    "several repetitions their median; {turns}, so that drift on a host affects all alike."
)
_TURNS = {
    False: "repetitions take turns with those of the other configurations",
    True: "each repetition is a boot of its own, with all configurations",
}


def content(measured: Measured, table: pd.DataFrame) -> Content:
    from harness.results import chart

    where, exact = tables.reasons(measured.rows), bool(table["exact"].any())
    redirected = {
        name: measured.legend.redirected(e2h=e2h(name), nv2=nv2(name))
        for name in table["configuration"].unique()
    }
    return Content(
        "report",
        {
            "title": f"Nested virtualization: {measured.folder.id}",
            "headline": headline(table),
            "units": _units(table),
            "statistic": _statistic(table),
            "interval": _interval(table),
            "batches": "empty" in measured.samples,
            "exact": exact,
            "unusual": bool((table[["share", "cost_share"]] < USUAL).any(axis=None)),
            "usual": f"{USUAL:.0%}",
            "asides": beside_paper(table, where, measured.legend.asides),
            "fidelity": Fidelity.of(measured.sequences, measured.legend.emulated_by),
            "comparability": _comparability(table, measured.legend.compared),
            "outliers": _OUTLIERS.format(
                of_operations=_statistic(table), turns=_TURNS[measured.boots]
            ),
        },
        readable(table),
        readable_reasons(where, measured.legend),
        chart.operations(
            table,
            tables.by_redirection(
                where,
                {
                    name: dict.fromkeys(kinds, "trap") if _redirects(name) else kinds
                    for name, kinds in redirected.items()
                },
            ),
        ),
    )


def _redirects(configuration: str) -> bool:
    """Whether what is seen to trap is what NEVE leaves."""
    return configuration in ("nested-neve", "nested-neve-vhe") or nv2(configuration)


def _hosts_by_unit(table: pd.DataFrame) -> dict[str, list[str]]:
    known = table.dropna(subset=["unit"])
    return {
        str(unit): list(rows["host"].unique()) for unit, rows in known.groupby("unit", sort=False)
    }


def _units(table: pd.DataFrame) -> str:
    """The unit of the costs, or each with its hosts."""
    hosts = _hosts_by_unit(table)
    if len(hosts) < 2:
        return "".join(hosts)
    return ", ".join(f"{unit} on {' and '.join(names)}" for unit, names in hosts.items())


def _statistic(table: pd.DataFrame) -> str:
    """What a cost is of those of all operations."""
    known = {Statistic.MODE: "commonest value", Statistic.MEDIAN: "median"}
    used = table["statistic"].dropna().unique()
    return " or ".join(name for each, name in known.items() if each in used) or "median"


def _interval(table: pd.DataFrame) -> str:
    """What is in brackets behind a ratio; nothing if nothing is."""
    boots = table["boots"].dropna()
    if boots.empty:
        return ""
    least, most = int(boots.min()), int(boots.max())
    said = f"the {bootstrap.CONFIDENCE:.0%} confidence interval, by bootstrap,"
    if most == 1:
        return f"{said} of one boot alone, which does not say how much another one would differ"
    number = f"{least}" if least == most else f"{least} to {most}"
    few = f" (it takes {bootstrap.ENOUGH_BOOTS} to cover as much)"
    return f"{said} over {number} boots{few if least < bootstrap.ENOUGH_BOOTS else ''}"


def _comparability(table: pd.DataFrame, compared: str) -> str:
    hosts = _hosts_by_unit(table)
    said = [
        _COMPARABILITY[unit] if len(hosts) == 1 else f"{', '.join(names)}: {_COMPARABILITY[unit]}"
        for unit, names in hosts.items()
    ]
    return " ".join([*said, compared])


def headline(table: pd.DataFrame) -> str:
    """What one nested hypercall costs, in a sentence for each configuration and host."""
    sentences = []
    several = table["host"].nunique() > 1
    rows = table[(table["benchmark"] == "hypercall") & table["ratio"].notna()]
    for row in tables.records(rows[rows["configuration"] != "vm"]):
        paper = ""
        if pd.notna(row["paper_ratio"]):
            paper = f" (paper: {row['paper_ratio']:.0f}x and {row['paper_traps']:.0f})"
        sentences.append(
            f"{'On ' + row['host'] + ', a' if several else 'A'} hypercall from a nested VM "
            f"({row['configuration']}) costs {row['ratio']:.1f}x one "
            f"from a VM, and takes {_traps(row, 1)} exits to L0{paper}."
        )
    return " ".join(sentences) or "No nested hypercall was measured."


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The summary as text; an unknown cell stays empty. Costs of several units name theirs."""
    mixed = table["unit"].nunique() > 1
    columns = {
        "benchmark": table["benchmark"],
        "configuration": table["configuration"],
        "cost": [_cost(row, mixed) for row in tables.records(table)],
        "ratio": [_ratio(row) for row in tables.records(table)],
        "traps": [_traps(row, 2) for row in tables.records(table)],
        "paper: cycles": [number(value, 0) for value in table["paper_cost"]],
        "paper: ratio": [number(value, 0, "x") for value in table["paper_ratio"]],
        "paper: traps": [number(value, 0) for value in table["paper_traps"]],
    }
    if table["host"].nunique() > 1:
        columns = {"host": table["host"], **columns}
    return pd.DataFrame(columns)


def _traps(row: dict[str, Any], digits: int) -> str:
    """An integer where they were counted operation by operation; marked where too few of these
    took just so many."""
    if not row["exact"]:
        return number(row["traps"], digits)
    return number(row["traps"], 0) + _mark(row["share"])


def _mark(share: float) -> str:
    """Of a value that too few of the operations had exactly."""
    return " ?" if share < USUAL else ""


def _cost(row: dict[str, Any], mixed: bool) -> str:
    unit = f" {row['unit']}" if mixed and pd.notna(row["cost"]) else ""
    mark = _mark(row["cost_share"]) if row["statistic"] == Statistic.MODE else ""
    return number(row["cost"], 0, unit) + mark


def _ratio(row: dict[str, Any]) -> str:
    low, high = (number(row[key], 1) for key in ("ratio_low", "ratio_high"))
    return number(row["ratio"], 1, "x") + (f" ({low}-{high})" if low else "")


def readable_reasons(where: pd.DataFrame, legend: Legend) -> dict[str, pd.DataFrame]:
    """{benchmark: exits per operation by reason and configuration}, as text, and what NEVE, or
    FEAT_NV2 beside it, makes of an access by a guest hypervisor like those that were measured.

    What is below 0.05 in every configuration is summed up as "other".
    """
    shown = {}
    one_host = where.columns.get_level_values("host").nunique() == 1
    for benchmark in dict.fromkeys(cell[1] for cell in where.columns.to_list()):
        mine = [cell for cell in where.columns.to_list() if cell[1] == benchmark]
        part = where[mine]
        small = (part.abs() < _SMALL).all(axis=1)
        part = pd.concat([part[~small], part[small].sum().to_frame("other").T])
        part = part.loc[part.sum(axis=1).sort_values(ascending=False).index]
        part.columns = [cell[2] if one_host else f"{cell[0]} {cell[2]}" for cell in mine]
        text = part.map(_count, digits=0 if (part == part.round()).all(axis=None) else 2)
        text = text[(text != "").any(axis=1)].rename_axis("reason")
        names = [cell[2] for cell in mine if nested(cell[2])]
        kinds = dict.fromkeys(map(e2h, names))
        for vhe, other in product(kinds, (False, True) if any(map(nv2, names)) else (False,)):
            title = f"under {'FEAT_NV2' if other else 'NEVE'}"
            known = legend.redirected(e2h=vhe, nv2=other)
            text[title if len(kinds) == 1 else f"{title}, E2H={int(vhe)}"] = [
                known.get(str(reason), "") for reason in text.index
            ]
        shown[benchmark] = text
    return {name: part for name, part in shown.items() if len(part)}


def _count(value: float, digits: int) -> str:
    return number(value, digits) if abs(value) >= _VISIBLE else ""
