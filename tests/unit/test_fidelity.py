# SPDX-License-Identifier: MIT
"""The CPU's own virtual EL2 beside its emulation: who has it, and what a report says of the two."""

import pytest

from harness.model import operations
from harness.model.playbook import load, plan, skipped, validate
from harness.model.processors import without_feat_nv
from harness.model.track import Track
from harness.paths import KERNEL_PATCHES, PLAYBOOKS
from harness.results.fidelity import Fidelity

EMULATED_BY = {"nested-feat-nv": "nested-v8.3"}
V8_3, FEAT_NV = "nested-v8.3", "nested-feat-nv"


def sequences(**operations):
    """{host_configuration: exits} as a run has them."""
    return {
        (host, {"v83": V8_3, "nv": FEAT_NV, "neve": "nested-neve"}[name], "hypercall"): (exits,)
        for key, exits in operations.items()
        for host, name in [key.split("_")]
    }


def test_an_emulation_is_compared_on_each_host():
    found = sequences(
        a57_v83=("HVC", "vEL2 ERET"),
        max_v83=("HVC", "vEL2 ERET"),
        max_nv=("HVC", "vEL2 MRS HCR_EL2", "vEL2 ERET"),
        max_neve=("HVC",),
    )
    fidelity = Fidelity.of(found, EMULATED_BY)
    first, second = fidelity.pairs
    assert (first.first, first.second) == (("a57", V8_3), ("max", V8_3))
    assert (first.differing, first.verdict) == ((), "2 =")
    assert (second.first, second.second) == (("a57", V8_3), ("max", FEAT_NV))
    assert second.differing == ("+ vEL2 MRS HCR_EL2 after HVC (2 of 3)",)
    assert second.verdict == "2 / 3 (1 differ)"
    assert list(fidelity.table) == ["sequence of", "beside", "hypercall"]
    assert list(fidelity.table.iloc[1]) == [
        "max nested-feat-nv",
        "a57 nested-v8.3",
        "2 / 3 (1 differ)",
    ]
    assert fidelity.text().endswith(
        "hypercall, max nested-feat-nv in place of a57 nested-v8.3: "
        "+ vEL2 MRS HCR_EL2 after HVC (2 of 3)"
    )


@pytest.mark.parametrize("found", [{}, sequences(a57_v83=("HVC",), max_v83=("HVC",))])
def test_without_the_two_there_is_nothing_to_compare(found):
    assert Fidelity.of(found, EMULATED_BY) is None


def test_only_some_processors_have_it():
    assert without_feat_nv("max") is None
    assert without_feat_nv("max,pauth=off") is None
    assert "cortex-a57 has no FEAT_NV" in without_feat_nv("cortex-a57")
    book = load(PLAYBOOKS / "fidelity.yaml")
    where = {(cell.host, cell.configuration) for cell in plan(book)}
    assert ("cortex-a57", V8_3) in where and ("max", FEAT_NV) in where
    assert ("cortex-a57", FEAT_NV) not in where
    assert any("cortex-a57, nested-feat-nv: cortex-a57 has no" in line for line in skipped(book))


def test_todays_kernel_needs_it_as_well():
    names = ["vm", "nested-neve-vhe"]
    book = validate(
        {
            "configurations": names,
            "benchmarks": ["hypercall"],
            "hosts": [{"kind": "tcg", "cpu": "neoverse-n1"}],
        },
        "a test",
    )
    assert {cell.configuration for cell in plan(book)} == {"vm"}


def test_what_a_vm_keeps_is_set_before_it_boots():
    paper, today = Track.load("v4.10"), Track.load("upstream")
    assert [paper.nv(name, booting=True) for name in (V8_3, FEAT_NV)] == ["0", "1"]
    assert paper.nv("nested-feat-nv2") == "2"
    assert today.nv("nested-v8.3-vhe", booting=True) == "Y"
    assert today.nv("nested-v8.3-vhe") == "N"
    assert paper.mechanism_of(FEAT_NV) == "architected"
    assert paper.mechanism_of(V8_3) == "paravirtual"
    assert paper.mechanism_of("vm") == "none"
    for name, emulation in paper.emulated_by.items():
        assert paper.mechanism_of(name) == "architected"
        assert paper.mechanism_of(emulation) == "paravirtual"


@pytest.mark.parametrize("e2h", [False, True])
def test_feat_nv2_redirects_what_the_architecture_says(e2h):
    """By the architecture's table, for all that does not trap for another reason first."""
    nv2 = operations.redirections("v4.10", e2h=e2h, nv2=True)
    neve = operations.redirections("v4.10", e2h=e2h)
    architecture = operations.redirections("upstream", e2h=e2h)
    ours = {"VNCR_EL2", "ACTLR_EL1", "MDSCR_EL1"}
    aliases = set() if e2h else {name for name in nv2 if name.endswith(("_EL12", "_EL02"))}
    for name in nv2.keys() & architecture.keys() - ours - aliases:
        assert nv2[name] == architecture[name], name
    for name in ("ICH_VTR_EL2", "MDCR_EL2", "HPFAR_EL2"):
        assert (neve[name], nv2[name]) == ("memory (reads)", "trap")
    assert (neve["VBAR_EL2"], nv2["VBAR_EL2"]) == ("EL1 register", "trap")
    assert neve["ESR_EL2"] == nv2["ESR_EL2"] == "EL1 register"
    assert neve["HCR_EL2"] == nv2["HCR_EL2"] == "memory"


def test_what_stands_in_memory_has_its_place_there():
    tables = operations.load(KERNEL_PATCHES / "v4.10")
    for item in (*tables["operations"], *tables["natives"], *tables["with_e2h"]):
        assert item.nv2 != "memory" or item.page is not None, item.name
        assert item.nv2 != "memory-read-trap-write", item.name
