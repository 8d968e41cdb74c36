# SPDX-License-Identifier: MIT
"""Counts exits to L0 by reason, with the histograms of L0's KVM tracepoints.

An in-kernel histogram costs no exit to user space. It costs instructions all the same, so it
is on only while traps are counted, never while cost is measured.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import InfrastructureError
from harness.host import Host

_EXIT = "/sys/kernel/tracing/events/kvm/kvm_exit"
_ROW = re.compile(r"^\{\s*(?P<keys>[^}]*)\}\s*hitcount:\s*(?P<count>\d+)", re.M)


@dataclass(frozen=True)
class ExitFormat:
    """How one track's tracepoint names its exits."""

    code: str
    ec: str
    trap: int
    codes: dict[int, str]
    classes: dict[int, str]

    @classmethod
    def load(cls, track: str) -> "ExitFormat":
        data: dict[str, Any] = tomllib.loads(
            Path(__file__).with_name("exits.toml").read_text()
        )
        own = data[track]
        return cls(
            code=own["code"], ec=own["class"], trap=own["trap"],
            codes={int(number): name for number, name in own["codes"].items()},
            classes={int(number, 16): name for number, name in data["classes"].items()},
        )

    def reason(self, code: int, ec: int) -> str:
        """`HVC64`, `IRQ`, …; a class without a name stays a number."""
        if code == self.trap:
            return self.classes.get(ec, f"EC_{ec:#04x}")
        return self.codes.get(code, f"exit_{code}")


def parse_histogram(text: str, layout: ExitFormat) -> Counter[str]:
    """Exits by reason out of the histogram's file; raises on a line it can't place."""
    counts: Counter[str] = Counter()
    for row in _ROW.finditer(text):
        keys = dict(re.findall(r"(\w+):\s*(\d+)", row["keys"]))
        if layout.code not in keys or layout.ec not in keys:
            raise InfrastructureError(f"unknown histogram row: {row[0]!r}")
        counts[layout.reason(int(keys[layout.code]), int(keys[layout.ec]))] += int(row["count"])
    dropped = re.search(r"Dropped:\s*(\d+)", text)
    if dropped and int(dropped[1]):
        raise InfrastructureError(f"the kernel dropped {dropped[1]} histogram entries")
    return counts


@dataclass(frozen=True)
class TrapCounter:
    """Reads the exits that L0 has counted so far."""

    host: Host
    layout: ExitFormat

    def read(self) -> Counter[str]:
        text = self.host.run(f"cat {_EXIT}/hist").stdout
        return parse_histogram(text, self.layout)


@contextmanager
def counting(host: Host, track: str) -> Iterator[TrapCounter]:
    """Switch the histogram on, and off again.

    Raises InfrastructureError if L0's kernel has no such tracepoint or no histograms.
    """
    layout = ExitFormat.load(track)
    trigger = f"hist:keys={layout.code},{layout.ec}:size=2048"
    host.run(f"echo '{trigger}' > {_EXIT}/trigger")
    try:
        yield TrapCounter(host, layout)
    finally:
        host.run(f"echo '!{trigger}' > {_EXIT}/trigger", check=False)


def per_operation(
    counter: TrapCounter, run: Callable[[int], object], few: int, many: int
) -> dict[str, float]:
    """Exits to L0 per operation by reason.

    `run` is called with `few` and then with `many` iterations; the difference of the two
    counts holds no exit of the start, the end or the printing of the result.
    """
    before = counter.read()
    run(few)
    between = counter.read()
    run(many)
    after = counter.read()
    reasons = sorted(after)
    return {
        reason: ((after[reason] - between[reason]) - (between[reason] - before[reason]))
        / (many - few)
        for reason in reasons
    }
