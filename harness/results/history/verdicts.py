# SPDX-License-Identifier: MIT
"""What the history says about each series: its level, its noise, and whether it has changed."""

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

import pandas as pd

from harness.results.content import signed
from harness.results.history.changes import LEARNING, Change, Series
from harness.results.history.exact import Difference, Exact
from harness.results.history.key import KEY, UNIT, may_be_exact, subject_of
from harness.results.history.nights import CONTEXT, Entry, History, worse
from harness.results.tables import records


class Verdict(StrEnum):
    """Of a series, after its newest run."""

    LEARNING = "learning"  # not enough nights yet
    STEADY = "steady"
    SUSPICIOUS = "suspicious"  # looks changed; not certain
    REGRESSED = "regressed"  # changed for the worse, for certain, and nobody has acknowledged it
    IMPROVED = "improved"  # for certain, in this run
    CHANGED = "changed"  # in this run: another sequence of as many traps
    UNUSUAL = "unusual"  # should be exact and is not; as noise it has not enough nights yet
    CONTEXT = "context"  # is not judged


def in_words(effect: float | None, before: float, level: float) -> str:
    """An effect in per cent; near 0, where that says nothing, the two levels."""
    if effect is None or not math.isfinite(effect):
        return f"from {before:,.4g} to {level:,.4g}"
    return f"{effect:+.2%}"


def change_in_words(change: Change) -> str:
    """What a change is: in per cent, or exactly."""
    if isinstance(change, Difference):
        return signed(change.after - change.before) or "other traps"
    return in_words(change.effect, change.before, change.after)


def table(history: History) -> pd.DataFrame:
    """A row per series. Columns: those of `KEY`; `runs` (count); `run_id` and `last`, its newest
    run and value; `median`, that of the newest regime; `change`, last / median - 1; `noise`,
    the relative standard deviation of a run, NaN of exact figures; `verdict`; `current`, whether
    no other subject is measured in its place now. Of the regression that lasts, else of the
    newest change: `since`, the run that it began with, `before`, the median before it, `effect`
    (relative, NaN near 0) and `confidence` (NaN of exact figures), NaN without one; `since` is
    then the first run. Its `difference` are the lines of a diff of both trap sequences, `causes`
    what else differs."""
    return pd.DataFrame([_row(history, entry) for entry in history.entries()], columns=COLUMNS)


def _row(history: History, entry: Entry) -> dict[str, Any]:
    series, alarm = entry.series, history.alarm(entry)
    told = alarm or (entry.changes[-1] if entry.changes else None)
    if isinstance(told, Difference):
        told = _until_now(told, entry)
    certain = told is not None and not isinstance(told, Difference)
    return {
        **dict(zip(KEY, entry.key, strict=True)),
        "runs": len(set(series.nights)),
        "run_id": history.nights[series.nights[-1]].run_id,
        "last": _last(series),
        "median": series.level,
        "since": history.nights[told.start if told else series.nights[0]].run_id,
        "change": _last(series) / series.level - 1 if series.level else float("nan"),
        "noise": entry.noise,
        "verdict": str(_verdict(entry, alarm, told)),
        "current": entry.current,
        "before": told.before if told else float("nan"),
        "effect": told.effect if told else float("nan"),
        "confidence": told.confidence if told and certain else float("nan"),
        "difference": history.lines(told) if told else [],
        "causes": history.differences(told) if told else [],
    }


COLUMNS = [
    *KEY,
    "runs",
    "run_id",
    "last",
    "median",
    "since",
    "change",
    "noise",
    "verdict",
    "current",
    "before",
    "effect",
    "confidence",
    "difference",
    "causes",
]


def _until_now(change: Difference, entry: Entry) -> Difference:
    """With all that has come to a difference since, whatever is measured now."""
    assert isinstance(entry.series, Exact)
    newest = entry.series.figures[-1]
    return replace(
        change,
        after=newest.value,
        subjects=(change.subjects[0], subject_of(entry.key)),
        sequences=(change.sequences[0], newest.sequence),
    )


def _last(series: Series | Exact) -> float:
    """The value of the newest night, the mean of both if it was measured twice."""
    newest = [
        value
        for value, night in zip(series.values[-2:], series.nights[-2:], strict=True)
        if night == series.nights[-1]
    ]
    return sum(newest) / len(newest)


def _verdict(entry: Entry, alarm: Change | None, told: Change | None) -> Verdict:
    if entry.key[UNIT] in CONTEXT:
        return Verdict.CONTEXT
    if alarm:
        return Verdict.REGRESSED
    if told and told.called == entry.series.nights[-1] and not worse(told):
        return Verdict.IMPROVED if told.before != told.after else Verdict.CHANGED
    if isinstance(entry.series, Series) and len(entry.series.values) <= LEARNING:
        return Verdict.UNUSUAL if may_be_exact(entry.key) else Verdict.LEARNING
    return Verdict.SUSPICIOUS if entry.suspicious else Verdict.STEADY


def distinguished(judged: pd.DataFrame) -> list[str]:
    """What tells each row of `table` from others of the same host, configuration, benchmark and
    metric, `cpu=max iterations=500`; empty where there are none."""
    said = [""] * len(judged)
    rows = records(judged)
    alike: dict[tuple[str, ...], list[int]] = {}
    for place, row in enumerate(rows):
        named = tuple(str(row[name]) for name in ("host", "configuration", "benchmark", "metric"))
        alike.setdefault(named, []).append(place)
    for places in alike.values():
        marks = [_marks(rows[place]) for place in places]
        common = set.intersection(*map(set, marks))
        for place, mine in zip(places, marks, strict=True):
            own = " ".join(mark for mark in mine if mark not in common)
            said[place] = own or ("defaults" if len(places) > 1 else "")
    return said


def _marks(row: Mapping[str, Any]) -> list[str]:
    """What a row may differ in from its like."""
    names = ("track", "cpu", "gic", "mechanism", "level", "unit", "statistic")
    of_playbook, measured = str(row["settings"]).split(), str(row["subject"]).split()
    return [*(f"{name}={row[name]}" for name in names), *of_playbook, *measured]


def noise_floors(judged: pd.DataFrame) -> pd.DataFrame:
    """A row per host and metric of a `table`: columns host, metric, `series` (count) and `noise`,
    the median of its series' relative standard deviations from run to run. Exact ones have none."""
    grouped = judged.dropna(subset="noise").groupby(["host", "metric"], sort=True)["noise"]
    return grouped.agg(series="count", noise="median").reset_index()


def suspicious(history: History) -> list[tuple[str, str, str]]:
    """Host, configuration and benchmark of all that looks changed in the newest run."""
    names = [KEY.index(name) for name in ("host", "configuration", "benchmark")]
    found = {
        tuple(entry.key[name] for name in names): None
        for entry in history.entries()
        if entry.suspicious and entry.series.nights[-1] == len(history.nights) - 1
    }
    return [(host, configuration, benchmark) for host, configuration, benchmark in found]


def judge(history: History, run_id: str) -> list[dict[str, Any]]:
    """What the newest run says of its series, for those that look changed: the rows of `table`
    with the verdicts suspicious, regressed, improved and changed, and those that have become
    unusual."""
    everything = table(history)
    told = {Verdict.SUSPICIOUS, Verdict.REGRESSED, Verdict.IMPROVED, Verdict.CHANGED}
    return [
        row
        for row in records(everything[everything["run_id"] == run_id])
        if row["verdict"] in told or tuple(row[name] for name in KEY) in history.unusual
    ]
