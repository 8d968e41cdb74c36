# SPDX-License-Identifier: MIT
"""The micro-benchmark guest: its commands, and lines that are checked before they count."""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.deadline import Deadline
from harness.errors import GuestError
from harness.machine.console import Place, Program
from harness.machine.guest.vmm import start
from harness.model.guest import Guest

_LINE = r"@MB (\w+)([^\r\n]*)\r*\n"
_OFF_SECONDS = 60


@dataclass(frozen=True)
class Sample:
    """Statistics of one benchmark: ticks of `timer`, whose frequency is `hz`.

    `timer` is "virtual" (CNTVCT_EL0) or "cycles" (PMCCNTR_EL0).
    """

    benchmark: str
    iterations: int
    timer: str
    hz: int
    minimum: float
    mean: float
    median: float
    p99: float
    stdev: float


def parse_line(line: str) -> dict[str, str]:
    """{key: value} of a machine-readable line (`kind` is its second word).

    Raises GuestError if the checksum is missing or wrong: a character was lost.
    """
    match = re.fullmatch(r"(@MB (\w+)(?: [^ ]+)*) crc=([0-9a-f]{8})", line.strip())
    if match is None or zlib.crc32(match[1].encode()) != int(match[3], 16):
        raise GuestError(f"damaged line from the micro-benchmark guest: {line.strip()!r}")
    fields = dict(word.split("=", 1) for word in match[1].split()[2:])
    return {"kind": match[2], **fields}


def parse_sample(fields: dict[str, str]) -> Sample:
    """The statistics of a `result` line."""
    return Sample(
        benchmark=fields["bench"],
        iterations=int(fields["n"]),
        timer=fields["timer"],
        hz=int(fields["hz"]),
        minimum=float(fields["min"]),
        mean=int(fields["mean_milli"]) / 1000,
        median=float(fields["median"]),
        p99=float(fields["p99"]),
        stdev=int(fields["stdev_milli"]) / 1000,
    )


@dataclass(frozen=True)
class MicrobenchGuest:
    """The guest, waiting for a command."""

    program: Program
    boot_seconds: float

    def run(self, benchmark: str, iterations: int, warmup: int, seconds: float) -> Sample:
        """Run one benchmark. Raises GuestError if it fails or exceeds `seconds`."""
        self.program.send(f"run {benchmark} {iterations} {warmup}\n")
        fields = self._answer(Deadline(seconds, f"{benchmark} × {iterations} to end"))
        if fields["kind"] != "result" or fields["bench"] != benchmark:
            raise GuestError(f"{benchmark}: the guest says {fields.get('reason', fields)}")
        return parse_sample(fields)

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
