# SPDX-License-Identifier: MIT
"""The micro-benchmarks: cost in counter ticks, and exits to L0 in a repetition of their own."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.bench.traps import TrapCounter, per_operation
from harness.machine.guest.microbench import MicrobenchGuest, Sample
from harness.model.measurement import Metric, Statistic

BENCHMARKS = ("hypercall", "device-io", "device-io-user", "virtual-ipi", "virtual-eoi")
_NANOSECOND_HZ = 1_000_000_000
_EXPENSIVE_NANOSECONDS = 20_000


@dataclass(frozen=True)
class Effort:
    """How much is measured. `trap_iterations` are the two counts whose difference is taken,
    for an operation that is expensive; see `trap_counts`."""

    iterations: int
    warmup: int
    trap_iterations: tuple[int, int]
    seconds: float

    def part(self, share: float) -> "Effort":
        """The same with `share` of all iterations, a few at the least."""
        few, many = (math.ceil(count * share) for count in self.trap_iterations)
        return Effort(
            max(2, math.ceil(self.iterations * share)),
            math.ceil(self.warmup * share),
            (few, max(many, few + 1)),
            self.seconds,
        )


@dataclass(frozen=True)
class Value:
    """A row of results.csv without the cell that it belongs to, which the caller adds."""

    metric: Metric
    unit: str
    value: float
    stdev: float | None
    iterations: int
    reason: str = ""
    statistic: Statistic = field(kw_only=True)
    level: str = ""
    share: float | None = None


def cost_value(sample: Sample, *, icount: bool) -> Value:
    """The median of `sample`.

    With icount a nanosecond of virtual time is an instruction, and so is a cycle, whatever
    the counter's frequency; on hardware the unit is the timer's tick.
    """
    counts_cycles = sample.timer == "cycles"
    scale = _NANOSECOND_HZ / sample.hz if icount and not counts_cycles else 1.0
    unit = "instructions" if icount else "cycles" if counts_cycles else "ticks"
    return Value(
        Metric.COST,
        unit,
        sample.median * scale,
        sample.stdev * scale,
        sample.iterations,
        statistic=Statistic.MEDIAN,
    )


def trap_counts(sample: Sample, effort: Effort) -> tuple[int, int]:
    """The two counts for an operation that costs what `sample` says.

    A few exits happen besides the operations (timer ticks, characters of the console). What is
    cheap is repeated up to 200 times more often, so that they weigh nothing there either.
    """
    nanoseconds = max(1.0, sample.median * _NANOSECOND_HZ / sample.hz)
    scale = int(min(200.0, max(1.0, _EXPENSIVE_NANOSECONDS / nanoseconds)))
    few, many = effort.trap_iterations
    return few * scale, many * scale


def measure_cost(guest: MicrobenchGuest, benchmark: str, effort: Effort) -> Sample:
    return guest.run(benchmark, effort.iterations, effort.warmup, effort.seconds)


def measure_traps(
    guest: MicrobenchGuest, counter: TrapCounter, sample: Sample, effort: Effort
) -> Iterator[Value]:
    """The total, and a row for every reason that occurred, for what `sample` timed."""
    few, many = trap_counts(sample, effort)
    by_reason = per_operation(
        counter,
        lambda count: guest.repeat(sample.benchmark, count, effort.seconds),
        few,
        many,
    )
    for reason, value in {"": sum(by_reason.values()), **by_reason}.items():
        if value or not reason:
            yield Value(
                Metric.TRAPS, "exits", value, None, many - few, reason, statistic=Statistic.MEAN
            )
