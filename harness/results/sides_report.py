# SPDX-License-Identifier: MIT
"""What two sides of an experiment are said to be: text, JSON, JUnit and HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import junitparser
import pandas as pd

from harness.cache import write_atomically
from harness.plain import plain
from harness.results.content import figure, number, signed
from harness.results.measured import Measured
from harness.results.rendering import rendered
from harness.results.sides import Answer, CellAnswer, Evidence, overall


@dataclass(frozen=True)
class Sides:
    """An experiment: `what` varies, and is `values` on the two sides, whose figures differ in what
    matters by `effect` at least."""

    what: str
    values: tuple[str, str]
    effect: float
    before: Measured
    after: Measured
    cells: Sequence[CellAnswer]

    @property
    def answer(self) -> Answer:
        return overall(self.cells)

    @property
    def headline(self) -> str:
        """The answer, and how many cells say so."""
        counts = dict.fromkeys(Answer, 0)
        for cell in self.cells:
            counts[cell.answer] += 1
        said = ", ".join(f"{count} {answer}" for answer, count in counts.items() if count)
        return f"{self.answer}: {said or 'nothing was measured'}"

    @property
    def provenance(self) -> list[str]:
        """What each side has booted, where they differ."""
        lines = [f"{self.what}: {self.values[0]} → {self.values[1]}"]
        old, new = (side.metadata.kernels for side in (self.before, self.after))
        for name in dict.fromkeys([*old, *new]):
            if name in old and name in new:
                images = [_kernel(side[name]) for side in (old, new)]
                if old[name].sha256 and old[name].sha256 == new[name].sha256:
                    if old[name].origin != new[name].origin:
                        lines.append(f"kernel of {name.upper()}: one image: {' = '.join(images)}")
                else:
                    lines.append(f"kernel of {name.upper()}: {' → '.join(images)}")
        return lines

    def table(self) -> pd.DataFrame:
        """A row per cell and metric, as text."""
        several = len({cell.cell[0] for cell in self.cells}) > 1
        rows = [
            {
                **({"host": cell.cell[0]} if several else {}),
                "configuration": cell.cell[1],
                "benchmark": cell.cell[2],
                "metric": each.metric,
                "unit": each.unit,
                "before": _value(each, each.before),
                "after": _value(each, each.after),
                "change": change(each),
                "answer": str(each.answer),
            }
            for cell in self.cells
            for each in cell.evidence
        ]
        return pd.DataFrame(rows)

    @property
    def notes(self) -> list[str]:
        """A line for each difference of trap sequences, and what else is to be said of cells."""
        return [
            f"{cell.name}: {plain(line)}"
            for cell in self.cells
            for line in (*cell.difference, *([cell.why] if cell.why else []))
        ]

    def text(self) -> str:
        """For people, as markdown."""
        table = self.table()
        shown = "" if table.empty else table.to_markdown(index=False, disable_numparse=True)
        parts = [shown, "\n".join(self.notes), "\n".join(self.provenance), self.headline]
        return "\n\n".join(part for part in parts if part)

    def data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "answer": str(self.answer),
            "vary": self.what,
            "values": list(self.values),
            "effect": self.effect,
            "runs": [str(side.folder.path) for side in (self.before, self.after)],
            "kernels": [
                {name: kernel.model_dump() for name, kernel in side.metadata.kernels.items()}
                for side in (self.before, self.after)
            ],
            "booted": [
                side.metadata.written().get("booted", {}) for side in (self.before, self.after)
            ],
            "cells": [
                {
                    "cell": cell.name,
                    "answer": str(cell.answer),
                    "evidence": [asdict(each) for each in cell.evidence],
                    "difference": list(cell.difference),
                    "why": cell.why,
                }
                for cell in self.cells
            ],
        }

    def write(self, folder: Path) -> None:
        """report.md, report.html and junit.xml into `folder`."""
        write_atomically(folder / "report.md", f"{self.text()}\n")
        write_atomically(folder / "report.html", self._html())
        write_atomically(folder / "junit.xml", self._junit(folder.name))

    def _html(self) -> str:
        rows: list[Mapping[str, Any]] = self.table().to_dict("records")  # type: ignore[assignment]
        return rendered("sides.html.j2", sides=self, rows=rows)

    def _junit(self, name: str) -> str:
        suite = junitparser.TestSuite(name)
        for cell in self.cells:
            host, configuration, benchmark = cell.cell
            case = junitparser.TestCase(benchmark, classname=f"{host}/{configuration}")
            said = plain("; ".join(_told(cell)))
            if cell.answer in (Answer.SLOWER, Answer.FAILED):
                case.result = [junitparser.Failure(said)]
            elif cell.answer is Answer.UNSURE:
                case.result = [junitparser.Error(said)]
            else:
                case.system_out = said
            suite.add_testcase(case)
        document = junitparser.JUnitXml()
        document.add_testsuite(suite)
        return str(document.tostring(), "utf-8") + "\n"  # type: ignore[no-untyped-call]


def change(each: Evidence) -> str:
    """Exact figures are equal or not; others differ by so much, with the interval of that."""
    if each.exact:
        return signed(each.after - each.before) or "equal"
    ratio = "" if not each.before else f"{each.after / each.before - 1:+.2%}"
    if each.low is None or each.high is None:
        return f"{ratio} (no interval: {each.boots} boots)".strip()
    boots = f", {each.boots} boot{'' if each.boots == 1 else 's'}"
    return f"{ratio} ({each.low - 1:+.2%} to {each.high - 1:+.2%}{boots})"


def _value(each: Evidence, value: float) -> str:
    return figure(value) if each.exact else number(value, 2)


def _told(cell: CellAnswer) -> list[str]:
    figures = [
        f"{each.metric} {_value(each, each.before)} → {_value(each, each.after)} {each.unit} "
        f"({change(each)}): {each.answer}"
        for each in cell.evidence
    ]
    return [*figures, *cell.difference, *([cell.why] if cell.why else [])]


def _kernel(kernel: Any) -> str:
    without = f", without {', '.join(kernel.without)}" if kernel.without else ""
    return f"Linux {kernel.version} of {kernel.origin} ({kernel.key}{without})"
