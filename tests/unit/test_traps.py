# SPDX-License-Identifier: MIT
from collections import Counter

import pytest

from harness.bench.traps import Histogram, event_of, events, parse_histogram
from harness.errors import InfrastructureError
from harness.model import registers

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


EVENTS = {event.name: event for event in reversed(events())}  # the newest of a name

COMPLETE = """\
{ code:          2, syndrome: 1477443584 } hitcount:        100
{ code:          2, syndrome: 1744830464 } hitcount:        300
{ code:          2, syndrome: %d } hitcount:         40
{ code:          2, syndrome: %d } hitcount:          2
{ code:          0, syndrome:          0 } hitcount:          5
"""


def sys64(op0, op1, crn, crm, op2, read):
    return 0x18 << 26 | op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | crm << 1 | read


def test_histogram_by_reason():
    counts = parse_histogram(HISTOGRAM % 0, EVENTS["kvm_exit"])
    assert counts == Counter({"IRQ": 2, "HVC": 100, "ERET": 300, "EC_0x3f": 4, "exit_9": 1})


@pytest.mark.parametrize(
    ("version", "patched", "keys"),
    [
        ("7.3.4", True, ("code", "syndrome")),
        ("4.10.0", True, ("code", "syndrome")),
        ("7.3.0-rc1", False, ("ret", "esr_ec")),
        ("4.10.0", False, ("idx", "exit_reason")),
    ],
)
def test_kernel_without_our_tracepoint_has_its_own(version, patched, keys):
    assert event_of(version, patched=patched).keys == keys


def test_complete_histogram_names_registers():
    text = COMPLETE % (sys64(3, 4, 12, 12, 0, 1), sys64(3, 4, 12, 12, 0, 0))
    counts = parse_histogram(text, EVENTS["kvm_trap"])
    assert counts == Counter({"HVC": 100, "ERET": 300, "ICH_LR0_EL2": 42, "IRQ": 5})


def test_paravirtual_access_names_what_its_hvc_stands_for():
    event = EVENTS["kvm_trap"]
    for name, number in (("VPIDR_EL2", 1), ("ICH_LR0_EL2", 56), ("ERET", 89)):
        for direction in (0, 1):
            why = 0x16 << 26 | number << 6 | direction << 5 | 3
            assert event.reason(2, why) == name
    assert event.reason(2, 0x16 << 26 | 1023 << 6) == "HVC_1023"
    assert event.reason(2, 0x16 << 26) == "HVC"


def test_gichs_registers_are_told_apart():
    row = "{ code:          2, syndrome: %d } hitcount:        7\n"
    text = row % (0x24 << 26) + row % (0x91000000 | 0x008) + row % (0x91000000 | 1 << 12 | 0x100)
    assert parse_histogram(text, EVENTS["kvm_trap"]) == Counter(
        {"DABT": 7, "GICH_VMCR": 7, "GICH_LR0": 7}
    )


def test_register_without_a_name_is_its_encoding():
    assert registers.trapped(sys64(3, 7, 15, 15, 7, 0)) == "S3_7_C15_C15_7"
    assert registers.trapped(sys64(3, 4, 5, 2, 0, 0)) == "ESR_EL2"
    assert registers.trapped(sys64(1, 4, 8, 7, 0, 0)) == "TLBI_ALLE2"


def test_empty_and_wrong_histograms():
    event = EVENTS["kvm_exit"]
    assert parse_histogram("# event histogram\n\nTotals:\n    Hits: 0\n", event) == Counter()
    with pytest.raises(InfrastructureError, match="dropped 3"):
        parse_histogram(HISTOGRAM % 3, event)
    with pytest.raises(InfrastructureError, match="unknown histogram row"):
        parse_histogram("{ pid: 3 } hitcount: 1\n", event)


def test_start_and_end_are_eliminated():
    """7 exits for each start and end, 3 + 1 for each operation."""

    def after(operations, starts):
        return Counter({"HVC64": 3 * operations, "SYS64": operations, "DABT": 7 * starts})

    found = Histogram.of_counts([after(0, 0), after(10, 1), after(120, 2)], 10)
    assert found.by_reason() == {"HVC64": 3, "SYS64": 1}
    assert (found.traps, found.operations) == (4, 100)
