# SPDX-License-Identifier: MIT
"""report.md, report.html and junit.xml out of a run folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jinja2
import junitparser
import pandas as pd

from harness.cache import write_atomically
from harness.errors import GuestError, UserError
from harness.model.application import applications
from harness.model.operations import redirections
from harness.model.track import Track, e2h, nested
from harness.plain import plain
from harness.results import reference, tables
from harness.results.frames import frame
from harness.results.overhead import geometric_mean, overheads
from harness.results.store import RunFolder, Standing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def results(folder: RunFolder) -> pd.DataFrame:
    """All measurements of the run, derived from its finished cells."""
    return frame(row for record in folder.records() for row in record.measurements)


def summary(folder: RunFolder) -> pd.DataFrame:
    """The table of the report: `tables.summary`, with the columns spread and noisy, or
    `overheads` of a run of applications.

    Raises GuestError if no cell finished.
    """
    measured = results(folder)
    if measured.empty:
        failures = _failures(folder)
        raise GuestError(f"run {folder.id} has no finished cell\n{failures}".rstrip())
    if measures_applications(folder):
        return overheads(folder.records())
    table = tables.summary(measured, reference.load()).merge(
        tables.spreads(_samples(folder)), how="left", on=["host", "benchmark", "configuration"]
    )
    return table.assign(noisy=table["spread"] > _spread_limit(folder))


def _samples(folder: RunFolder) -> pd.DataFrame:
    """All statistics that the guests gave, with the cell that each belongs to."""
    rows = []
    for record in folder.records():
        host, configuration, _, _ = record.id.split("/")
        rows += [
            {"host": host, "configuration": configuration, **sample} for sample in record.samples
        ]
    return pd.DataFrame(rows)


def _spread_limit(folder: RunFolder) -> float:
    return float(folder.metadata.get("playbook", {}).get("spread_limit", 1.0))


def write(folder: RunFolder) -> None:
    """Write every derived file of the run."""
    from harness.results import chart  # matplotlib: half a second that only this needs

    folder.write_results()
    standing = folder.standing()
    _junit(folder, standing)
    table = summary(folder)
    content = (
        _applications(folder, table)
        if measures_applications(folder)
        else _operations(folder, table)
    )
    values = {
        **content.values,
        "standing": "" if standing.whole else f"This run is not whole. It is {standing}.",
        "missing": standing.missing,
        "accounting": _accounting(folder.metadata),
        "provenance": _provenance(folder),
        "skipped": folder.metadata.get("skipped", []),
        "changes": [change_in_words(change) for change in folder.metadata.get("changes", [])],
        "failures": _failures(folder),
    }
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


@dataclass(frozen=True)
class _Content:
    """What the report of one kind of run has of its own: its template and what that is filled
    with, the readable table, exits by reason for each benchmark, and the picture."""

    template: str
    values: Mapping[str, Any]
    table: pd.DataFrame
    reasons: Mapping[str, pd.DataFrame]
    drawn: "Figure"


def measures_applications(folder: RunFolder) -> bool:
    """Whether the run is one of applications."""
    benchmarks = folder.metadata.get("playbook", {}).get("benchmarks", [])
    return bool(set(benchmarks) & set(applications()))


def _applications(folder: RunFolder, table: pd.DataFrame) -> _Content:
    from harness.results import chart

    sizes = {sample["size"] for record in folder.records() for sample in record.samples}
    return _Content(
        "applications",
        {
            "title": f"Applications: {folder.id}",
            "headline": applications_headline(table),
            "small": "small" in sizes,
            "emulated": bool(folder.metadata.get("emulator")),
        },
        readable_applications(table),
        {},
        chart.overheads(table),
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


def readable_applications(table: pd.DataFrame) -> pd.DataFrame:
    """The overheads as text; an unknown cell stays empty."""
    rows = tables.records(table)
    columns = {
        "application": [applications()[row["benchmark"]].title for row in rows],
        "configuration": table["configuration"],
        "overhead": [_with_error(row["overhead"], row["overhead_error"], 2, "x") for row in rows],
        "measured": [
            _with_error(row["value"], row["error"], 4 if row["value"] < 10 else 1) for row in rows
        ],
        "unit": table["unit"],
        "runs": [str(row["runs"]) for row in rows],
        "exits/s": [number(value, 0) for value in table["traps"]],
        "busy CPUs": table["cpu"],
    }
    if table["host"].nunique() > 1:
        columns = {"host": table["host"], **columns}
    return pd.DataFrame(columns)


def _with_error(value: float, error: float, digits: int, unit: str = "") -> str:
    if pd.isna(value):
        return ""
    return number(value, digits, unit) + ("" if pd.isna(error) else f" ± {number(error, digits)}")


def _operations(folder: RunFolder, table: pd.DataFrame) -> _Content:
    from harness.results import chart

    track = _track(folder)
    where = tables.reasons(results(folder))
    redirected = {
        name: redirections(track.name, e2h=e2h(name)) for name in table["configuration"].unique()
    }
    return _Content(
        "report",
        {
            "title": f"Nested virtualization: {folder.id}",
            "headline": headline(table),
            "units": _units(table),
            "noisy": bool(table["noisy"].any()),
            "spread_limit": _spread_limit(folder),
            "comparability": _comparability(table, track),
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


def _track(folder: RunFolder) -> Track:
    name = folder.metadata.get("track")
    if name is None:
        raise UserError(f"{folder.path / 'metadata.json'} names no track")
    return Track.load(name)


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


def _comparability(table: pd.DataFrame, track: Track) -> str:
    hosts = _hosts_by_unit(table)
    said = [
        _COMPARABILITY[unit] if len(hosts) == 1 else f"{', '.join(names)}: {_COMPARABILITY[unit]}"
        for unit, names in hosts.items()
    ]
    return " ".join([*said, track.compared])


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
            f"from a VM and {row['traps']:.1f} exits to L0{paper}."
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
        "traps": [number(value, 2) for value in table["traps"]],
        "paper: cycles": [number(value, 0) for value in table["paper_cost"]],
        "paper: ratio": [number(value, 0, "x") for value in table["paper_ratio"]],
        "paper: traps": [number(value, 0) for value in table["paper_traps"]],
    }
    if table["host"].nunique() > 1:
        columns = {"host": table["host"], **columns}
    return pd.DataFrame(columns)


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
        text = part.map(lambda value: number(value, 2) if abs(value) >= _VISIBLE else "")
        text = text[(text != "").any(axis=1)].rename_axis("reason")
        hypervisors = {e2h(cell[2]): cell[2] for cell in mine if nested(cell[2])}
        for vhe, configuration in hypervisors.items():
            title = "under NEVE" if len(hypervisors) == 1 else f"under NEVE, E2H={int(vhe)}"
            text[title] = [redirected[configuration].get(str(reason), "") for reason in text.index]
        shown[benchmark] = text
    return {name: part for name, part in shown.items() if len(part)}


def _accounting(metadata: dict[str, Any]) -> str:
    if all(host["all_exits"] for host in metadata.get("accounting", {}).values()):
        return "Every exit is counted, also those that KVM handles inside its world switch."
    return (
        "Exits that L0's KVM handles inside its world switch are not seen by the tracepoint "
        "that this kernel has."
    )


def _provenance(folder: RunFolder) -> str:
    metadata = folder.metadata
    kernels = metadata.get("kernels", {})
    lines = [
        f"kernel {level.upper()}   Linux {kernel['version']} (track {metadata.get('track')}), "
        f"key {kernel['key']}, {kernel.get('origin', 'of unknown origin')}"
        for level, kernel in kernels.items()
    ]
    lines += [
        *([] if measures_applications(folder) else [f"timer       {_timers(folder)}"]),
        f"emulator    {metadata.get('emulator', 'none')}",
        f"started     {metadata.get('started')}",
        f"repeat      {metadata.get('repeat')}",
    ]
    return "\n".join(lines)


def _timers(folder: RunFolder) -> str:
    """The counters that costs were read from, each with its configurations where they differ."""
    users: dict[str, dict[str, None]] = {}
    for sample in tables.records(_samples(folder)):
        name = _TIMERS[sample.get("timer", "virtual")]
        users.setdefault(name, {})[f"{sample['host']}/{sample['configuration']}"] = None
    if len(users) == 1:
        return next(iter(users))
    return "; ".join(f"{name}: {', '.join(cells)}" for name, cells in users.items())


def _failures(folder: RunFolder) -> str:
    return "\n".join(
        f"{record.id}: {plain(record.error)}" for record in folder.records() if not record.passed
    )


def change_in_words(change: Mapping[str, Any]) -> str:
    """An entry of the metadata's `changes`, which the history made, as a line."""
    cell = f"{change['host']}, {change['benchmark']}, {change['configuration']}"
    what = f"{cell}: {change['metric']} {number(change['last'], 2)} {change['unit']}"
    if change["verdict"] == "suspicious":
        return (
            f"{what} looks changed, which a second measurement did not confirm "
            f"(level {number(change['level'], 2)})"
        )
    effect = (
        f"{change['effect']:+.2%}"
        if change["effect"] is not None
        else f"from {number(change['before'], 2)}"
    )
    since = f" since {change['since']}" if "since" in change else ""
    sure = min(float(change["confidence"]), 0.999999)
    return (
        f"{what} has {change['verdict']}{since}, {effect} (noise {change['noise']:.2%}, "
        f"confidence {sure:.4%})"
    )


def _junit(folder: RunFolder, standing: Standing) -> None:
    suite = junitparser.TestSuite(folder.id)
    for record in folder.records():
        group, _, name = record.id.rpartition("/")
        case = junitparser.TestCase(name, classname=group, time=record.seconds)
        if not record.passed:
            case.result = [junitparser.Failure(plain(record.error))]
        suite.add_testcase(case)
    for cell in standing.missing:
        group, _, name = cell.rpartition("/")
        case = junitparser.TestCase(name, classname=group)
        case.result = [junitparser.Error(f"not measured: the run is {standing.state}")]
        suite.add_testcase(case)
    for change in folder.metadata.get("changes", []):
        group = f"{change['host']}/{change['configuration']}/history"
        case = junitparser.TestCase(f"{change['benchmark']} {change['metric']}", classname=group)
        if change["verdict"] == "regressed":
            case.result = [junitparser.Failure(change_in_words(change))]
        else:
            case.system_out = change_in_words(change)
        suite.add_testcase(case)
    document = junitparser.JUnitXml()
    document.add_testsuite(suite)
    text = str(document.tostring(), "utf-8")  # type: ignore[no-untyped-call]
    write_atomically(folder.path / "junit.xml", text + "\n")


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
