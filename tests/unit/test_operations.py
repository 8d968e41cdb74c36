# SPDX-License-Identifier: MIT
"""The table of virtual EL2's operations, and what contradicts the architecture's table."""

import pytest

from harness.errors import UserError
from harness.model import operations
from harness.paths import KERNEL_PATCHES

TABLE = """
[registers]
HCR_EL2 = { op = 1, v83 = "hvc", neve = "memory" }
TPIDR_EL1 = { v83 = "native" }
SCTLR_EL1 = { op = 2, v83 = "trap", by = "HCR_EL2.{TVM, TRVM}", neve = "memory" }
[instructions]
ERET = { op = 3, v83 = "hvc", neve = "trap" }
"""


def load(tmp_path, text):
    (tmp_path / "registers.toml").write_text(text)
    return operations.load(tmp_path)


def test_table_is_joined_with_the_architectures(tmp_path):
    tables = load(tmp_path, TABLE)
    hcr, sctlr, eret = tables["operations"]
    assert (hcr.name, hcr.number, hcr.enc, hcr.vncr) == ("HCR_EL2", 1, (3, 4, 1, 1, 0), 0x78)
    assert hcr.sysreg == 3 << 19 | 4 << 16 | 1 << 12 | 1 << 8
    assert (sctlr.asm, sctlr.by, sctlr.kind) == ("sctlr_el1", "HCR_EL2.{TVM, TRVM}", "reg")
    assert (eret.sysreg, eret.kind) == (0, "insn")
    assert [item.name for item in tables["natives"]] == ["TPIDR_EL1"]


def test_with_e2h_a_name_of_el1_is_a_register_of_el2():
    tables = operations.load(KERNEL_PATCHES / "v4.10")
    plain = {item.name: item for item in (*tables["operations"], *tables["natives"])}
    seen = {item.name: item for item in tables["with_e2h"]}
    assert list(seen) == list(plain)
    assert (plain["SCTLR_EL1"].v83, plain["SCTLR_EL1"].neve) == ("trap", "memory")
    assert (seen["SCTLR_EL1"].v83, seen["SCTLR_EL1"].neve) == ("native", None)
    assert seen["SCTLR_EL1"].e2h == "SCTLR_EL2"
    assert seen["CPACR_EL1"].page == plain["CPTR_EL2"].page
    assert all(item.e2h in plain for item in seen.values() if item.e2h)
    for name, item in seen.items():
        if name.endswith("_EL12"):
            assert (item.v83, item.neve) == ("hvc", "memory")
            assert item.page == plain[f"{name.removesuffix('2')}"].page


def test_track_without_a_table_has_none(tmp_path):
    assert operations.load(tmp_path) == {}


@pytest.mark.parametrize(
    ("line", "changed", "complaint"),
    [
        (
            "HCR_EL2 = { op = 1",
            "HCR_EL9 = { op = 1",
            "HCR_EL9 is unknown to the architecture's table",
        ),
        (
            'HCR_EL2 = { op = 1, v83 = "hvc"',
            'HCR_EL2 = { op = 1, v83 = "trap", by = "x"',
            "HCR_EL2 is trapped by ARMv8.3",
        ),
        (
            "HCR_EL2 = { op = 1",
            "HCR_EL2 = { enc = [0, 0, 0, 0, 0], op = 1",
            "HCR_EL2 has an encoding in both tables",
        ),
        ('v83 = "native"', 'v83 = "natural"', "TPIDR_EL1 has a class that is unknown"),
        ('{ v83 = "native" }', '{ op = 4, v83 = "native" }', "TPIDR_EL1 has a number, or none"),
        (', by = "HCR_EL2.{TVM, TRVM}"', "", "SCTLR_EL1 does not say what traps it"),
        ('v83 = "native"', 'v83 = "native", neve = "memory"', "TPIDR_EL1 has no place in the page"),
        (
            'ERET = { op = 3, v83 = "hvc", neve = "trap"',
            'ERET = { op = 3, v83 = "hvc", neve = "twin"',
            "ERET has no twin",
        ),
        ("op = 3", "op = 5", "the numbers of the operations are not 1, 2"),
    ],
)
def test_contradictions_are_named(tmp_path, line, changed, complaint):
    assert line in TABLE
    with pytest.raises(UserError, match=complaint):
        load(tmp_path, TABLE.replace(line, changed))


def test_shipped_tables_hold():
    folders = [path.parent for path in KERNEL_PATCHES.glob("*/registers.toml")]
    assert folders
    for folder in folders:
        assert operations.load(folder)["operations"]


def test_tabs_reach_the_column():
    for text in ("", "a", "abcdefg", "abcdefgh"):
        assert operations.tabbed(text, 16).expandtabs() == text.ljust(16)
