# SPDX-License-Identifier: MIT
"""Track v4.10: the paper's kernel on ARMv8.0. Skipped where its source is not in the cache."""

from contextlib import contextmanager

import pytest
import yaml

from harness.cache import Cache
from harness.deadline import Deadline
from harness.machine import levels
from harness.machine.guest.linux import booted
from harness.machine.guest.microbench import microbench_guest
from harness.machine.guest.vmm import vmm_argv
from harness.model.guest import File, flat_guest
from harness.model.inventory import TcgHostSpec
from harness.results.frames import read_csv
from tests.integration import nesting
from tests.integration.conftest import PAPER, finish, neve

# The figure that v4.10 was first measured with, for a hypercall on a Cortex-A57.
HYPERCALL_INSTRUCTIONS = 1300


@pytest.fixture(scope="module")
def vm_run(paper_artifacts, tmp_path_factory):
    cwd = tmp_path_factory.mktemp("paper")
    return finish(neve("run", PAPER, "--only", "configuration=vm", cwd=cwd), cwd)


@contextmanager
def paper_l0(artifacts, transcripts, **spec):
    wanted = TcgHostSpec(**{"cpu": "cortex-a57", **spec})
    with levels.l0(Cache.default(), wanted, artifacts, transcripts) as host:
        yield host


def test_vm_rows_with_both_interrupt_controllers(vm_run):
    assert vm_run.status == 0, vm_run.output
    assert vm_run.seconds < 90
    rows = read_csv(vm_run.folder / "results.csv")
    totals = rows[rows["reason"] == ""].set_index(["host", "benchmark", "metric"])["value"]
    for host in ("gicv3", "gicv2"):
        hypercall = totals[host, "hypercall", "cost"]
        assert abs(hypercall / HYPERCALL_INSTRUCTIONS - 1) < 0.10
        assert totals[host, "hypercall", "traps"] == 1
        assert totals[host, "virtual-eoi", "traps"] == 0
        for benchmark, traps in (("device-io", 1), ("device-io-user", 1), ("virtual-ipi", 2)):
            assert totals[host, benchmark, "cost"] > hypercall
            assert totals[host, benchmark, "traps"] == traps
    assert set(rows["mechanism"]) == {"none"}
    assert set(rows[rows["metric"] == "cost"]["unit"]) == {"instructions"}


def test_report_says_which_counter_was_read_and_where_the_kernel_came_from(vm_run, v4_10):
    report = (vm_run.folder / "report.md").read_text()
    assert "CNTVCT_EL0, the virtual counter" in report
    assert "Linux 4.10.0 (track v4.10)" in report
    assert v4_10.origin in report


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a72", "neoverse-n1", "max"])
def test_other_processors(paper_artifacts, tmp_path, cpu):
    playbook = yaml.safe_load(PAPER.read_text())
    for host in playbook["hosts"]:
        host["cpu"] = cpu
    playbook.update(
        configurations=["vm"], benchmarks=["hypercall"], iterations=200, trap_iterations=20
    )
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(playbook))
    done = finish(neve("run", "paper.yaml", cwd=tmp_path), tmp_path)
    assert done.status == 0, done.output
    rows = read_csv(done.folder / "results.csv")
    assert set(rows["cpu"]) == {cpu}
    assert len(rows[rows["metric"] == "cost"]) == 2


@pytest.mark.parametrize("gic", [2, 3])
def test_linux_in_l1_has_its_cpus_and_powers_off_and_reboots(paper_artifacts, tmp_path, gic):
    with paper_l0(paper_artifacts, tmp_path, gic=gic) as host:
        guest = nesting.hypervisor(host, paper_artifacts, "nested-v8.3", gic=gic, memory_mib=1024)
        with booted(host, guest, "l1", name="off", boot_seconds=levels.BOOT_SECONDS["l1"]) as shell:
            assert shell.run("hostname; nproc; uname -r").output.split() == ["l1", "2", "4.10.0"]
        program = host.start(vmm_argv(guest), "reboot")
        program.expect("l1# ", Deadline(levels.BOOT_SECONDS["l1"], "l1 to boot"))
        program.send("reboot -f\n")
        assert program.wait(Deadline(30, "the VMM to end")) == 0
        program.hang_up()


def test_shell_at_l1_by_the_command(paper_artifacts, tmp_path):
    done = finish(
        neve(
            "shell",
            "--level",
            "l1",
            "--playbook",
            PAPER,
            "--command",
            "echo level-$(hostname)",
            cwd=tmp_path,
        ),
        tmp_path,
    )
    assert (done.status, "level-l1" in done.output) == (0, True), done.output


def test_a_vm_that_is_not_measured_has_no_cycle_counter(paper_artifacts, tmp_path):
    """It reads zero, and the timer stays the virtual counter."""
    with paper_l0(paper_artifacts, tmp_path) as host:
        guest = flat_guest(host.put(paper_artifacts.files[File.MICROBENCH]), 128, 3)
        with microbench_guest(host, guest, name="plain", boot_seconds=60) as plain:
            assert not plain.use_timer("cycles")
            assert plain.run("hypercall", 200, 20, 60).timer == "virtual"


@pytest.mark.stress
@pytest.mark.parametrize("attempt", range(20))
def test_l0_and_l1_boot(paper_artifacts, tmp_path, attempt):
    with paper_l0(paper_artifacts, tmp_path, gic=3 - attempt % 2) as host:
        guest = nesting.hypervisor(
            host, paper_artifacts, "nested-v8.3", gic=3 - attempt % 2, memory_mib=1024
        )
        with booted(host, guest, "l1", name="l1", boot_seconds=levels.BOOT_SECONDS["l1"]) as shell:
            assert shell.run("nproc").output.split() == ["2"]
