# SPDX-License-Identifier: MIT
"""What the history says of every series: its level, its noise, and whether it has changed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pandas as pd

from harness.results.history.changes import LEARNING, Change, Key, Monitor, Series
from harness.results.tables import records

KEY = [
    "host",
    "track",
    "cpu",
    "gic",
    "configuration",
    "mechanism",
    "benchmark",
    "metric",
    "level",
    "unit",
    "statistic",
    "settings",
]
# Neither better nor worse when they grow: a faster application makes more exits a second.
_CONTEXT = ("exits per second", "CPUs")
_FACTS = ("harness", "emulator", "kernels", "microbench", "playbook")
_UNIT = KEY.index("unit")
# What series must have in common to tell of each other's noise.
_GROUP = [KEY.index(name) for name in ("host", "metric", "unit", "statistic")]
_LASTS = 0.5  # of a change for the worse that must be left for its alarm to last


class Verdict(StrEnum):
    """Of a series, after its newest run."""

    LEARNING = "learning"  # not enough nights yet
    STEADY = "steady"
    SUSPICIOUS = "suspicious"  # looks changed; not certain
    REGRESSED = "regressed"  # changed for the worse, for certain, and nobody has accepted it
    IMPROVED = "improved"  # for certain, in this run
    CONTEXT = "context"  # is not judged


@dataclass(frozen=True)
class Night:
    """A run as the history sees it."""

    run_id: str
    started: pd.Timestamp
    facts: Mapping[str, str]


@dataclass
class History:
    """Every series of `nights`, judged night by night. Monitors are by host, metric, unit and
    statistic; `accepted` says until when the changes of a series are its new normal."""

    nights: list[Night] = field(default_factory=list)
    monitors: dict[Key, Monitor] = field(default_factory=dict)
    context: dict[Key, Series] = field(default_factory=dict)
    accepted: dict[Key, pd.Timestamp] = field(default_factory=dict)
    _tonight: set[Key] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        measured: pd.DataFrame,
        accepted: Sequence[tuple[Mapping[str, str], pd.Timestamp]] = (),
    ) -> "History":
        """The history in a frame of `harness.results.load`; rows by reason are left out. What is
        `accepted` is said as `Archive.accepted` does.

        A night's value is the median of the repetitions that the playbook asked for, its second
        one that of what was measured again.
        """
        history = cls()
        for first, again in history._nights(measured):
            history._look(first)
            history._decide(again)
        for names, until in accepted:
            key = tuple(names.get(name, "") for name in KEY)
            history.accepted[key] = max(until, history.accepted.get(key, until))
        return history

    def look(self, measured: pd.DataFrame) -> None:
        """Take in the first measurements of a further night, which is not decided yet."""
        for first, _ in self._nights(measured):
            self._look(first)

    def decide(self, measured: pd.DataFrame) -> None:
        """Decide the night that `look` was given, whose second measurements are in `measured`."""
        again = _medians(measured)
        self._decide({key: value for (_, repeated, key), value in again.items() if repeated})

    def _nights(
        self, measured: pd.DataFrame
    ) -> Iterator[tuple[dict[Key, float], dict[Key, float]]]:
        """What each night measured first and again; the night is in `nights` by then."""
        runs = measured.drop_duplicates("run_id").set_index("run_id")
        values: dict[str, tuple[dict[Key, float], dict[Key, float]]] = {
            str(run_id): ({}, {}) for run_id in runs.index
        }
        for (run_id, repeated, key), value in _medians(measured).items():
            values[run_id][repeated][key] = value
        columns = runs[["started", *_FACTS]].to_dict("index")
        for run_id, night in values.items():
            facts = columns[run_id]
            self.nights.append(
                Night(run_id, facts["started"], {name: str(facts[name]) for name in _FACTS})
            )
            yield night

    def _look(self, first: Mapping[Key, float]) -> None:
        number = len(self.nights) - 1
        groups: dict[Key, dict[Key, tuple[str, float]]] = {}
        for key, value in first.items():
            if key[_UNIT] in _CONTEXT:
                self.context.setdefault(key, Series(key[_UNIT])).add(number, value)
            else:
                groups.setdefault(_group(key), {})[key] = (key[_UNIT], value)
        self._tonight = set(groups)
        for group, values in groups.items():
            self.monitors.setdefault(group, Monitor()).look(number, values)

    def _decide(self, again: Mapping[Key, float]) -> None:
        number = len(self.nights) - 1
        groups: dict[Key, dict[Key, float]] = {}
        for key, value in again.items():
            groups.setdefault(_group(key), {})[key] = value
        for group in self._tonight:
            self.monitors[group].decide(number, groups.get(group, {}))

    def series(self) -> Iterator[tuple[Key, Series, Monitor]]:
        """All series, by name; those that are not judged have a monitor without any."""
        for _, monitor in sorted(self.monitors.items()):
            for key, series in monitor.series.items():
                yield key, series, monitor
        for key, series in self.context.items():
            yield key, series, Monitor()

    def changes(self) -> list[Change]:
        """All changes that were called, newest first."""
        called = [change for monitor in self.monitors.values() for change in monitor.changes]
        return sorted(called, key=lambda change: (-change.called, change.key))

    def number(self, run_id: str) -> int | None:
        """Which night the run was."""
        return next(
            (number for number, night in enumerate(self.nights) if night.run_id == run_id), None
        )

    def alarm(self, key: Key, series: Series, changes: Sequence[Change]) -> Change | None:
        """The oldest change of a series for the worse that lasts, and that nobody accepted."""
        until = self.accepted.get(key)
        for change in changes:
            known = until is not None and self.nights[change.called].started <= until
            if worse(change) and not known:
                left = (series.level - change.before) / (change.after - change.before)
                if left >= _LASTS:
                    return change
        return None

    def of_change(self, change: Change) -> Series:
        """The series that changed."""
        return self.monitors[_group(change.key)].series[change.key]

    def differences(self, change: Change) -> list[str]:
        """What else differs between the last night before a change and its first one."""
        series = self.of_change(change)
        earlier = [night for night in series.nights if night < change.start]
        before, after = self.nights[earlier[-1]].facts, self.nights[change.start].facts
        return [
            f"{name}: {before[name]} → {after[name]}"
            for name in _FACTS
            if before[name] != after[name]
        ]


def _group(key: Key) -> Key:
    return tuple(key[place] for place in _GROUP)


def _medians(measured: pd.DataFrame) -> dict[tuple[str, bool, Key], float]:
    """{(run, measured again?, series): median of the repetitions}, runs in their order."""
    totals = measured[measured["reason"] == ""].astype({"gic": str})
    medians = totals.groupby(["run_id", "repeated", *KEY], sort=False)["value"].median()
    return {
        (name[0], bool(name[1]), tuple(map(str, name[2:]))): float(value)
        for name, value in zip(medians.index.to_list(), medians, strict=True)
    }


def worse(change: Change) -> bool:
    """Whether a change is one for the worse. What is counted per second ought to grow; costs,
    times and traps ought not."""
    grown = change.after > change.before
    return grown != change.key[_UNIT].endswith("/s")


def in_words(effect: float | None, before: float, level: float) -> str:
    """An effect in per cent; near 0, where that says nothing, the two levels."""
    if effect is None or not math.isfinite(effect):
        return f"from {before:,.4g} to {level:,.4g}"
    return f"{effect:+.2%}"


def table(history: History) -> pd.DataFrame:
    """A row per series. Columns: those of `KEY`; `runs` (count); `run_id` and `last`, its newest
    run and value; `median`, that of the newest regime; `change`, last / median - 1; `noise`,
    the relative standard deviation of a run; `verdict`. Of the regression that lasts, else of the
    newest change: `since`, the run that it began with, `before`, the median before it, `effect`
    (relative, NaN near 0) and `confidence`, NaN without one; `since` is then the first run."""
    rows = []
    for key, series, monitor in history.series():
        mine = [change for change in monitor.changes if change.key == key]
        alarm = history.alarm(key, series, mine)
        told = alarm or (mine[-1] if mine else None)
        level = series.level
        rows.append(
            {
                **dict(zip(KEY, key, strict=True)),
                "runs": len(set(series.nights)),
                "run_id": history.nights[series.nights[-1]].run_id,
                "last": _last(series),
                "median": level,
                "since": history.nights[told.start if told else series.nights[0]].run_id,
                "change": _last(series) / level - 1 if level else float("nan"),
                "noise": series.noise(monitor.prior).sigma,
                "verdict": str(_verdict(key, series, monitor, alarm, told)),
                "before": told.before if told else float("nan"),
                "effect": told.effect if told else float("nan"),
                "confidence": told.confidence if told else float("nan"),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


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
    "before",
    "effect",
    "confidence",
]


def _last(series: Series) -> float:
    """The value of the newest night, the mean of both if it was measured twice."""
    newest = [
        value
        for value, night in zip(series.values[-2:], series.nights[-2:], strict=True)
        if night == series.nights[-1]
    ]
    return sum(newest) / len(newest)


def _verdict(
    key: Key, series: Series, monitor: Monitor, alarm: Change | None, told: Change | None
) -> Verdict:
    if key[_UNIT] in _CONTEXT:
        return Verdict.CONTEXT
    if alarm:
        return Verdict.REGRESSED
    if told and told.called == series.nights[-1] and not worse(told):
        return Verdict.IMPROVED
    if len(series.values) <= LEARNING:
        return Verdict.LEARNING
    return Verdict.SUSPICIOUS if key in monitor.suspects else Verdict.STEADY


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
    return [*(f"{name}={row[name]}" for name in names), *str(row["settings"]).split()]


def noise_floors(judged: pd.DataFrame) -> pd.DataFrame:
    """A row per host and metric of a `table`: columns host, metric, `series` (count) and `noise`,
    the median of its series' relative standard deviations from run to run."""
    grouped = judged.groupby(["host", "metric"], sort=True)["noise"]
    return grouped.agg(series="count", noise="median").reset_index()


def suspicious(history: History) -> list[tuple[str, str, str]]:
    """Host, configuration and benchmark of all that looks changed in the newest run."""
    names = [KEY.index(name) for name in ("host", "configuration", "benchmark")]
    found = {
        tuple(key[name] for name in names): None
        for key, series, monitor in history.series()
        if key in monitor.suspects and series.nights[-1] == len(history.nights) - 1
    }
    return [(host, configuration, benchmark) for host, configuration, benchmark in found]


def judge(history: History, run_id: str) -> list[dict[str, Any]]:
    """What the newest run says of its series, for those that look changed: the rows of `table`
    with the verdicts suspicious, regressed and improved."""
    everything = table(history)
    mine = everything[
        (everything["run_id"] == run_id)
        & everything["verdict"].isin([Verdict.SUSPICIOUS, Verdict.REGRESSED, Verdict.IMPROVED])
    ]
    return records(mine)
