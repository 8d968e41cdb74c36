# SPDX-License-Identifier: MIT
from collections import Counter

import pytest

from harness.bench.traps import ExitFormat, parse_histogram, per_operation
from harness.errors import InfrastructureError

HISTOGRAM = """\
# event histogram
#
# trigger info: hist:keys=ret,esr_ec:vals=hitcount:sort=hitcount:size=2048 [active]
#

{ ret:          0, esr_ec:          0 } hitcount:          2
{ ret:          2, esr_ec:         22 } hitcount:        100
{ ret:          2, esr_ec:         26 } hitcount:        300
{ ret:          2, esr_ec:         63 } hitcount:          4
{ ret:          9, esr_ec:          0 } hitcount:          1

Totals:
    Hits: 407
    Entries: 5
    Dropped: %d
"""


def test_histogram_by_reason():
    counts = parse_histogram(HISTOGRAM % 0, ExitFormat.load("upstream"))
    assert counts == Counter({"IRQ": 2, "HVC64": 100, "ERET": 300, "EC_0x3f": 4, "exit_9": 1})


def test_empty_and_wrong_histograms():
    layout = ExitFormat.load("upstream")
    assert parse_histogram("# event histogram\n\nTotals:\n    Hits: 0\n", layout) == Counter()
    with pytest.raises(InfrastructureError, match="dropped 3"):
        parse_histogram(HISTOGRAM % 3, layout)
    with pytest.raises(InfrastructureError, match="unknown histogram row"):
        parse_histogram("{ pid: 3 } hitcount: 1\n", layout)


class _Machine:
    """Counts 7 exits for each start and end, 3 + 1 for each operation."""

    def __init__(self):
        self.counts = Counter()

    def run(self, iterations):
        self.counts.update({"HVC64": 3 * iterations, "SYS64": iterations, "DABT": 7})

    def read(self):
        return self.counts.copy()


def test_start_and_end_are_eliminated():
    machine = _Machine()
    assert per_operation(machine, machine.run, 10, 110) == {"HVC64": 3, "SYS64": 1, "DABT": 0}
