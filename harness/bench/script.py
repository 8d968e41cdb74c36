# SPDX-License-Identifier: MIT
"""The script by which L0 measures micro-benchmarks in one configuration, and what it says.

L0 runs it alone, so nothing from outside disturbs the measurement: a hermetic machine has it in its
initrd, a server gets it over SSH.
"""

import base64
import binascii
import gzip
import itertools
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.bench import proof
from harness.bench.outcome import Outcome, Value
from harness.bench.proof import Booted
from harness.bench.sequence import Sequences, as_text, cut, parse
from harness.bench.traps import Event, Histogram, parse_histogram
from harness.deadline import Deadline
from harness.errors import GuestError
from harness.machine.console import Program
from harness.machine.guest.microbench import Sample, parse_line, read_batch, read_sample
from harness.model.measurement import Metric, Statistic
from harness.paths import IMAGES

FUNCTIONS = IMAGES / "script" / "micro.sh"
EMPTY = "empty"  # the guest's benchmark of an operation that does nothing
_LINE = r"@(?:MB|NEVE) [^\r\n]*\r*\n"


@dataclass(frozen=True)
class Effort:
    """How much is measured: operations that are timed, those before that are not, and those
    whose exits are traced."""

    iterations: int
    warmup: int
    operations: int
    seconds: float

    def part(self, share: float) -> "Effort":
        """The same with `share` of all that is timed, a few at the least."""
        return Effort(
            max(2, math.ceil(self.iterations * share)),
            math.ceil(self.warmup * share),
            self.operations,
            self.seconds,
        )


@dataclass(frozen=True)
class Step:
    """One benchmark: how often it is timed, warmed up, and traced. With `ticks`, so many operations
    are timed at once that they take as many; without, each alone."""

    benchmark: str
    effort: Effort
    ticks: int = 0

    def line(self) -> str:
        effort = self.effort
        words = [self.benchmark, effort.iterations, effort.warmup, effort.operations]
        return " ".join(map(str, ["cell", *words, *([self.ticks] if self.ticks else [])]))


def script(variables: Mapping[str, str], steps: Sequence[Step]) -> str:
    """The whole text."""
    return "\n".join(
        [
            *(f"{name}={shlex.quote(value)}" for name, value in variables.items()),
            FUNCTIONS.read_text(encoding="utf-8"),
            "begin",
            *(step.line() for step in steps),
            "end",
            "",
        ]
    )


@dataclass(frozen=True)
class Found:
    """What a step gave: all times, and the exits of its operations, by sequence or as a
    histogram. `empty` are the times of as many operations that do nothing, where a real processor
    was measured."""

    sample: Sample
    exits: Sequences | Histogram
    empty: Sample | None = None


@dataclass(frozen=True)
class Script:
    """The script under way: what it says is read step by step."""

    program: Program
    boot_seconds: float

    def begun(self) -> list[Booted]:
        """Wait until the guest that is measured is up: what the levels below say that they booted.
        Raises GuestError if it does not get so."""
        deadline = Deadline(self.boot_seconds, "the benchmark guest to start")
        found = []
        while (line := self._line(deadline)) != "@NEVE begun":
            if line.startswith(proof.LINE):  # others are of the guest, and which timer it has
                found.append(Booted.of(line))
        return found

    def measure(self, step: Step, event: Event, cpus: Sequence[int]) -> Found:
        """What the guest and L0's tracepoint say of `step`, which is the next one, with the vCPUs
        of the guest in L0 on `cpus`.

        Raises GuestError if the benchmark fails, a vCPU was elsewhere, or exits are missing.
        """
        deadline = Deadline(step.effort.seconds, f"{step.benchmark} to end")
        self._expect(f"@NEVE cell {step.benchmark}", deadline)
        self._verify(cpus, deadline)
        sample, empty = self._times(step, deadline)
        read = self._sequences if event.complete else self._histogram
        exits = read(step, event, deadline)
        self._verify(cpus, deadline)
        return Found(sample, exits, empty)

    def ended(self) -> None:
        """Wait for the end of all guests."""
        deadline = Deadline(self.boot_seconds, "the guests to end")
        self._expect("@NEVE end", deadline)

    def _times(self, step: Step, deadline: Deadline) -> tuple[Sample, Sample | None]:
        """Of the operations, and of as many that do nothing."""
        if not step.ticks:
            return self._sample(step.benchmark, deadline), None
        batch = read_batch(step.benchmark, self._line(deadline))
        found = [self._sample(name, deadline) for name in (step.benchmark, EMPTY)]
        if {each.batch for each in found} != {batch}:
            raise GuestError(f"{step.benchmark}: its batch is not of {batch} operations")
        return found[0], found[1]

    def _sample(self, benchmark: str, deadline: Deadline) -> Sample:
        return read_sample(benchmark, (self._line(deadline) for _ in itertools.count()))

    def _verify(self, cpus: Sequence[int], deadline: Deadline) -> None:
        said = self._expect(r"@NEVE vcpus((?: \d+=[0-9,-]+)*)", deadline)[1].split()
        wanted = [f"{number}={cpu}" for number, cpu in enumerate(cpus)]
        if sorted(said) != sorted(wanted):
            raise GuestError(
                f"{self.program.console.name}: vCPUs are not on CPUs of their own: "
                f"{' '.join(said) or 'there are none'}, expected {' '.join(wanted)}"
            )

    def _expect(self, pattern: str, deadline: Deadline) -> re.Match[str]:
        line = self._line(deadline)
        found = re.fullmatch(pattern, line)
        if found is None:
            raise GuestError(f"{self.program.console.name}: unexpected line {line!r}")
        return found

    def _line(self, deadline: Deadline) -> str:
        line = self.program.expect(_LINE, deadline)[0].strip()
        if line.startswith("@NEVE failed"):
            raise GuestError(f"{self.program.console.name}: {line.removeprefix('@NEVE failed ')}")
        return line

    def _repeated(self, step: Step, deadline: Deadline) -> None:
        if (fields := parse_line(self._line(deadline)))["kind"] != "done":
            raise GuestError(f"{step.benchmark}: the guest says {fields}")

    def _packed(self, step: Step, deadline: Deadline) -> str:
        """What stands packed between a line that has been read and "@NEVE packed"."""
        # Line by line: one pattern for all lines would be tried again at each new character.
        lines = (
            self.program.expect(r"[^\r\n]*\r*\n", deadline)[0].strip() for _ in itertools.count()
        )
        packed = "".join(itertools.takewhile(lambda line: line != "@NEVE packed", lines))
        try:
            return gzip.decompress(base64.b64decode(packed)).decode()
        except (binascii.Error, OSError, EOFError, UnicodeDecodeError) as error:
            raise GuestError(f"{step.benchmark}: a damaged trace: {error}") from error

    def _sequences(self, step: Step, event: Event, deadline: Deadline) -> Sequences:
        self._repeated(step, deadline)
        lost = int(self._expect(r"@NEVE trace lost=(\d+)", deadline)[1])
        text = self._packed(step, deadline)
        if lost:
            raise GuestError(f"{step.benchmark}: L0's ring buffer lost {lost} exits")
        return cut(parse(text, event), step.benchmark, step.effort.operations)

    def _histogram(self, step: Step, event: Event, deadline: Deadline) -> Histogram:
        """Of two counts of operations: their difference holds no exit of the beginning, the end
        or of the answer; it keeps what is proportional to time."""
        counts = []
        for _ in range(3):
            self._expect("@NEVE histogram", deadline)
            counts.append(parse_histogram(self._packed(step, deadline), event))
            if len(counts) < 3:
                self._repeated(step, deadline)
        return Histogram.of_counts(counts, step.effort.operations)


def outcome(found: Found, *, icount: bool) -> Outcome:
    """The rows of a cell, and all that was seen."""
    sample, exits = found.sample, found.exits
    details: dict[str, Any] = {
        "benchmark": sample.benchmark,
        "timer": sample.timer,
        "hz": sample.hz,
        "batch": sample.batch,
        **_statistics(sample),
    }
    if found.empty:
        details["empty"] = _statistics(found.empty)
    if isinstance(exits, Sequences):
        details |= _sequences(exits)
    return Outcome([_cost(found, icount=icount), *_traps(exits)], [details])


def _statistics(sample: Sample) -> dict[str, Any]:
    """Of all samples, in ticks of a batch."""
    return {
        "minimum": min(sample.counts),
        "median": sample.median,
        "p99": sample.quantile(0.99),
        "counts": {str(value): number for value, number in sorted(sample.counts.items())},
    }


def _cost(found: Found, *, icount: bool) -> Value:
    """Where instructions are counted the commonest value, on a real processor the median: there
    no two operations take the same time. Less that of nothing, where that was measured."""
    sample = found.sample
    unit, scale = sample.unit(icount=icount)
    value, statistic = (
        (sample.mode, Statistic.MODE) if icount else (sample.median, Statistic.MEDIAN)
    )
    own = found.empty.median if found.empty else 0
    alone = sample.batch == 1  # else nobody knows how a single operation varies
    return Value(
        Metric.COST,
        unit,
        (value - own) * scale / sample.batch,
        sample.stdev * scale if alone else None,
        sample.iterations * sample.batch,
        statistic=statistic,
        share=sample.counts[value] / sample.iterations if alone else None,
    )


def _traps(exits: Sequences | Histogram) -> Iterator[Value]:
    """The number of traps, and a row for each reason."""
    exact = isinstance(exits, Sequences)
    statistic = Statistic.MODE if exact else Statistic.MEAN
    share = exits.share if isinstance(exits, Sequences) else None
    for reason, number in {"": exits.traps, **exits.by_reason()}.items():
        yield Value(
            Metric.TRAPS,
            "exits",
            number,
            None,
            exits.operations,
            reason,
            statistic=statistic,
            share=share,
        )


def _sequences(found: Sequences) -> dict[str, Any]:
    """What is kept beside the rows: sequences by how many operations took them, and what else
    happened, per second."""
    return {
        "background": found.background,
        "sequences": [
            {"operations": number, "exits": as_text(operation)}
            for operation, number in found.counts
        ],
    }
