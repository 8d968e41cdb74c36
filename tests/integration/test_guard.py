# SPDX-License-Identifier: MIT
"""Track v4.10: what L0's kernel owes to whom it hosts, and to itself. On a machine without -icount,
with a kernel that has a test of its own and /dev/mem."""

from dataclasses import replace

import pytest

from harness.build.kernel.build import build
from harness.cache import Cache
from harness.deadline import Deadline
from harness.errors import GuestError
from harness.machine import levels
from harness.machine.guest.vmm import vmm_argv
from harness.model.series import PatchEntry
from harness.model.track import Fragment
from harness.paths import KERNEL_PATCHES
from tests.integration import nesting
from tests.integration.nesting import SECONDS, verdicts

FOLDER = KERNEL_PATCHES / "v4.10"
NESTED = "/sys/module/kvm/parameters/nested"
NV = "/sys/module/kvm/parameters/nv"
ROUNDS = "/sys/module/lock_waiter/parameters/rounds"
HOLE = 0x0B000000  # in QEMU's `virt` nothing answers there
NO_EVENTS = "# CONFIG_ARM_ARCH_TIMER_EVTSTREAM is not set\n"
HAS_EL2, HAS_EL2_E2H0 = 0x80, 0x180


@pytest.fixture(scope="module", params=[3, 2], ids=["gicv3", "gicv2"])
def setup(request):
    return nesting.Column(gic=request.param, configuration="nested-neve")


def with_kernel(artifacts, v4_10, *fragments):
    track = artifacts.setup.track
    series = replace(track.series, entries=(*track.series.entries, PatchEntry("test-lock-waiter")))
    options = [Fragment(file) for file in (FOLDER / "test.config", *fragments)]
    kernel = build(
        Cache.default(),
        v4_10,
        replace(track, fragments=(*track.fragments, *options), series=series),
        track.roles["l0"],
    )
    return replace(artifacts, kernels={**artifacts.kernels, "l0": kernel})


@pytest.fixture(scope="module")
def tested(suite_artifacts, v4_10):
    return with_kernel(suite_artifacts, v4_10)


@pytest.fixture(scope="module")
def l0(tested, setup, tmp_path_factory):
    with nesting.real_time_l0(tested, setup, tmp_path_factory.mktemp("consoles")) as host:
        program = host.put(tested.nested["selftest"])
        host.run(f"dmesg -n 1; cp {program} /tmp/selftest; chmod +x /tmp/selftest")
        yield host
        assert not nesting.trouble(host)


def selftest(host, *jobs):
    return verdicts(
        host.run(f"timeout 60 /tmp/selftest {' '.join(jobs)}", timeout=90, check=False).stdout
    )


def late_us(host, rounds):
    """By how much a CPU was late, at most, to see that a lock is free."""
    return int(host.run(f"echo {rounds} > {ROUNDS}; cat {ROUNDS}", timeout=SECONDS).stdout)


def test_cpus_that_wait_for_an_event_go_on_without_one(l0):
    """And long before the next tick, which an idle CPU does not have."""
    assert selftest(l0, "events:200")["events"]
    assert late_us(l0, 100) < 300_000  # a busy machine has CPUs wait, too


@pytest.mark.stress
def test_without_the_event_stream_they_stand_still(suite_artifacts, v4_10, setup, tmp_path):
    """What the one above is for: it fails where it should."""
    (tmp_path / "no-events.config").write_text(NO_EVENTS)
    artifacts = with_kernel(suite_artifacts, v4_10, tmp_path / "no-events.config")
    with nesting.real_time_l0(artifacts, setup, tmp_path) as host:
        assert late_us(host, 200) > 500_000


def test_a_walk_that_is_aborted_is_a_fault(l0):
    """The guest has its translation tables where a device would be, and nothing answers."""
    assert int(selftest(l0, f"walk:{HOLE:#x}")["walk"]["par"], 16) & 1


@pytest.mark.parametrize("way", ["another slot", "another mapping", "none for a while"])
def test_the_page_of_neve_is_where_the_memory_is(l0, way):
    ways = {"another slot": 0, "another mapping": 1, "none for a while": 2}
    assert selftest(l0, f"moved:{ways[way]}")["moved"]


@pytest.mark.parametrize("allowed", ["0", "1"])
def test_who_gets_el2_is_for_the_administrator_to_say(l0, allowed):
    before = l0.run(f"cat {NESTED}").stdout.strip()
    assert before == "Y"  # as the track's L0 is told
    try:
        l0.run(f"echo {allowed} > {NESTED}")
        for features in (HAS_EL2, HAS_EL2_E2H0):
            found = selftest(l0, f"asked:{features}")["asked"]
            assert found["has"] == found["el2"] == found["e2h0"] == allowed
        assert not l0.attempt(f"echo maybe > {NESTED}")
    finally:
        l0.run(f"echo {before} > {NESTED}")


def test_there_is_no_feat_nv_where_the_cpu_has_none(l0):
    """Nor more than there is of the architecture, nor anything that is no number."""
    for refused in ("1", "2", "3", "Y", "-1"):
        assert not l0.attempt(f"echo {refused} > {NV}")
        assert l0.run(f"cat {NV}").stdout.strip() == "0"
    assert l0.attempt(f"echo 0 > {NV}")


def test_a_vcpu_with_el2_is_not_restored(l0):
    assert selftest(l0, "restored")["restored"]


def test_a_guest_hypervisor_is_not_migrated(l0, tested, setup):
    """With a GICv3 it is not even saved; with a GICv2, which QEMU does save, it is refused."""
    guest = nesting.hypervisor(l0, tested, setup.configuration, gic=setup.gic, memory_mib=256)
    argv = [*vmm_argv(guest), *nesting.MONITOR]
    with levels.el2_implied(l0, tested, guest):
        program = l0.start(argv, "saved")
        program.expect("l1# ", Deadline(SECONDS, "l1 to boot"))
        said = l0.run(
            "(echo 'migrate \"exec:cat > /tmp/state\"'; sleep 20; echo 'info migrate'; "
            "sleep 1; echo quit) | nc 127.0.0.1 4444",
            timeout=120,
            check=False,
        ).stdout
        program.hang_up()
        if setup.gic == 3:
            assert "migration disabled because KVM nested virt is enabled" in said
            return
        assert "completed" in said, said
        restored = l0.start([*argv, "-incoming", "exec:cat /tmp/state"], "restored")
        with pytest.raises(GuestError, match=r"VMM error: .*Could not set register") as refused:
            restored.expect("never", Deadline(60, "its end"))
        assert str(refused.value).count("Could not set register") <= 2  # the line, and its console
        restored.hang_up()
    assert "A vCPU with EL2 can't be restored" in l0.run("dmesg; rm -f /tmp/state").stdout
