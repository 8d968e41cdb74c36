# SPDX-License-Identifier: MIT
"""Why a count of traps differs from the paper's, register by register."""

from collections.abc import Sequence

import pandas as pd

from harness.model.aside import Aside
from harness.model.track import e2h, nested
from harness.results.content import figure
from harness.results.tables import records


def beside_paper(
    table: pd.DataFrame, reasons: pd.DataFrame, asides: Sequence[Aside]
) -> dict[str, list[str]]:
    """{sentence: reasons in words} of each nested cell of `table` (`tables.summary`) whose traps
    the paper has, too, and has other ones; `reasons` is `tables.reasons`. Nothing if there are no
    `asides`."""
    if not asides:
        return {}
    said = {}
    for row in records(table[table["paper_traps"].notna() & table["traps"].notna()]):
        name, paper = str(row["configuration"]), row["paper_traps"]
        cell = (row["host"], row["benchmark"], name)
        if not nested(name) or row["traps"] == paper or cell not in reasons:
            continue
        found = reasons[cell]
        title = (
            f"{cell[0]}, {cell[1]}, {name}: {figure(row['traps'])} traps, "
            f"{figure(abs(row['traps'] - paper))} {'more' if row['traps'] > paper else 'fewer'} "
            f"than the paper's {figure(paper)}"
        )
        said[title] = [
            f"{_counts(found, aside)}: {aside.said}"
            for aside in asides
            if aside.vhe in (None, e2h(name)) and _counts(found, aside)
        ]
    return said


def _counts(found: pd.Series, aside: Aside) -> str:
    """The registers of `aside` that trapped, with how often."""
    counts = {name: float(found.get(name, 0.0)) for name in aside.reasons}
    return ", ".join(f"{name} {figure(count)}" for name, count in counts.items() if count)
