# SPDX-License-Identifier: MIT
"""The micro-benchmark guest: its commands, and lines that are checked before they count."""

import itertools
import math
import re
import statistics
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from harness.deadline import Deadline
from harness.errors import GuestError
from harness.machine.console import Place, Program
from harness.machine.guest.vmm import start
from harness.model.guest import Guest

_LINE = r"@MB (\w+)([^\r\n]*)\r*\n"
_OFF_SECONDS = 60


_NANOSECOND_HZ = 1_000_000_000


@dataclass(frozen=True)
class Sample:
    """All samples of one benchmark, {value: how often}: ticks of `timer`, of frequency `hz`, that
    `batch` operations in a row took.

    `timer` is "virtual" (CNTVCT_EL0) or "cycles" (PMCCNTR_EL0).
    """

    benchmark: str
    timer: str
    hz: int
    counts: Mapping[int, int]
    batch: int = 1

    @property
    def iterations(self) -> int:
        """How many samples there are."""
        return sum(self.counts.values())

    @property
    def mode(self) -> int:
        """The commonest value, of equally common ones the smallest."""
        return min(self.counts, key=lambda value: (-self.counts[value], value))

    @property
    def share(self) -> float:
        """Of the samples that are the mode."""
        return self.counts[self.mode] / self.iterations

    @property
    def median(self) -> int:
        """Of two middle values the smaller."""
        return self.quantile(0.5)

    @property
    def stdev(self) -> float:
        values = list(Counter(self.counts).elements())
        return statistics.stdev(values) if len(values) > 1 else 0.0

    def quantile(self, part: float) -> int:
        """The smallest value that at least `part` of all samples do not exceed."""
        left = math.ceil(part * self.iterations)
        for value in sorted(self.counts):
            left -= self.counts[value]
            if left <= 0:
                return value
        raise ValueError(part)

    def unit(self, *, icount: bool) -> tuple[str, float]:
        """What a tick is, and how many: with icount a nanosecond of virtual time is an
        instruction, and so is a cycle, whatever the counter's frequency."""
        if icount:
            return "instructions", 1.0 if self.timer == "cycles" else _NANOSECOND_HZ / self.hz
        return "cycles" if self.timer == "cycles" else "ticks", 1.0


def parse_line(line: str) -> dict[str, str]:
    """{key: value} of a machine-readable line (`kind` is its second word).

    Raises GuestError if the checksum is missing or wrong: a character was lost.
    """
    match = re.fullmatch(r"(@MB (\w+)(?: [^ ]+)*) crc=([0-9a-f]{8})", line.strip())
    if match is None or zlib.crc32(match[1].encode()) != int(match[3], 16):
        raise GuestError(f"damaged line from the micro-benchmark guest: {line.strip()!r}")
    fields = dict(word.split("=", 1) for word in match[1].split()[2:])
    return {"kind": match[2], **fields}


def read_sample(benchmark: str, lines: Iterator[str]) -> Sample:
    """The answer to a `run`: lines of samples, and one with their number.

    Raises GuestError if the guest says anything else, or if samples are missing.
    """
    counts: dict[int, int] = {}
    for line in lines:
        fields = parse_line(line)
        kind = fields.pop("kind")
        if kind == "samples":
            counts.update((int(value), int(number)) for value, number in fields.items())
        elif kind == "result" and fields["bench"] == benchmark:
            if sum(counts.values()) != int(fields["n"]):
                raise GuestError(f"{benchmark}: {sum(counts.values())} of {fields['n']} samples")
            return Sample(
                benchmark, fields["timer"], int(fields["hz"]), counts, int(fields["batch"])
            )
        else:
            break
    raise GuestError(f"{benchmark}: the guest says {fields.get('reason', fields)}")


def read_batch(benchmark: str, line: str) -> int:
    """The answer to a `batch`: how many operations are timed at once.

    Raises GuestError if the guest says anything else.
    """
    fields = parse_line(line)
    if fields["kind"] != "batch":
        raise GuestError(f"{benchmark}: the guest says {fields.get('reason', fields)}")
    return int(fields["n"])


@dataclass(frozen=True)
class MicrobenchGuest:
    """The guest, waiting for a command."""

    program: Program
    boot_seconds: float

    def run(
        self, benchmark: str, iterations: int, warmup: int, seconds: float, batch: int = 1
    ) -> Sample:
        """Run one benchmark, `batch` operations a sample. Raises GuestError if it fails or exceeds
        `seconds`."""
        self.program.send(f"run {benchmark} {iterations} {warmup} {batch}\n")
        deadline = Deadline(seconds, f"{benchmark} × {iterations} to end")
        return read_sample(
            benchmark, (self.program.expect(_LINE, deadline)[0] for _ in itertools.count())
        )

    def batch(self, benchmark: str, ticks: int, seconds: float) -> int:
        """How many operations in a row take at least so many `ticks` of the timer, a power of 2.
        Raises GuestError if no batch does."""
        self.program.send(f"batch {benchmark} {ticks}\n")
        deadline = Deadline(seconds, f"a batch of {benchmark}")
        return read_batch(benchmark, self.program.expect(_LINE, deadline)[0])

    def repeat(self, benchmark: str, iterations: int, seconds: float) -> None:
        """Run the operation untimed; the guest does and says the same whatever the count."""
        self.program.send(f"repeat {benchmark} {iterations}\n")
        fields = self._answer(Deadline(seconds, f"{benchmark} × {iterations} to end"))
        if fields["kind"] != "done":
            raise GuestError(f"{benchmark}: the guest says {fields.get('reason', fields)}")

    def use_timer(self, name: str) -> bool:
        """Time with `name` ("virtual" or "cycles"); False if this machine has no such timer."""
        self.program.send(f"timer {name}\n")
        return self._answer(Deadline(self.boot_seconds, f"the timer {name}"))["kind"] == "timer"

    def ready(self) -> dict[str, str]:
        """What the guest says of its machine when it is up."""
        fields = self._answer(Deadline(self.boot_seconds, "the micro-benchmark guest to start"))
        if fields["kind"] != "ready":
            raise GuestError(f"the micro-benchmark guest says {fields}")
        return fields

    def off(self) -> None:
        self.program.send("off\n")
        self.program.wait(Deadline(_OFF_SECONDS, "the micro-benchmark guest to power off"))

    def _answer(self, deadline: Deadline) -> dict[str, str]:
        return parse_line(self.program.expect(_LINE, deadline)[0])


@contextmanager
def microbench_guest(
    place: Place, guest: Guest, *, name: str, boot_seconds: float
) -> Iterator[MicrobenchGuest]:
    """Start `guest` (two vCPUs, our image as its kernel) in `place`; power it off at the end."""
    program = start(place, guest, name)
    micro = MicrobenchGuest(program, boot_seconds)
    try:
        micro.ready()
        yield micro
        micro.off()
    finally:
        program.hang_up()
