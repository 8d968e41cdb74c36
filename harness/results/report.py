# SPDX-License-Identifier: MIT
"""report.md, report.html and junit.xml out of a run folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jinja2
import junitparser
import pandas as pd

from harness.cache import write_atomically
from harness.model.cell import CellName
from harness.model.legend import ApplicationLegend
from harness.model.metadata import Change, Metadata
from harness.model.track import e2h, nested
from harness.plain import plain
from harness.results import tables
from harness.results.measured import Measured
from harness.results.overhead import geometric_mean
from harness.results.store import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USUAL = 0.9  # of its operations a cell's traps stand for, or it is marked
_SMALL = 0.05  # exits per operation below which a reason is not listed by itself
_VISIBLE = 0.005  # … and below which a number would be 0.00
_NEVE = ("nested-neve", "nested-neve-vhe")  # where what is seen to trap is what NEVE leaves
_TIMERS = {
    "cycles": "PMCCNTR_EL0, the cycle counter, which the VM reads without a trap",
    "virtual": "CNTVCT_EL0, the virtual counter",
}
_COMPARABILITY = {
    "instructions": (
        "Costs here are instructions of an emulated processor (QEMU TCG with icount), the paper's "
        "are cycles of a real one: they do not compare with each other. That of a virtual IPI adds "
        "up what both of its CPUs execute, which a real machine does at the same time."
    ),
    "ticks": "Costs here are ticks of the generic timer on this host.",
    "cycles": "Costs here are cycles, as the paper's are, of another processor.",
}
_OUTLIERS = (
    "Nothing is discarded as an outlier. A cost is the median of a cell's operations, and of the "
    "repetitions' medians; repetitions take turns with those of the other configurations, so that "
    "what drifts on a host meets all alike."
)


def write(folder: RunFolder) -> pd.DataFrame:
    """Write every derived file of the run, and return its summary.

    Raises GuestError if no cell finished, UserError if the run is damaged.
    """
    from harness.results import chart  # matplotlib: half a second that only this needs

    measured = Measured.of(folder)
    folder.results.write(measured.records)
    _junit(measured)
    table = measured.summary
    content = _content(measured, table)
    standing, changes = measured.standing, measured.metadata.changes or ()
    values = {
        **content.values,
        "standing": "" if standing.whole else f"This run is not whole. It is {standing}.",
        "missing": standing.missing,
        "accounting": _accounting(measured.metadata),
        "provenance": _provenance(measured),
        "skipped": measured.metadata.skipped,
        "changes": [change_in_words(change) for change in changes],
        "failures": measured.failures,
    }
    picture = ""
    if content.drawn:
        picture = chart.svg(content.drawn)
        write_atomically(folder.path / "report.svg", picture)
    _render(
        folder,
        content.template,
        "md",
        **values,
        table=content.table.to_markdown(index=False, disable_numparse=True),
        reasons={
            name: part.to_markdown(disable_numparse=True) for name, part in content.reasons.items()
        },
    )
    _render(
        folder,
        content.template,
        "html",
        **values,
        chart=picture,
        table=content.table.to_html(index=False, border=0),
        reasons={name: part.to_html(border=0) for name, part in content.reasons.items()},
    )
    return table


@dataclass(frozen=True)
class _Content:
    """What the report of one kind of run has of its own: its template and what that is filled
    with, the readable table, exits by reason for each benchmark, and the picture."""

    template: str
    values: Mapping[str, Any]
    table: pd.DataFrame
    reasons: Mapping[str, pd.DataFrame]
    drawn: "Figure | None" = None


def _content(measured: Measured, table: pd.DataFrame) -> _Content:
    if measured.payload:
        return _payload(measured, table)
    if measured.of_applications:
        return _applications(measured, table)
    return _operations(measured, table)


def _payload(measured: Measured, table: pd.DataFrame) -> _Content:
    passed = int((table["status"] == 0).sum())
    return _Content(
        "payload",
        {
            "title": f"{measured.payload}: {measured.folder.id}",
            "headline": f"It came to a good end in {passed} of {len(table)} configurations.",
        },
        table.fillna(""),
        {},
    )


def _applications(measured: Measured, table: pd.DataFrame) -> _Content:
    from harness.results import chart

    known = measured.legend.applications
    sizes = {sample["size"] for record in measured.records for sample in record.samples}
    return _Content(
        "applications",
        {
            "title": f"Applications: {measured.folder.id}",
            "headline": applications_headline(table),
            "small": "small" in sizes,
            "emulated": bool(measured.metadata.emulator),
        },
        readable_applications(table, known),
        {},
        chart.overheads(table, known),
    )


def applications_headline(table: pd.DataFrame) -> str:
    """The mean overhead of each configuration, in a sentence."""
    known = table[table["overhead"].notna() & (table["configuration"] != "native")]
    parts = [
        f"{name}: {geometric_mean(rows['overhead']):.1f}x over {len(rows)} "
        f"application{'' if len(rows) == 1 else 's'}"
        for name, rows in known.groupby("configuration", sort=False)
    ]
    if not parts:
        return "No overhead: nothing was measured both natively and in a VM."
    return f"Geometric mean of the cost, native being 1: {'; '.join(parts)}."


def readable_applications(
    table: pd.DataFrame, known: Mapping[str, ApplicationLegend]
) -> pd.DataFrame:
    """The overheads as text; an unknown cell stays empty."""
    rows = tables.records(table)
    columns = {
        "application": [known[row["benchmark"]].title for row in rows],
        "configuration": table["configuration"],
        "overhead": [_with_error(row["overhead"], row["overhead_error"], 2, "x") for row in rows],
        "measured": [
            _with_error(row["value"], row["error"], 4 if row["value"] < 10 else 1) for row in rows
        ],
        "unit": table["unit"],
        "runs": [str(row["runs"]) for row in rows],
        "traps/s": [number(value, 0) for value in table["traps"]],
        "busy CPUs": table["cpu"],
    }
    if table["host"].nunique() > 1:
        columns = {"host": table["host"], **columns}
    return pd.DataFrame(columns)


def _with_error(value: float, error: float, digits: int, unit: str = "") -> str:
    if pd.isna(value):
        return ""
    return number(value, digits, unit) + ("" if pd.isna(error) else f" ± {number(error, digits)}")


def _operations(measured: Measured, table: pd.DataFrame) -> _Content:
    from harness.results import chart

    where = tables.reasons(measured.rows)
    redirected = {
        name: measured.legend.redirected(name) for name in table["configuration"].unique()
    }
    return _Content(
        "report",
        {
            "title": f"Nested virtualization: {measured.folder.id}",
            "headline": headline(table),
            "units": _units(table),
            "noisy": bool(table["noisy"].any()),
            "spread_limit": measured.spread_limit,
            "exact": bool(table["exact"].any()),
            "unusual": bool((table["share"] < USUAL).any()),
            "usual": f"{USUAL:.0%}",
            "comparability": _comparability(table, measured.legend.compared),
            "outliers": _OUTLIERS,
        },
        readable(table),
        readable_reasons(where, redirected),
        chart.figure(
            table,
            tables.by_redirection(
                where,
                {
                    name: dict.fromkeys(kinds, "trap") if name in _NEVE else kinds
                    for name, kinds in redirected.items()
                },
            ),
        ),
    )


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
            f"from a VM and {_traps(row, 1)} exits to L0{paper}."
        )
    return " ".join(sentences) or "No nested hypercall was measured."


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The summary as text; an unknown cell stays empty. Costs of several units name theirs."""
    mixed = table["unit"].nunique() > 1
    columns = {
        "benchmark": table["benchmark"],
        "configuration": table["configuration"],
        "cost": [_cost(row, mixed) for row in tables.records(table)],
        "ratio": [number(value, 1, "x") for value in table["ratio"]],
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
    return number(row["traps"], 0) + (" ?" if row["share"] < USUAL else "")


def _cost(row: dict[str, Any], mixed: bool) -> str:
    unit = f" {row['unit']}" if mixed and pd.notna(row["cost"]) else ""
    return number(row["cost"], 0, unit) + (" !" if row["noisy"] else "")


def number(value: float, digits: int, unit: str = "") -> str:
    """As text; what is unknown stays empty."""
    if pd.isna(value):
        return ""
    return f"{round(value, digits) + 0.0:,.{digits}f}{unit}"  # + 0.0: no negative zero


def readable_reasons(
    where: pd.DataFrame, redirected: Mapping[str, Mapping[str, str]]
) -> dict[str, pd.DataFrame]:
    """{benchmark: exits per operation by reason and configuration}, as text, and what NEVE makes
    of an access by a guest hypervisor like those that were measured.

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
        hypervisors = {e2h(cell[2]): cell[2] for cell in mine if nested(cell[2])}
        for vhe, configuration in hypervisors.items():
            title = "under NEVE" if len(hypervisors) == 1 else f"under NEVE, E2H={int(vhe)}"
            text[title] = [redirected[configuration].get(str(reason), "") for reason in text.index]
        shown[benchmark] = text
    return {name: part for name, part in shown.items() if len(part)}


def _count(value: float, digits: int) -> str:
    return number(value, digits) if abs(value) >= _VISIBLE else ""


def _accounting(metadata: Metadata) -> str:
    if all(host.all_exits for host in metadata.accounting.values()):
        return "Every exit is counted, also those that KVM handles inside its world switch."
    return (
        "Exits that L0's KVM handles inside its world switch are not seen by the tracepoint "
        "that this kernel has."
    )


def _provenance(measured: Measured) -> str:
    metadata = measured.metadata
    lines = [
        f"kernel {level.upper()}   Linux {kernel.version} (track {metadata.track}), "
        f"key {kernel.key}, {kernel.origin}"
        for level, kernel in metadata.kernels.items()
    ]
    lines += [
        *([f"timer       {_timers(measured.samples)}"] if measured.of_operations else []),
        f"emulator    {metadata.emulator or 'none'}",
        f"started     {metadata.started.isoformat()}",
        f"repeat      {metadata.repeat}",
    ]
    return "\n".join(lines)


def _timers(samples: pd.DataFrame) -> str:
    """The counters that costs were read from, each with its configurations where they differ."""
    users: dict[str, dict[str, None]] = {}
    for sample in tables.records(samples):
        name = _TIMERS[sample.get("timer", "virtual")]
        users.setdefault(name, {})[f"{sample['host']}/{sample['configuration']}"] = None
    if len(users) == 1:
        return next(iter(users))
    return "; ".join(f"{name}: {', '.join(cells)}" for name, cells in users.items())


def change_in_words(change: Change) -> str:
    """An entry of the metadata's `changes`, which the history made, as a line."""
    cell = f"{change.host}, {change.benchmark}, {change.configuration}"
    what = f"{cell}: {change.metric} {number(change.last, 2)} {change.unit}"
    if change.verdict == "suspicious":
        return (
            f"{what} looks changed, which a second measurement did not confirm "
            f"(median {number(change.median, 2)})"
        )
    effect = (
        f"{change.effect:+.2%}"
        if change.effect is not None
        else f"from {number(change.before or 0.0, 2)}"
    )
    since = f" since {change.since}" if change.since else ""
    sure = min(change.confidence or 0.0, 0.999999)
    return (
        f"{what} has {change.verdict}{since}, {effect} (noise {change.noise:.2%}, "
        f"confidence {sure:.4%})"
    )


def _junit(measured: Measured) -> None:
    folder, standing = measured.folder, measured.standing
    suite = junitparser.TestSuite(folder.id)
    for record in measured.records:
        case = _case(record.id, time=record.seconds)
        if not record.passed:
            case.result = [junitparser.Failure(plain(record.error))]
        suite.add_testcase(case)
    for cell in standing.missing:
        case = _case(cell)
        case.result = [junitparser.Error(f"not measured: the run is {standing.state}")]
        suite.add_testcase(case)
    for change in measured.metadata.changes or ():
        group = f"{change.host}/{change.configuration}/history"
        case = junitparser.TestCase(f"{change.benchmark} {change.metric}", classname=group)
        if change.verdict == "regressed":
            case.result = [junitparser.Failure(change_in_words(change))]
        else:
            case.system_out = change_in_words(change)
        suite.add_testcase(case)
    document = junitparser.JUnitXml()
    document.add_testsuite(suite)
    text = str(document.tostring(), "utf-8")  # type: ignore[no-untyped-call]
    write_atomically(folder.path / "junit.xml", text + "\n")


def _case(cell: str, **more: float) -> junitparser.TestCase:
    host, configuration, repetition, benchmark = CellName.of(cell)
    group = f"{host}/{configuration}/{repetition}"
    return junitparser.TestCase(benchmark, classname=group, **more)


def _render(folder: RunFolder, template: str, kind: str, **values: Any) -> None:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.results"),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(["html.j2"]),
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    text = environment.get_template(f"{template}.{kind}.j2").render(**values)
    write_atomically(folder.path / f"report.{kind}", text)
