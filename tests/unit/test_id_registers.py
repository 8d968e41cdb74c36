# SPDX-License-Identifier: MIT
import pytest

from harness.build.kernel import id_registers
from harness.errors import UserError
from harness.paths import KERNEL_PATCHES

V4_10 = {register.name: register for register in id_registers.load(KERNEL_PATCHES / "v4.10")}


def field(register, lsb, *, el2=False):
    limit = V4_10[register].limit_el2 if el2 else V4_10[register].limit
    return limit >> lsb & 15


def test_what_has_an_el2_half_is_hidden():
    """Names and places of DDI 0487; a virtual EL2 and a plain VM see none of them."""
    for register, lsb in {
        "RAS": ("ID_AA64PFR0_EL1", 28),
        "SVE": ("ID_AA64PFR0_EL1", 32),
        "MPAM": ("ID_AA64PFR0_EL1", 40),
        "AMU": ("ID_AA64PFR0_EL1", 44),
        "PMSVer": ("ID_AA64DFR0_EL1", 32),
        "TraceFilt": ("ID_AA64DFR0_EL1", 40),
        "APA": ("ID_AA64ISAR1_EL1", 4),
        "API": ("ID_AA64ISAR1_EL1", 8),
        "GPA": ("ID_AA64ISAR1_EL1", 24),
        "GPI": ("ID_AA64ISAR1_EL1", 28),
        "TLB": ("ID_AA64ISAR0_EL1", 56),
        "FGT": ("ID_AA64MMFR0_EL1", 56),
        "ECV": ("ID_AA64MMFR0_EL1", 60),
        "LO": ("ID_AA64MMFR1_EL1", 16),
        "XNX": ("ID_AA64MMFR1_EL1", 28),
        "NV": ("ID_AA64MMFR2_EL1", 24),
    }.values():
        assert field(register, lsb) == field(register, lsb, el2=True) == 0


def test_el2_is_where_it_was_asked_for():
    assert field("ID_AA64PFR0_EL1", 8) == 0
    assert field("ID_AA64PFR0_EL1", 8, el2=True) == 1
    more = [
        (name, lsb)
        for name in V4_10
        for lsb in range(0, 64, 4)
        if field(name, lsb, el2=True) > field(name, lsb)
    ]
    assert field("ID_AA64MMFR1_EL1", 8) == 0
    assert field("ID_AA64MMFR1_EL1", 8, el2=True) == 1
    assert more == [("ID_AA64PFR0_EL1", 8), ("ID_AA64MMFR1_EL1", 8)]


def test_a_track_without_the_file_has_none():
    assert id_registers.load(KERNEL_PATCHES / "upstream") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[ID_AA64NONE_EL1]\nA = { lsb = 0, max = 1 }", "ID_AA64NONE_EL1 is unknown"),
        ("[ID_AA64PFR0_EL1]\nA = { lsb = 2, max = 1 }", "ID_AA64PFR0_EL1.A has no place"),
        ("[ID_AA64PFR0_EL1]\nA = { lsb = 64, max = 1 }", "ID_AA64PFR0_EL1.A has no place"),
        ("[ID_AA64PFR0_EL1]\nA = { lsb = 0, max = 1 }\nB = { lsb = 0, max = 1 }", "B has no place"),
        ("[ID_AA64PFR0_EL1]\nA = { lsb = 0, max = 16 }", "A has limits"),
        ("[ID_AA64PFR0_EL1]\nA = { lsb = 0, max = 1, el2 = -1 }", "A has limits"),
    ],
)
def test_what_can_not_be_is_refused(tmp_path, text, said):
    (tmp_path / "id-registers.toml").write_text(text)
    with pytest.raises(UserError, match=said):
        id_registers.load(tmp_path)
