# SPDX-License-Identifier: MIT
"""Series of exact figures: any difference is a change, in the night that measures it first.

A series is of one subject. Its first night is compared with the newest one of its lineage, so a
new kernel is compared with the one before it; each later night is compared with the series' own
newest one, so two kernels that take turns differ once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.results.history.changes import Change, Key
from harness.results.history.key import UNIT, lineage, subject_of


@dataclass(frozen=True)
class Figure:
    """What a night measured: a value, and the name of the trap sequence whose length it is, or
    nothing; `usual` if it stands for all operations and repetitions, else it is not exact."""

    value: float
    sequence: str
    usual: bool

    def differs(self, other: "Figure") -> bool:
        """By value alone where one of them has no sequence."""
        known = bool(self.sequence and other.sequence)
        return self.value != other.value or (known and self.sequence != other.sequence)


@dataclass(frozen=True)
class Difference(Change):
    """A figure that is another than in the night `base`, what was measured before and after
    (`subjects`), and the names of the two trap sequences."""

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
        """The newest value."""
        return self.figures[-1].value


@dataclass
class Lines:
    """All exact series, and what differed."""

    series: dict[Key, Exact] = field(default_factory=dict)
    changes: list[Difference] = field(default_factory=list)
    _newest: dict[Key, Key] = field(default_factory=dict)  # of each lineage, the newest series

    def look(self, night: int, figures: Mapping[Key, Figure]) -> None:
        """Take in what a night measured; `changes` has then what differs."""
        for key, figure in figures.items():
            base = key if key in self.series else self._newest.get(lineage(key))
            if base:
                self._compare(night, key, figure, base)
            self.series.setdefault(key, Exact(key[UNIT])).add(night, figure)
            self._newest[lineage(key)] = key

    def _compare(self, night: int, key: Key, figure: Figure, base: Key) -> None:
        before, number = self.series[base].figures[-1], self.series[base].nights[-1]
        if figure.differs(before):
            self.changes.append(
                Difference(
                    key,
                    start=night,
                    called=night,
                    before=before.value,
                    after=figure.value,
                    confidence=1.0,
                    base=number,
                    subjects=(subject_of(base), subject_of(key)),
                    sequences=(before.sequence, figure.sequence),
                )
            )
