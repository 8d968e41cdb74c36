# SPDX-License-Identifier: MIT
"""What a good revision does: `hypercall/nested-neve-vhe/traps <= 8`, or
`hypercall/nested-neve-vhe passes`."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from harness.errors import UserError
from harness.model.cell import CellRecord
from harness.model.measurement import Metric
from harness.model.playbook import Benchmark, Configuration

_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_FORM = re.compile(
    rf"\s*(?P<benchmark>[\w-]+)/(?P<configuration>[\w.-]+)"
    rf"(?:/(?P<metric>\w+)\s*(?P<sign>{'|'.join(_SIGNS)})\s*(?P<number>[0-9][0-9_]*(?:\.[0-9]+)?)"
    r"|\s+(?:passes|boots))\s*"
)


@dataclass(frozen=True)
class Expectation:
    """Of a cell that it passes and, with a metric, that its median compares so with `number`."""

    text: str
    benchmark: Benchmark
    configuration: Configuration
    metric: Metric | None = None
    sign: str = ""
    number: float = 0.0

    @classmethod
    def of(cls, text: str) -> "Expectation":
        """What `text` says. Raises UserError if it is none."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise UserError(
                f"--expect {text!r}: expected BENCHMARK/CONFIGURATION/METRIC <= NUMBER, as in "
                "'hypercall/nested-neve-vhe/traps <= 8', or BENCHMARK/CONFIGURATION passes"
            )
        try:
            benchmark = Benchmark(found["benchmark"])
            configuration = Configuration(found["configuration"])
            metric = Metric(found["metric"]) if found["metric"] else None
        except ValueError as error:
            raise UserError(f"--expect {text!r}: {error}") from error
        number = float(found["number"] or 0)
        return cls(text.strip(), benchmark, configuration, metric, found["sign"] or "", number)

    @property
    def of_passing(self) -> bool:
        """Whether a cell that fails is bad; else nothing is known of the revision."""
        return self.metric is None

    def mine(self, records: Iterable[CellRecord]) -> list[CellRecord]:
        """The cells that it is about."""
        wanted = (self.configuration, self.benchmark)
        return [
            record
            for record in records
            if (record.name.configuration, record.name.benchmark) == wanted
        ]

    def value(self, records: Iterable[CellRecord]) -> float | None:
        """What its cells measured; None if one has failed, or has nothing of that kind."""
        cells = self.mine(records)
        values = [
            row.value
            for record in cells
            for row in record.measurements
            if row.metric == self.metric and not row.reason and not row.level
        ]
        return median(values) if values and all(record.passed for record in cells) else None

    def holds(self, records: Iterable[CellRecord]) -> bool | None:
        """Whether it does; None if nobody can say."""
        cells = self.mine(records)
        if self.metric is None:
            return all(record.passed for record in cells) if cells else None
        value = self.value(cells)
        return None if value is None else _SIGNS[self.sign](value, self.number)
