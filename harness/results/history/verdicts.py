# SPDX-License-Identifier: MIT
"""What the history says of every series: its level, its noise, and whether it has changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pandas as pd

from harness.results.history.changes import LEARNING, Change, Key, Monitor, Series
from harness.results.tables import records

KEY = ["host", "track", "cpu", "gic", "configuration", "mechanism", "benchmark", "metric", "unit"]


class Verdict(StrEnum):
    """Of a series, after its newest run."""

    LEARNING = "learning"      # not enough nights yet
    STEADY = "steady"
    SUSPICIOUS = "suspicious"  # looks changed; not certain
    REGRESSED = "regressed"    # changed for the worse, for certain, in this run
    IMPROVED = "improved"


@dataclass(frozen=True)
class Night:
    """A run as the history sees it."""

    run_id: str
    started: pd.Timestamp
    facts: Mapping[str, str]


@dataclass(frozen=True)
class History:
    """Every series of `nights`, judged night by night. Monitors are by host and metric."""

    nights: list[Night] = field(default_factory=list)
    monitors: dict[tuple[str, str], Monitor] = field(default_factory=dict)

    @classmethod
    def of(cls, measured: pd.DataFrame) -> "History":
        """The history in a frame of `harness.results.load`; rows by reason are left out.

        A night's value is the median of the repetitions that the playbook asked for, its second
        one that of what was measured again.
        """
        totals = measured[measured["reason"] == ""].astype({"gic": str})
        history = cls()
        for number, (run_id, rows) in enumerate(totals.groupby("run_id", sort=False)):
            first = rows.iloc[0]
            facts = {name: str(first[name]) for name in _FACTS}
            history.nights.append(Night(str(run_id), first["started"], facts))
            medians = rows.groupby([*KEY, "repeated"], sort=False)["value"].median()
            history._night(number, medians)
        return history

    def _night(self, number: int, medians: "pd.Series[float]") -> None:
        first: dict[tuple[str, str], dict[Key, tuple[str, float]]] = {}
        again: dict[tuple[str, str], dict[Key, float]] = {}
        for index, value in zip(medians.index.to_list(), medians, strict=True):
            name = tuple(map(str, index[:-1]))
            group, repeated = (name[_HOST], name[_METRIC]), index[-1]
            if repeated:
                again.setdefault(group, {})[name] = float(value)
            else:
                first.setdefault(group, {})[name] = (name[_UNIT], float(value))
        for group, values in first.items():
            monitor = self.monitors.setdefault(group, Monitor())
            monitor.night(number, values, again.get(group, {}))

    def series(self) -> Iterator[tuple[Key, Series, Monitor]]:
        """All series, by name."""
        for _, monitor in sorted(self.monitors.items()):
            for key, series in monitor.series.items():
                yield key, series, monitor

    def changes(self) -> list[Change]:
        """All changes that were called, newest first."""
        called = [change for monitor in self.monitors.values() for change in monitor.changes]
        return sorted(called, key=lambda change: (-change.called, change.key))

    def number(self, run_id: str) -> int | None:
        """Which night the run was."""
        return next((number for number, night in enumerate(self.nights)
                     if night.run_id == run_id), None)

    def differences(self, change: Change) -> list[str]:
        """What else differs between the last night before a change and its first one."""
        series = next(series for key, series, _ in self.series() if key == change.key)
        earlier = [night for night in series.nights if night < change.start]
        before, after = self.nights[earlier[-1]].facts, self.nights[change.start].facts
        return [f"{name}: {before[name]} → {after[name]}" for name in _FACTS
                if before[name] != after[name]]


_FACTS = ("harness", "emulator", "kernels", "playbook")
_HOST, _METRIC, _UNIT = KEY.index("host"), KEY.index("metric"), KEY.index("unit")


def worse(change: Change) -> bool:
    """Whether a change is one for the worse. What is counted per second ought to grow; costs,
    times and traps ought not."""
    grown = change.after > change.before
    return grown != change.key[_UNIT].endswith("/s")


def table(history: History) -> pd.DataFrame:
    """A row per series. Columns: those of `KEY`; `runs` (count); `run_id` and `last`, its newest
    run and value; `level`, the median of the newest regime, and `since`, the run that it began
    with; `change`, last / level - 1; `noise`, the relative standard deviation of a run;
    `verdict`; and of the newest change `effect` (relative) and `confidence`, NaN without one."""
    rows = []
    for key, series, monitor in history.series():
        mine = [change for change in monitor.changes if change.key == key]
        newest = mine[-1] if mine else None
        level = series.level
        rows.append({
            **dict(zip(KEY, key, strict=True)),
            "runs": len(set(series.nights)),
            "run_id": history.nights[series.nights[-1]].run_id,
            "last": _last(series),
            "level": level,
            "since": history.nights[series.nights[series.starts[-1]]].run_id,
            "change": _last(series) / level - 1 if level else float("nan"),
            "noise": series.noise(monitor.prior).sigma,
            "verdict": str(_verdict(key, series, monitor, newest)),
            "effect": newest.effect if newest else float("nan"),
            "confidence": newest.confidence if newest else float("nan"),
        })
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [*KEY, "runs", "run_id", "last", "level", "since", "change", "noise", "verdict",
           "effect", "confidence"]


def _last(series: Series) -> float:
    """The value of the newest night, the mean of both if it was measured twice."""
    newest = [value for value, night in zip(series.values, series.nights, strict=True)
              if night == series.nights[-1]]
    return sum(newest) / len(newest)


def _verdict(key: Key, series: Series, monitor: Monitor, newest: Change | None) -> Verdict:
    if newest and newest.called == series.nights[-1]:
        return Verdict.REGRESSED if worse(newest) else Verdict.IMPROVED
    if len(series.values) <= LEARNING:
        return Verdict.LEARNING
    return Verdict.SUSPICIOUS if key in monitor.suspects else Verdict.STEADY


def noise_floors(history: History) -> pd.DataFrame:
    """A row per host and metric: columns host, metric, `series` (count) and `noise`, the median
    of its series' relative standard deviations from run to run."""
    everything = table(history)
    grouped = everything.groupby(["host", "metric"], sort=True)["noise"]
    return grouped.agg(series="count", noise="median").reset_index()


def suspicious(history: History, run_id: str) -> list[tuple[str, str, str]]:
    """Host, configuration and benchmark of all that looks changed in the newest run."""
    names = [KEY.index(name) for name in ("host", "configuration", "benchmark")]
    number = history.number(run_id)
    found = {tuple(key[name] for name in names): None
             for key, series, monitor in history.series()
             if key in monitor.suspects and series.nights[-1] == number}
    return [(host, configuration, benchmark) for host, configuration, benchmark in found]


def judge(history: History, run_id: str) -> list[dict[str, Any]]:
    """What the newest run says of its series, for those that look changed: the rows of `table`
    with the verdicts suspicious, regressed and improved."""
    everything = table(history)
    mine = everything[(everything["run_id"] == run_id) & everything["verdict"].isin(
        [Verdict.SUSPICIOUS, Verdict.REGRESSED, Verdict.IMPROVED])]
    return records(mine)
