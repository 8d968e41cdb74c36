# SPDX-License-Identifier: MIT
"""report.md, report.html and junit.xml out of a run folder."""

from typing import Any

import jinja2
import pandas as pd

from harness.cache import write_atomically
from harness.model.metadata import Metadata
from harness.results import applications, junit, operations, payload, tables
from harness.results.content import Content
from harness.results.junit import change_in_words
from harness.results.measured import Measured
from harness.results.store import RunFolder

_TIMERS = {
    "cycles": "PMCCNTR_EL0, the cycle counter, which the VM reads without a trap",
    "virtual": "CNTVCT_EL0, the virtual counter",
}


def write(folder: RunFolder) -> pd.DataFrame:
    """Write every derived file of the run, and return its summary.

    Raises GuestError if no cell finished, UserError if the run is damaged.
    """
    from harness.results import chart  # matplotlib: half a second that only this needs

    measured = Measured.of(folder)
    folder.results.write(measured.records)
    junit.write(measured)
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


def _content(measured: Measured, table: pd.DataFrame) -> Content:
    if measured.payload:
        return payload.content(measured, table)
    if measured.of_applications:
        return applications.content(measured, table)
    return operations.content(measured, table)


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
