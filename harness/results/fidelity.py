# SPDX-License-Identifier: MIT
"""Is the paravirtual emulation faithful? Compares its trap sequences with those of the CPU's own
virtual EL2."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from harness.model.sequence import Exits, difference

_Place = tuple[str, str]  # host and configuration
_Sequences = Mapping[tuple[str, str, str], Exits]  # by host, configuration and benchmark


@dataclass(frozen=True)
class Pair:
    """A benchmark in two places that ought to trap alike; `differing` are the lines of a diff."""

    first: _Place
    second: _Place
    benchmark: str
    traps: tuple[int, int]
    differing: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """`132 =`, or both numbers and how many lines differ."""
        if not self.differing:
            return f"{self.traps[0]} ="
        return f"{self.traps[0]} / {self.traps[1]} ({len(self.differing)} differ)"

    @property
    def title(self) -> str:
        return f"{self.benchmark}, {' '.join(self.second)} in place of {' '.join(self.first)}"


@dataclass(frozen=True)
class Fidelity:
    """All pairs of a run."""

    pairs: tuple[Pair, ...]

    @classmethod
    def of(cls, sequences: _Sequences, emulated_by: Mapping[str, str]) -> "Fidelity | None":
        """None where no configuration and its emulation, as `emulated_by` names it, were both
        measured."""
        return cls(found) if (found := tuple(_pairs(sequences, emulated_by))) else None

    @property
    def table(self) -> pd.DataFrame:
        """A row for each two places, a column for each benchmark, as text."""
        rows: dict[tuple[_Place, _Place], dict[str, str]] = {}
        for pair in self.pairs:
            rows.setdefault((pair.second, pair.first), {})[pair.benchmark] = pair.verdict
        return pd.DataFrame(
            [
                {"sequence of": " ".join(second), "beside": " ".join(first), **verdicts}
                for (second, first), verdicts in rows.items()
            ]
        ).fillna("")

    @property
    def differing(self) -> dict[str, tuple[str, ...]]:
        """The lines that differ, by the title of the pair."""
        return {pair.title: pair.differing for pair in self.pairs if pair.differing}

    def text(self) -> str:
        """For people, as markdown."""
        shown = self.table.to_markdown(index=False, disable_numparse=True)
        lines = [f"{title}: {line}" for title, own in self.differing.items() for line in own]
        return "\n\n".join([shown, *(["\n".join(lines)] if lines else [])])

    def data(self) -> list[dict[str, Any]]:
        """For programs."""
        return [asdict(pair) for pair in self.pairs]


def _pairs(sequences: _Sequences, emulated_by: Mapping[str, str]) -> Iterator[Pair]:
    """An emulation on each other host, and what it emulates on each host, beside the emulation on
    the first host that has it."""
    measured = {configuration for _, configuration, _ in sequences}
    for name, emulation in emulated_by.items():
        if not {name, emulation} <= measured:
            continue
        first: dict[str, tuple[_Place, Exits]] = {}
        for (host, configuration, benchmark), exits in sequences.items():
            if configuration == emulation:
                first.setdefault(benchmark, ((host, configuration), exits))
        for (host, configuration, benchmark), exits in sequences.items():
            if configuration not in (emulation, name) or benchmark not in first:
                continue
            place, expected = first[benchmark]
            if (host, configuration) != place:
                yield Pair(
                    place,
                    (host, configuration),
                    benchmark,
                    (sum(map(len, expected)), sum(map(len, exits))),
                    tuple(difference(expected, exits)),
                )
