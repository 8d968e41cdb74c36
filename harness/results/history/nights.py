# SPDX-License-Identifier: MIT
"""The history: every series, judged night by night as a nightly run sees them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

import pandas as pd

from harness.model.measurement import USUAL, Statistic
from harness.model.sequence import Exits, difference
from harness.results.history import subject
from harness.results.history.acknowledgement import Acknowledgement
from harness.results.history.changes import Change, Key, Monitor, Series
from harness.results.history.exact import Difference, Exact, Figure, Lines
from harness.results.history.key import KEY, UNIT, group, line, lineage

# Neither better nor worse when they grow: a faster application makes more exits a second.
CONTEXT = ("exits per second", "CPUs")
_FACTS = ("harness", "emulator", "kernels", "microbench", "rootfs", "playbook")
_OF_SUBJECTS = ("kernels", "microbench")
C = TypeVar("C", bound=Change)
_LASTS = 0.5  # of a change for the worse that must be left for its alarm to last, if it has noise


@dataclass(frozen=True)
class Night:
    """A run as the history sees it."""

    run_id: str
    started: pd.Timestamp
    facts: Mapping[str, str]


@dataclass(frozen=True)
class _Measured:
    """What a night measured: first and again what has noise, and what is exact."""

    first: dict[Key, float] = field(default_factory=dict)
    again: dict[Key, float] = field(default_factory=dict)
    exact: dict[Key, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A series, and what the history says of it: its own `changes`, and those whose alarm may
    last; `noise`, relative, none of exact figures; whether its newest values are `suspicious`, and
    whether it is `current`: not followed by one of another subject, or by figures that are not
    exact, or are again."""

    key: Key
    series: Series | Exact
    changes: Sequence[Change]
    alarming: Sequence[Change]
    noise: float = float("nan")
    suspicious: bool = False
    current: bool = True


@dataclass
class History:
    """Every series of `nights`, judged night by night. Monitors are by host, metric, unit and
    statistic; `exact` are the series without noise; `acknowledged` says until when the changes of a
    series, and of all of its lineage, are its new normal. `sequences` are the trap sequences by
    their names, of which `wanted` are told; `unusual` are the series whose newest figures should
    be exact and are not, as they were the night before."""

    nights: list[Night] = field(default_factory=list)
    monitors: dict[Key, Monitor] = field(default_factory=dict)
    exact: Lines = field(default_factory=Lines)
    context: dict[Key, Series] = field(default_factory=dict)
    acknowledged: dict[Key, pd.Timestamp] = field(default_factory=dict)
    sequences: Mapping[str, Exits] = field(default_factory=dict)
    unusual: list[Key] = field(default_factory=list)
    _current: dict[Key, Key] = field(default_factory=dict)  # of each line, the newest series
    _tonight: set[Key] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        measured: pd.DataFrame,
        acknowledged: Sequence[Acknowledgement] = (),
    ) -> "History":
        """The history in a frame of `harness.results.load`; rows by reason are left out. What is
        `acknowledged` is what `Archive.acknowledged` says.

        A night's value is the median of the repetitions that the playbook asked for, its second
        one that of what was measured again. Exact ones must all be equal.
        """
        history = cls()
        for night in history._nights(measured):
            history._look(night)
            history._decide(night.again)
        for each in acknowledged:
            key = lineage(tuple(each.series.get(name, "") for name in KEY))
            known = history.acknowledged.get(key, each.until)
            history.acknowledged[key] = max(each.until, known)
        return history

    def look(self, measured: pd.DataFrame) -> None:
        """Take in the first measurements of a further night, which is not decided yet."""
        for night in self._nights(measured):
            self._look(night)

    def decide(self, measured: pd.DataFrame) -> None:
        """Decide the night that `look` was given, whose second measurements are in `measured`."""
        again = _medians(measured)
        self._decide({key: value for (_, repeated, key), value in again.items() if repeated})

    def _nights(self, measured: pd.DataFrame) -> Iterator[_Measured]:
        """What each night measured; the night is in `nights` by then."""
        runs = measured.drop_duplicates("run_id").set_index("run_id")
        values = {str(run_id): _Measured() for run_id in runs.index}
        for (run_id, repeated, key), value in _medians(measured).items():
            night = values[run_id]
            (night.again if repeated else night.first)[key] = value
        for (run_id, key), figure in _figures(measured).items():
            if figure.usual:
                values[run_id].exact[key] = figure
            else:
                values[run_id].first[line(key)] = figure.value
        columns = runs[["started", *_FACTS]].to_dict("index")
        for run_id, night in values.items():
            facts = columns[run_id]
            self.nights.append(
                Night(run_id, facts["started"], {name: str(facts[name]) for name in _FACTS})
            )
            yield night

    def _look(self, night: _Measured) -> None:
        number = len(self.nights) - 1
        self.unusual = [key for key in night.first if self._current.get(key, key) != key]
        self._current.update((line(key), key) for key in [*night.first, *night.exact])
        self.exact.look(number, night.exact)
        groups: dict[Key, dict[Key, tuple[str, float]]] = {}
        for key, value in night.first.items():
            if key[UNIT] in CONTEXT:
                self.context.setdefault(key, Series(key[UNIT])).add(number, value)
            else:
                groups.setdefault(group(key), {})[key] = (key[UNIT], value)
        self._tonight = set(groups)
        for name, values in groups.items():
            self.monitors.setdefault(name, Monitor()).look(number, values)

    def _decide(self, again: Mapping[Key, float]) -> None:
        number = len(self.nights) - 1
        groups: dict[Key, dict[Key, float]] = {}
        for key, value in again.items():
            groups.setdefault(group(key), {})[key] = value
        for name in self._tonight:
            self.monitors[name].decide(number, groups.get(name, {}))

    def entries(self) -> Iterator[Entry]:
        """All series, by name, those last that are not judged."""
        for _, monitor in sorted(self.monitors.items()):
            own = _by(monitor.changes, lambda key: key)
            for key, series in monitor.series.items():
                noise, mine = series.noise(monitor.prior).sigma, own.get(key, [])
                current = self._current[line(key)] == key
                yield Entry(key, series, mine, mine, noise, key in monitor.suspects, current)
        own = _by(self.exact.changes, lambda key: key)
        related = _by(self.exact.changes, lineage)
        for key, exact in sorted(self.exact.series.items()):
            current = self._current[line(key)] == key
            alarming = related.get(lineage(key), []) if current else []
            yield Entry(key, exact, own.get(key, []), alarming, current=current)
        for key, series in self.context.items():
            yield Entry(key, series, (), (), series.noise(Monitor().prior).sigma)

    def changes(self) -> list[Change]:
        """All changes that were called, newest first."""
        called = [change for monitor in self.monitors.values() for change in monitor.changes]
        return sorted(
            [*called, *self.exact.changes], key=lambda change: (-change.called, change.key)
        )

    def alarm(self, entry: Entry) -> Change | None:
        """The oldest change of a series for the worse that lasts, and that nobody acknowledged."""
        until, level = self.acknowledged.get(lineage(entry.key)), entry.series.level
        for change in entry.alarming:
            known = until is not None and self.nights[change.called].started <= until
            if worse(change) and not known:
                left = (level - change.before) / (change.after - change.before)
                if left > 0 if isinstance(change, Difference) else left >= _LASTS:
                    return change
        return None

    def of_change(self, change: Change) -> Series | Exact:
        """The series that changed."""
        if isinstance(change, Difference):
            return self.exact.series[change.key]
        return self.monitors[group(change.key)].series[change.key]

    def differences(self, change: Change) -> list[str]:
        """What else differs between the last night before a change and its first one."""
        if isinstance(change, Difference):
            own = subject.differences(*change.subjects)
            names, last = [name for name in _FACTS if name not in _OF_SUBJECTS], change.base
        else:
            earlier = [night for night in self.of_change(change).nights if night < change.start]
            own, names, last = [], list(_FACTS), earlier[-1]
        before, after = self.nights[last].facts, self.nights[change.start].facts
        return own + [
            f"{name}: {before[name]} → {after[name]}"
            for name in names
            if before[name] != after[name] and before[name] and after[name]
        ]

    @property
    def wanted(self) -> set[str]:
        """The names of the sequences that changes are told by."""
        return {name for change in self.exact.changes for name in change.sequences if name}

    def lines(self, change: Change) -> list[str]:
        """What is new and what is gone in the trap sequence; nothing where none is known."""
        if not isinstance(change, Difference):
            return []
        before, after = (self.sequences.get(name) for name in change.sequences)
        return [] if before is None or after is None else difference(before, after)


def _by(changes: Iterable[C], name: Callable[[Key], Key]) -> dict[Key, list[C]]:
    """The changes by what `name` makes of their series."""
    found: dict[Key, list[C]] = {}
    for change in changes:
        found.setdefault(name(change.key), []).append(change)
    return found


def _medians(measured: pd.DataFrame) -> dict[tuple[str, bool, Key], float]:
    """{(run, measured again?, series): median of the repetitions}, runs in their order, of what
    has noise; what was measured again has."""
    noisy = (measured["statistic"] != Statistic.MODE) | measured["repeated"]
    totals = measured[noisy & (measured["reason"] == "")].astype({"gic": str}).assign(subject="")
    medians = totals.groupby(["run_id", "repeated", *KEY], sort=False)["value"].median()
    return {
        (name[0], bool(name[1]), tuple(map(str, name[2:]))): float(value)
        for name, value in zip(medians.index.to_list(), medians, strict=True)
    }


def _figures(measured: pd.DataFrame) -> dict[tuple[str, Key], Figure]:
    """{(run, series): what should be exact}, runs in their order; if it is not, the median of
    the repetitions. What was measured again, for another metric's sake, adds nothing."""
    wanted = (measured["reason"] == "") & (measured["statistic"] == Statistic.MODE)
    totals = measured[wanted & ~measured["repeated"]]
    totals = totals.assign(sequence=totals["sequence"].fillna(""), share=totals["share"].fillna(0))
    found: dict[tuple[str, Key], list[Figure]] = {}
    columns = (totals[name].to_list() for name in ("run_id", *KEY, "value", "sequence", "share"))
    for run_id, *names, value, sequence, share in zip(*columns, strict=True):
        repetition = Figure(value, sequence, share >= USUAL)
        found.setdefault((run_id, tuple(map(str, names))), []).append(repetition)
    return {place: _joined(repetitions) for place, repetitions in found.items()}


def _joined(repetitions: Sequence[Figure]) -> Figure:
    """What the repetitions say together: exact figures are all the same."""
    first = repetitions[0]
    if all(each.usual and not each.differs(first) for each in repetitions):
        return first
    return Figure(median(each.value for each in repetitions), "", usual=False)


def worse(change: Change) -> bool:
    """Whether a change is one for the worse. What is counted per second ought to grow; costs,
    times and traps ought not."""
    grown, wanted = change.after > change.before, change.key[UNIT].endswith("/s")
    return change.after != change.before and grown != wanted
