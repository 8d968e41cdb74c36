# SPDX-License-Identifier: MIT
"""Exits cut operation by operation, out of lines as L0's ring buffer has them."""

import pytest

from harness.bench.sequence import as_text, cut, parse
from harness.bench.traps import events
from harness.errors import GuestError
from harness.model.sequence import difference, modal

EVENT = events()[0]
# ESR_EL2 of what a nested hypercall takes (upstream, FEAT_NV2).
HVC, ERET, IRQ = (2, 0x16 << 26), (2, 0x1A << 26), (0, 0)
DABT = (2, 0x24 << 26)
READ_MDSCR, WRITE_CPACR = (2, 0x18 << 26 | 0x240005), (2, 0x18 << 26 | 0x340400)


def lines(*exits, start=1.0):
    """(vCPU, level, (code, syndrome)) as lines, a microsecond from one to the next."""
    return "".join(
        f"       CPU {vcpu}/KVM-99      [00{vcpu}] ...1.  {start + number * 1e-6:.6f}: kvm_trap: "
        f"vcpu {vcpu}{f' {level}' if level else ''}: code {code}, syndrome 0x{why:08x}: x\n"
        for number, (vcpu, level, (code, why)) in enumerate(exits)
    )


MARK = [(0, "", HVC), (0, "vEL2", ERET)]
OPERATION = [(0, "", HVC), (0, "vEL2", READ_MDSCR), (0, "vEL2", WRITE_CPACR), (0, "vEL2", ERET)]


def sequences(*exits, benchmark="hypercall", operations=3):
    return cut(parse(lines(*exits), EVENT), benchmark, operations)


def test_an_operation_is_cut_where_it_leaves_the_guest():
    found = sequences(*MARK, *MARK, *OPERATION * 3, *MARK)
    assert (found.traps, found.share, found.operations, found.background) == (4, 1.0, 3, 0)
    assert found.lines() == ["HVC", "vEL2 MRS MDSCR_EL1", "vEL2 MSR CPACR_EL1", "vEL2 ERET"]
    assert found.by_reason() == {"HVC": 1, "MDSCR_EL1": 1, "CPACR_EL1": 1, "ERET": 1}


def test_a_tick_is_background_and_no_part_of_the_operation():
    tick = [(0, "vEL2", IRQ)]
    found = sequences(
        *MARK, *MARK, *OPERATION, *OPERATION[:2], *tick, *OPERATION[2:], *OPERATION, *MARK
    )
    assert found.traps == 4
    assert found.share == pytest.approx(2 / 3)
    assert found.background > 0


def test_exits_of_other_vcpus_are_in_an_order_of_their_own():
    other = [(1, "", IRQ), (1, "vEL2", ERET)]
    early = [OPERATION[0], *other, *OPERATION[1:]]
    late = [*OPERATION, *other]
    found = sequences(*MARK, *MARK, *early, *late, *early, *MARK)
    assert (found.traps, found.share) == (6, 1.0)
    assert found.lines()[4:] == ["IRQ @1", "vEL2 ERET @1"]


def test_what_is_typed_before_the_marks_is_no_operation():
    typed = [(0, "", DABT), (0, "vEL2", ERET)] * 5
    operation = [(0, "", DABT), (0, "vEL2", ERET)]
    found = sequences(*typed, *MARK, *MARK, *operation * 3, *MARK, *typed, benchmark="device-io")
    assert (found.traps, found.share, found.operations) == (2, 1.0, 3)


def test_an_operation_that_never_leaves_the_guest_takes_nothing():
    found = sequences(*MARK, *MARK, *MARK, benchmark="virtual-eoi", operations=100)
    assert (found.traps, found.share, found.by_reason()) == (0, 1.0, {})
    ticked = sequences(
        *MARK, *MARK, (0, "vEL2", IRQ), *MARK, benchmark="virtual-eoi", operations=100
    )
    assert (ticked.traps, ticked.share) == (0, 0.99)


@pytest.mark.parametrize(
    ("exits", "complaint"),
    [
        ([*MARK, *MARK, *OPERATION * 2, *MARK], "2 of 3 operations"),
        ([*MARK, *MARK, *OPERATION * 4, *MARK], "4 of 3 operations"),
        ([*MARK], "marks are not among 2 exits"),
        ([], "marks are not among 0 exits"),
    ],
)
def test_operations_that_are_missing_are_an_error(exits, complaint):
    with pytest.raises(GuestError, match=complaint):
        sequences(*exits)


def test_a_line_that_is_no_exit_is_an_error():
    with pytest.raises(GuestError, match="no exit of the tracepoint kvm_trap: 'CPU"):
        parse("CPU 0/KVM-99 [000] .... 1.0: kvm_entry: PC\n", EVENT)


def test_two_sequences_differ_by_name_and_place():
    before = sequences(*MARK, *MARK, *OPERATION * 3, *MARK)
    more = [*OPERATION[:1], (0, "vEL2", WRITE_CPACR), *OPERATION[1:]]
    after = sequences(*MARK, *MARK, *more * 3, *MARK)
    one, other = as_text(before.modal), as_text(after.modal)
    assert difference(one, other) == ["+ vEL2 MSR CPACR_EL1 after HVC (2 of 5)"]
    assert difference(other, one) == ["- vEL2 MSR CPACR_EL1 after HVC (2 of 5)"]
    assert difference(one, one) == []


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("", "", []),
        ("", "a", ["+ a first (1 of 1)"]),
        ("ab", "b", ["- a first (1 of 2)"]),
        ("ab", "acb", ["+ c after a (2 of 3)"]),
        ("aab", "aaab", ["+ a after a (3 of 4)"]),
        ("abc", "axc", ["- b after a (2 of 3)", "+ x after a (2 of 3)"]),
        ("ab" * 5, "abx" + "ab" * 4, ["+ x after b (3 of 11)"]),
        (
            "abc" * 9,
            "abxc" * 9,
            [f"+ x after b ({place} of 36)" for place in range(3, 36, 4)],
        ),
    ],
)
def test_differences_are_as_few_as_can_be(before, after, lines):
    """Where a sequence repeats itself, difflib takes long blocks for each other that are not."""
    assert difference((tuple(before),), (tuple(after),)) == lines


def test_each_vcpu_has_places_of_its_own():
    before = (("HVC", "vEL2 ERET"), ("IRQ", "vEL2 ERET"))
    after = (("HVC", "vEL2 ERET"), ("IRQ", "WFX", "vEL2 ERET"))
    assert difference(before, after) == ["+ WFX @1 after IRQ @1 (2 of 3)"]
    assert difference(before, before[:1]) == [
        "- IRQ @1 first (1 of 2)",
        "- vEL2 ERET @1 after IRQ @1 (2 of 2)",
    ]


def test_a_cell_keeps_the_commonest_first():
    kept = {"sequences": [{"operations": 97, "exits": [["HVC"]]}, {"operations": 3, "exits": []}]}
    assert modal([{"median": 3}, kept]) == (("HVC",),)
    assert modal([{"median": 3}]) is None
    assert modal([]) is None
    for damaged in ([], [{"exits": [["HVC"]]}], [{"operations": 1, "exits": ["HVC"]}], 3):
        with pytest.raises(ValueError, match=r"sequences|exits|operations|list"):
            modal([{"sequences": damaged}])
