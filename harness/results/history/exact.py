# SPDX-License-Identifier: MIT
"""Series of exact figures: any difference is a change, in the night that measures it first.

A series is of one subject. Its first night is compared with the newest one of its lineage, so a
new kernel is compared with the one before it; each later night is compared with the series' own
newest one, so two kernels that take turns differ once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.results.history.changes import Change, Key
from harness.results.history.key import UNIT, line, lineage, subject_of


@dataclass(frozen=True)
class Figure:
    """What a night measured: a value, the name of the trap sequence whose length it is, or
    nothing, and whether it is `usual`: whether it stands for its operations and repetitions."""

    value: float
    sequence: str
    usual: bool

    def differs(self, other: "Figure") -> bool:
        """By value alone where one of them has no sequence."""
        known = bool(self.sequence and other.sequence)
        return self.value != other.value or (known and self.sequence != other.sequence)


@dataclass(frozen=True)
class Difference(Change):
    """A figure that is another than in the night `base`, which `subject`s were measured in, before
    and after, and the names of the two sequences."""

    base: int
    subjects: tuple[str, str]
    sequences: tuple[str, str]


@dataclass
class Exact:
    """One metric of one cell of one subject, a figure a night."""

    unit: str
    figures: list[Figure] = field(default_factory=list)
    nights: list[int] = field(default_factory=list)

    def add(self, night: int, figure: Figure) -> None:
        self.figures.append(figure)
        self.nights.append(night)

    @property
    def values(self) -> list[float]:
        """Of all nights, in `unit`."""
        return [figure.value for figure in self.figures]

    @property
    def level(self) -> float:
        """The newest value that is usual, else the newest."""
        return self.figures[self._newest()].value

    def usual(self) -> tuple[int, Figure] | None:
        """The newest night whose figure is usual, and that."""
        place = self._newest()
        return (self.nights[place], self.figures[place]) if self.figures[place].usual else None

    def _newest(self) -> int:
        places = reversed(range(len(self.figures)))
        return next((place for place in places if self.figures[place].usual), -1)


@dataclass
class Lines:
    """All exact series. `unusual` are those whose newest figure is, and the one before was not."""

    series: dict[Key, Exact] = field(default_factory=dict)
    changes: list[Difference] = field(default_factory=list)
    unusual: list[Key] = field(default_factory=list)
    _current: dict[Key, Key] = field(default_factory=dict)  # of each line, the newest series
    _usual: dict[Key, Key] = field(default_factory=dict)  # of each lineage, the newest usual one

    def look(self, night: int, figures: Mapping[Key, Figure]) -> None:
        """Take in what a night measured; `changes` has then what differs."""
        self.unusual = []
        for key, figure in figures.items():
            former = self.series.get(key) or self.series.get(self._current.get(line(key), key))
            base_key = self._base(key)
            if figure.usual:
                self._usual[lineage(key)] = key
                if base_key:
                    self._compare(night, key, figure, base_key)
            elif former and former.figures[-1].usual:
                self.unusual.append(key)
            self.series.setdefault(key, Exact(key[UNIT])).add(night, figure)
            self._current[line(key)] = key

    def current(self, key: Key) -> bool:
        """Whether the series is the newest of those that differ in their subject."""
        return self._current[line(key)] == key

    def _base(self, key: Key) -> Key | None:
        """The series whose newest usual figure a further one of `key` is compared with."""
        mine = self.series.get(key)
        return key if mine and mine.usual() else self._usual.get(lineage(key))

    def _compare(self, night: int, key: Key, figure: Figure, base_key: Key) -> None:
        base = self.series[base_key].usual()
        if base and figure.differs(base[1]):
            number, before = base
            self.changes.append(
                Difference(
                    key,
                    start=night,
                    called=night,
                    before=before.value,
                    after=figure.value,
                    confidence=1.0,
                    base=number,
                    subjects=(subject_of(base_key), subject_of(key)),
                    sequences=(before.sequence, figure.sequence),
                )
            )
