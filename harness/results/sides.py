# SPDX-License-Identifier: MIT
"""Two sides of one experiment, cell by cell: same, faster, slower or unsure, with the evidence.

Exact figures are equal or not. Others are judged by the interval of their ratio (bootstrap over
boots) and the least effect that matters: a side is slower if the whole interval is beyond it, and
the same if the whole interval is within it.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from harness.model.measurement import Metric
from harness.model.sequence import difference
from harness.results import bootstrap, tables
from harness.results.bootstrap import ENOUGH_BOOTS, Times
from harness.results.measured import Measured

CellKey = tuple[str, str, str]  # host, configuration, benchmark
# What is counted per second or is busy is context: a faster application has more of both.
_CONTEXT = ("exits per second", "CPUs")


class Answer(StrEnum):
    """What the second side is, against the first; the worst first."""

    FAILED = "failed"
    SLOWER = "slower"
    UNSURE = "unsure"
    FASTER = "faster"
    SAME = "same"


@dataclass(frozen=True)
class Evidence:
    """A metric of a cell on both sides. `low` and `high` are the ends of the interval of the ratio
    after / before, of so many `boots`; None of exact figures, and where there is none."""

    metric: str
    unit: str
    statistic: str
    before: float
    after: float
    exact: bool
    answer: Answer
    low: float | None = None
    high: float | None = None
    boots: int = 0


@dataclass(frozen=True)
class CellAnswer:
    """A cell on both sides: `difference` has the lines of a diff of both trap sequences, `why` what
    is to be said beside the figures."""

    cell: CellKey
    answer: Answer
    evidence: tuple[Evidence, ...] = ()
    difference: tuple[str, ...] = ()
    why: str = ""

    @property
    def name(self) -> str:
        return "/".join(self.cell)


def answers(
    before: Measured, after: Measured, effect: float, *, steady: Sequence[str] = ()
) -> list[CellAnswer]:
    """Of each cell that both sides were to measure, in their order. `effect` is the least one that
    matters, 0.01 is 1 %; on the hosts that are `steady` every boot is the same as the first."""
    plans = [dict.fromkeys(map(_key, side.metadata.planned)) for side in (before, after)]
    planned = [key for key in plans[0] if key in plans[1]]
    failed = [_failures(side) for side in (before, after)]
    found, apart = _compared(before, after, effect, steady)
    told = []
    for key in planned:
        errors = [
            f"{name}: {side[key]}" for name, side in zip(_NAMES, failed, strict=True) if key in side
        ]
        if errors:
            told.append(CellAnswer(key, Answer.FAILED, why="; ".join(errors)))
        elif key in found:
            told.append(_cell(key, found[key], before, after, tuple(apart.get(key, ()))))
        elif key in apart:
            told.append(CellAnswer(key, Answer.UNSURE, why=_APART.format(", ".join(apart[key]))))
        else:
            done = all(_passed(side, key) for side in (before, after))
            answer, why = (Answer.SAME, "") if done else (Answer.FAILED, "not measured")
            told.append(CellAnswer(key, answer, why=why))
    return told


_NAMES = ("before", "after")
_APART = "{} can't be compared: the sides were not measured alike"
# What may differ between the sides of one cell.
_ONE = dict.fromkeys(("track", "cpu", "gic", "mechanism"), "")


def _compared(
    before: Measured, after: Measured, effect: float, steady: Sequence[str]
) -> tuple[dict[CellKey, list[Evidence]], dict[CellKey, dict[str, None]]]:
    """By cell, what is to be said of each metric, and the metrics that the sides have measured in
    other ways."""
    found: dict[CellKey, list[Evidence]] = {}
    apart: dict[CellKey, dict[str, None]] = {}
    if before.rows.empty or after.rows.empty:
        return found, apart
    frames = [side.rows.assign(**_ONE) for side in (before, after)]
    for row in tables.records(tables.comparison(*frames)):
        key = (row["host"], row["configuration"], row["benchmark"])
        if row["unit"] in _CONTEXT:
            continue
        if pd.isna(row["before"]) or pd.isna(row["after"]):
            apart.setdefault(key, {})[row["metric"]] = None
            continue
        judge = _exact if row["exact"] else _Noisy(before, after, effect, steady)
        found.setdefault(key, []).append(judge(key, row))
    return found, apart


def overall(cells: Sequence[CellAnswer]) -> Answer:
    """What all cells say together: the worst of them."""
    return min((cell.answer for cell in cells), key=list(Answer).index, default=Answer.UNSURE)


def _key(cell_id: str) -> CellKey:
    host, configuration, _, benchmark = cell_id.split("/", 3)
    return host, configuration, benchmark


def _failures(side: Measured) -> dict[CellKey, str]:
    return {
        _key(record.id): record.error.partition("\n")[0]
        for record in side.records
        if not record.passed
    }


def _passed(side: Measured, key: CellKey) -> bool:
    """Whether the cell has ended well: that of a payload has no figures."""
    return any(record.passed for record in side.records if _key(record.id) == key)


def _cell(
    key: CellKey,
    evidence: Sequence[Evidence],
    before: Measured,
    after: Measured,
    apart: Sequence[str],
) -> CellAnswer:
    said = {each.answer for each in evidence}
    why = ""
    if {Answer.FASTER, Answer.SLOWER} <= said:
        said = {Answer.UNSURE}
        why = "one metric is better and another one worse"
    sequences = [side.sequences.get(key) for side in (before, after)]
    exact = any(each.exact and each.metric == Metric.TRAPS for each in evidence)
    lines: Sequence[str] = ()
    if exact and sequences[0] is not None and sequences[1] is not None:
        lines = difference(sequences[0], sequences[1])
    answer = min(said, key=list(Answer).index)
    if lines and answer is Answer.SAME:
        why = "as many traps, but other ones"
    if apart:
        why = "; ".join(filter(None, (why, _APART.format(", ".join(apart)))))
    return CellAnswer(key, answer, tuple(evidence), tuple(lines), why)


def _exact(_: CellKey, row: Mapping[str, Any]) -> Evidence:
    return _evidence(row, _direction(row, row["difference"], 0.0))


def _direction(row: Mapping[str, Any], change: float, least: float) -> Answer:
    """Throughput ought to grow, everything else ought not."""
    if row["metric"] == Metric.THROUGHPUT:
        change = -change
    return Answer.SLOWER if change > least else Answer.FASTER if change < -least else Answer.SAME


def _evidence(row: Mapping[str, Any], answer: Answer, **more: Any) -> Evidence:
    named = {name: row[name] for name in ("metric", "unit", "statistic", "before", "after")}
    return Evidence(**named, exact=bool(row["exact"]), answer=answer, **more)


@dataclass(frozen=True)
class _Noisy:
    """Judges figures with noise."""

    before: Measured
    after: Measured
    effect: float
    steady: Sequence[str]

    def __call__(self, key: CellKey, row: Mapping[str, Any]) -> Evidence:
        if key[0] in self.steady and self._equal(key, row):
            return _evidence({**row, "exact": True}, Answer.SAME)
        sides = [self._by_boot(side, key, row) for side in (self.before, self.after)]
        boots = min(map(len, sides))
        seed = zlib.crc32("/".join((*key, row["metric"])).encode())
        interval = self._interval(key, row, seed)
        enough = boots >= ENOUGH_BOOTS or key[0] in self.steady
        if interval is None or not enough:
            low, high = interval or (None, None)
            return _evidence(row, Answer.UNSURE, low=low, high=high, boots=boots)
        low, high = interval
        return _evidence(row, self._answer(row, low, high), low=low, high=high, boots=boots)

    def _equal(self, key: CellKey, row: Mapping[str, Any]) -> bool:
        """Whether both sides have measured the same of every operation."""
        if row["before"] != row["after"]:
            return False
        name = "sequences" if row["metric"] == Metric.TRAPS else "counts"
        before, after = (_kept(side, key, name) for side in (self.before, self.after))
        return bool(before) and before == after

    def _answer(self, row: Mapping[str, Any], low: float, high: float) -> Answer:
        sides = {_direction(row, end - 1, self.effect) for end in (low, high)}
        return sides.pop() if len(sides) == 1 else Answer.UNSURE

    def _interval(
        self, key: CellKey, row: Mapping[str, Any], seed: int
    ) -> tuple[float, float] | None:
        if row["metric"] == Metric.COST:
            times = [_times(side, key) for side in (self.after, self.before)]
            if times[0] and times[1]:
                return bootstrap.ratio(times[0], times[1], seed)
        after, before = (self._by_boot(side, key, row) for side in (self.after, self.before))
        return bootstrap.ratio_of_medians(list(after.values()), list(before.values()), seed)

    def _by_boot(self, side: Measured, key: CellKey, row: Mapping[str, Any]) -> dict[int, float]:
        wanted = ("metric", "level", "unit", "statistic")
        return {
            each.repetition: each.value
            for record in side.records
            if record.passed and _key(record.id) == key
            for each in record.measurements
            if not each.reason and all(getattr(each, name) == row[name] for name in wanted)
        }


def _kept(side: Measured, key: CellKey, name: str) -> list[Any]:
    """What the cell's samples have of that name, by repetition."""
    return [
        (record.name.repetition, sample[name])
        for record in side.records
        if _key(record.id) == key
        for sample in record.samples
        if name in sample
    ]


def _times(side: Measured, key: CellKey) -> dict[int, Times]:
    """All times of a cell, by boot."""
    return {
        record.name.repetition: times
        for record in side.records
        if _key(record.id) == key
        for sample in record.samples
        if (times := Times.of(sample))
    }
