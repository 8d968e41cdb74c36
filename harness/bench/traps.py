# SPDX-License-Identifier: MIT
"""Counts exits to L0 by reason, with the histograms of L0's KVM tracepoints.

A histogram in the kernel costs no exit to user space. It still costs instructions, so it is on only
while traps are counted, never while cost is measured.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from harness.errors import InfrastructureError
from harness.machine.host import Host
from harness.model import operations, registers
from harness.model.version import ALL_VERSIONS, VersionRange

_EVENTS = "/sys/kernel/tracing/events/kvm"
_ROW = re.compile(r"^\{\s*(?P<keys>[^}]*)\}\s*hitcount:\s*(?P<count>\d+)", re.M)
_TRAP = 2
_HVC, _SYS64, _DABT = 0x16, 0x18, 0x24
_GICH, _GICH_OFFSET = 1 << 24, 0xFFF  # of a GICv2: registers of EL2 in memory
_IMMEDIATE = 0xFFFF
_SYS64_REGISTER = 1 << 21  # Op0 is 2 or 3, not that of an instruction
_SYS64_READ, _GICH_WRITE, _HVC_READ = 1 << 0, 1 << 12, 1 << 5
_NUMBER_SHIFT = 6  # a paravirtual access: number, direction, register (v4.10's registers.toml)
_EC_SHIFT = 26


@dataclass(frozen=True)
class Event:
    """A tracepoint that counts exits: the keys hold KVM's exit code, and why it trapped.

    A `complete` one sees every exit and gives the whole syndrome, the other its class.
    """

    name: str
    keys: tuple[str, str]
    complete: bool
    line: str = ""  # of the ring buffer, as a pattern; of a complete one only
    versions: VersionRange = ALL_VERSIONS

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(self.line)

    @property
    def trigger(self) -> str:
        """What makes a histogram of it."""
        return f"hist:keys={','.join(self.keys)}:size=2048"

    def access(self, code: int, why: int) -> str:
        """R or W for an access of a register, else nothing."""
        if code != _TRAP or not self.complete:
            return ""
        ec = why >> _EC_SHIFT
        if ec == _SYS64 and why & _SYS64_REGISTER:
            return "R" if why & _SYS64_READ else "W"
        if ec == _DABT and why & _GICH:
            return "W" if why & _GICH_WRITE else "R"
        if ec == _HVC and (number := _number(why)):
            operation = operations.by_number().get(number)
            if operation is None or operation.kind == "reg":
                return "R" if why & _HVC_READ else "W"
        return ""

    def reason(self, code: int, why: int) -> str:
        """`HVC`, `IRQ`, `ICH_LR0_EL2`, …; what has no name stays a number."""
        codes, classes, gich = _names()
        if code != _TRAP:
            return codes.get(code, f"exit_{code}")
        ec = why >> _EC_SHIFT if self.complete else why
        if self.complete and ec == _SYS64:
            return registers.trapped(why)
        if self.complete and ec == _DABT and why & _GICH:
            offset = why & _GICH_OFFSET
            return gich.get(offset, f"GICH_{offset:#05x}")
        if self.complete and ec == _HVC and (number := _number(why)):
            operation = operations.by_number().get(number)
            return operation.name if operation else f"HVC_{number}"
        return classes.get(ec, f"EC_{ec:#04x}")


def _number(why: int) -> int:
    """Of the operation that an HVC stands for; 0 if it is an architectural one."""
    return (why & _IMMEDIATE) >> _NUMBER_SHIFT


@cache
def exits_data() -> dict[str, Any]:
    """The file `exits.toml`."""
    return tomllib.loads(Path(__file__).with_name("exits.toml").read_text(encoding="utf-8"))


@cache
def _names() -> list[dict[int, str]]:
    """Exit codes, exception classes and the registers of GICH, by number."""
    return [
        {int(n, 0): name for n, name in exits_data()[table].items()}
        for table in ("codes", "classes", "gich")
    ]


def events() -> list[Event]:
    """The tracepoints that can be used, the best first."""
    return [
        Event(
            item["name"],
            tuple(item["keys"]),
            item["complete"],
            item.get("line", ""),
            VersionRange.of(item),
        )
        for item in exits_data()["events"]
    ]


def event_of(version: str, *, patched: bool) -> Event:
    """The best tracepoint of a kernel of ours, with or without our patch for it."""
    return next(
        each for each in events() if (patched or not each.complete) and version in each.versions
    )


def parse_histogram(text: str, event: Event) -> Counter[str]:
    """Exits by reason out of the histogram's file; raises on a row it can't place."""
    counts: Counter[str] = Counter()
    for row in _ROW.finditer(text):
        keys = dict(re.findall(r"(\w+):\s*(\d+)", row["keys"]))
        if not set(event.keys) <= set(keys):
            raise InfrastructureError(f"unknown histogram row: {row[0]!r}")
        code, why = (int(keys[key]) for key in event.keys)
        counts[event.reason(code, why)] += int(row["count"])
    dropped = re.search(r"Dropped:\s*(\d+)", text)
    if dropped and int(dropped[1]):
        raise InfrastructureError(f"the kernel dropped {dropped[1]} histogram entries")
    return counts


@dataclass(frozen=True)
class TrapCounter:
    """Reads the exits that L0 has counted so far."""

    host: Host
    event: Event

    def read(self) -> Counter[str]:
        text = self.host.run(f"cat {_EVENTS}/{self.event.name}/hist").stdout
        return parse_histogram(text, self.event)


def usable_event(host: Host) -> Event:
    """The best tracepoint of L0's kernel. Raises InfrastructureError if it has none."""
    for event in events():
        # A tracepoint that would miss exits of this host can't be switched on.
        if host.attempt(
            f"cd {_EVENTS}/{event.name} && echo '{event.trigger}' > trigger && "
            f"echo '!{event.trigger}' > trigger"
        ):
            return event
    raise InfrastructureError(
        f"host {host.name}: its kernel has no histograms of KVM's tracepoints "
        "(CONFIG_HIST_TRIGGERS, and tracefs at /sys/kernel/tracing)"
    )


@contextmanager
def counting(host: Host, event: Event) -> Iterator[TrapCounter]:
    """Switch the histogram of `event` on, and off again."""
    file = f"{_EVENTS}/{event.name}/trigger"
    host.run(f"echo '{event.trigger}' > {file}")
    try:
        yield TrapCounter(host, event)
    finally:
        host.run(f"echo '!{event.trigger}' > {file}", check=False)


@dataclass(frozen=True)
class Histogram:
    """Exits per operation by reason, from the difference of two counts of operations: it holds no
    exit of the beginning, the end or of the answer, but all that is proportional to time."""

    operations: int
    counts: Mapping[str, float]

    MORE: ClassVar[int] = 11  # times as many operations the second time

    @classmethod
    def of_counts(cls, counts: Sequence[Counter[str]], operations: int) -> "Histogram":
        """Exits so far: before, after so many `operations`, and after `MORE` times as many more."""
        before, between, after = counts
        more = (cls.MORE - 1) * operations
        per_operation = {
            reason: ((after[reason] - between[reason]) - (between[reason] - before[reason])) / more
            for reason in sorted(after)
        }
        return cls(more, per_operation)

    @property
    def traps(self) -> float:
        """Of all reasons."""
        return sum(self.counts.values())

    def by_reason(self) -> dict[str, float]:
        """Those that there were."""
        return {reason: value for reason, value in self.counts.items() if value}
