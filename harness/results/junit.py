# SPDX-License-Identifier: MIT
"""junit.xml of a run: its cells, and what the history says of it."""

import junitparser

from harness.cache import write_atomically
from harness.model.cell import CellName
from harness.model.measurement import USUAL
from harness.model.metadata import Change
from harness.plain import plain
from harness.results.content import figure, number, signed
from harness.results.measured import Measured

_LINES = 6  # of a difference that a line tells


def write(measured: Measured) -> None:
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


def change_in_words(change: Change) -> str:
    """An entry of the metadata's `changes`, which the history made, as a line."""
    cell = f"{change.host}, {change.benchmark}, {change.configuration}"
    if change.noise is None:
        return plain(f"{cell}: {change.metric} {_exactly(change)}")
    if change.verdict == "unusual":
        return (
            f"{cell}: {change.metric} {figure(change.last)} {change.unit} is unusual: less than "
            f"{USUAL:.0%} of the operations, or not all repetitions, have it, so it is not exact"
        )
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


def _exactly(change: Change) -> str:
    """What became of an exact figure, and why."""
    before = change.before or 0.0
    difference = signed(change.last - before) or "other traps"
    told = [*change.difference[:_LINES]]
    if left := len(change.difference) - len(told):
        told.append(f"and {left} more")
    why = [", ".join(told), *(change.causes or ("without a cause that is known",))]
    return (
        f"{figure(before)} → {figure(change.last)} {change.unit} ({difference}), "
        f"{change.verdict} since {change.since}: {'; '.join(filter(None, why))}"
    )
