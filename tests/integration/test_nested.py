# SPDX-License-Identifier: MIT
"""KVM on KVM on v4.10: ARMv8.3 by paravirtualization. Skipped where the source is not there."""

import pytest

from harness import levels
from harness.cache import Cache
from harness.playbook import TcgHostSpec
from harness.results.schema import read_csv
from tests.integration.conftest import PAPER, finish, neve

PAPER_TRAPS = 126   # of a hypercall: the slides' figure for nested-v8.3 without VHE
SMALLEST_RATIO = 60


@pytest.fixture(scope="module")
def nested_run(paper_artifacts, tmp_path_factory):
    cwd = tmp_path_factory.mktemp("nested")
    return finish(neve("run", PAPER, "--only", "host=gicv3", cwd=cwd), cwd)


@pytest.fixture(scope="module")
def rows(nested_run):
    assert nested_run.status == 0, nested_run.output
    return read_csv(nested_run.folder / "results.csv")


def test_nested_rows_are_the_papers_in_traps(rows):
    nested = rows[rows["configuration"] == "nested-v8.3"]
    assert set(nested["mechanism"]) == {"paravirtual"}
    totals = rows[rows["reason"] == ""].set_index(["configuration", "benchmark", "metric"])["value"]
    assert abs(totals["nested-v8.3", "hypercall", "traps"] / PAPER_TRAPS - 1) < 0.10
    assert totals["nested-v8.3", "virtual-eoi", "traps"] < 0.1
    hypercall = totals.xs(("hypercall", "cost"), level=("benchmark", "metric"))
    assert hypercall["nested-v8.3"] / hypercall["vm"] > SMALLEST_RATIO
    for benchmark in ("device-io", "device-io-user", "virtual-ipi"):
        cost = totals.xs((benchmark, "cost"), level=("benchmark", "metric"))
        assert cost["nested-v8.3"] > 10 * cost["vm"]


def test_every_trap_has_the_name_of_its_register(rows):
    reasons = rows[(rows["configuration"] == "nested-v8.3") & (rows["benchmark"] == "hypercall")
                   & (rows["reason"] != "")].set_index("reason")["value"]
    for reason, least in (("ERET", 2), ("HCR_EL2", 8), ("ELR_EL1", 4), ("SCTLR_EL1", 4)):
        assert reasons[reason] > least - 0.5
    assert not [name for name in reasons.index if name.startswith(("HVC_", "S3_"))]


def test_gicv2_is_skipped_and_said(tmp_path):
    done = finish(neve("plan", PAPER, cwd=tmp_path), tmp_path)
    assert "gicv2, nested-v8.3: KVM has no GICv2 for a guest hypervisor" in done.output


def test_linux_boots_in_l1_with_two_cpus_again_and_again(paper_artifacts, tmp_path):
    spec = TcgHostSpec(cpu="cortex-a57")
    with levels.l0(Cache.default(), spec, paper_artifacts, tmp_path) as host:
        hypervisor = levels.l1_guest(host, paper_artifacts, "nested-v8.3", gic=3, memory_mib=1024)
        with levels.l1(host, paper_artifacts, hypervisor, name="l1") as place:
            assert "Hyp mode initialized" in place.shell.run("dmesg | grep kvm").output
            for _ in range(3):
                with levels.linux_l2(
                    place, paper_artifacts, gic=3, memory_mib=256, name="l2"
                ) as shell:
                    assert shell.run("hostname; nproc").output.split() == ["l2", "2"]
