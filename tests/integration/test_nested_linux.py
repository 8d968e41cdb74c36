# SPDX-License-Identifier: MIT
"""Track v4.10: Linux in L1 and L2 while the levels below pull at its memory, CPUs and life."""

import re

import pytest

from harness.cache import Cache
from harness.deadline import Deadline
from harness.machine import levels
from harness.machine.console import Shell
from harness.machine.guest.vmm import vmm_argv
from harness.machine.levels import GuestPlace
from harness.model.track import e2h
from tests.integration import nesting
from tests.integration.nesting import (
    IMMEDIATES,
    OF_ANY_GUEST,
    SECONDS,
    Background,
    Hostile,
    Level,
    hostile_guest,
    verdicts,
)

VMMS = "$(pidof qemu-system-aarch64)"
FREE = "awk '/MemFree/ { print $2 }' /proc/meminfo"
SWAP = (
    "echo 256M > /sys/block/zram0/disksize; mkswap /dev/zram0; swapon /dev/zram0; "
    "echo 100 > /proc/sys/vm/swappiness; cd /sys/kernel/mm/ksm; echo 300 > pages_to_scan; "
    "echo 1 > run; cd"
)
# Each changes the page table entries of the VMMs' memory, most of them the pages too.
CHURN = (
    f"for p in {VMMS}; do echo 4 > /proc/$p/clear_refs; done",  # unmaps everything
    # kswapd awakes below 5/4 of this, and goes on up to 3/2 of it
    f"echo $(($({FREE}) * 4 / 5 + 4096)) > /proc/sys/vm/min_free_kbytes; usleep 200000; "
    "echo 4096 > /proc/sys/vm/min_free_kbytes",
    f"for p in {VMMS}; do echo 1 > /proc/$p/clear_refs; done",  # ages everything
    "echo 1 > /proc/sys/vm/compact_memory",
)
CHURNED = "awk '/pswpin/ || /pswpout/ || /pgmigrate_success/ { print $2 }' /proc/vmstat"
# All threads of the VMMs on other CPUs.
MOVE = f"for p in {VMMS}; do taskset -ap {{mask}} $p; done > /dev/null"
# By then an L2's kernel is up on one of its CPUs.
BOOTING = (
    "mount -t debugfs none /sys/kernel/debug; "
    "until [ $(cat /sys/kernel/debug/kvm/exits) -gt 3000 ]; do usleep 100000; done"
)
BUSY = "memory:24:1000000+fpu:8:1000000+ipis:1000000"


@pytest.fixture(scope="module", params=nesting.matrix())
def setup(request):
    return request.param


@pytest.fixture(scope="module")
def l0(suite_artifacts, setup, tmp_path_factory):
    with levels.l0(
        Cache.default(), setup.spec, suite_artifacts, tmp_path_factory.mktemp("consoles")
    ) as host:
        program = host.put(suite_artifacts.nested["selftest"])
        host.run(f"dmesg -n 1; cp {program} /tmp/selftest; chmod +x /tmp/selftest")
        yield host
        assert nesting.vms(host) == 0
        nesting.assert_healthy(host, suite_artifacts, setup)
        assert not nesting.leaks(host)


@pytest.fixture(scope="module")
def l1(l0, suite_artifacts, setup):
    with nesting.guest_hypervisor(l0, suite_artifacts, setup) as place:
        level = Level(place)
        yield level
        assert not nesting.trouble_in(level)


@pytest.fixture(autouse=True)
def _no_trouble(l0):
    yield
    assert not nesting.trouble(l0)


@pytest.fixture(scope="module")
def l2(l1, setup):
    """One that is left in peace at first, and then works for ever."""
    return Background(
        l1,
        setup,
        "l2",
        "ticks:1+sleeps:10:30000",
        "ipis:300",
        "events:20",
        "virtio:50",
        "ever",
        "memory:16:200+fpu:3:200",
        monitor=True,
    )


def test_l1(l1, setup):
    mode = "VHE mode" if e2h(setup.configuration) else "Hyp mode"
    said = l1.run("nproc; dmesg | grep -E 'mode initialized|started at EL'")
    assert said.split()[0] == "2" and f"{mode} initialized" in said and "at EL2" in said
    found = verdicts(
        l1.run(
            "/tmp/selftest ticks:1+sleeps:20:10000 ipis:500 virtio:100 "
            "memory:16:200+fpu:1:200 events:50"
        )
    )
    assert set(found) == {"memory", "fpu", "ticks", "sleeps", "ipis", "virtio", "events"}
    assert int(found["ticks"]["late_us"]) < 10_000
    assert int(found["sleeps"]["mean_us"]) < 5_000


def test_timers_and_interrupts_of_l2(l2):
    found = verdicts(l2.expect("@ST virtio "))
    assert set(found) == {"up", "ticks", "sleeps", "ipis", "events", "virtio"}
    assert found["up"]["cpus"] == "2"
    assert 50 <= int(found["ticks"]["ticks"]) <= 52
    assert int(found["ticks"]["late_us"]) < 100_000
    assert int(found["sleeps"]["mean_us"]) < 30_000


def test_memory_and_registers_of_l2(l0, l1, l2):
    """Both hosts unmap, age, swap, merge and move its memory, and move its CPUs.

    They use the FP/SIMD registers, too, and L0 runs out of VMIDs: all that run get new ones.
    """
    l0.run("(/tmp/selftest fpu:1:300 vms:260 > /tmp/l0.log 2>&1 &)")
    l1.run("(/tmp/selftest fpu:2:300 > /tmp/l1.log 2>&1 &)")
    assert l1.number(nesting.DIRTY_RATE) > 0
    l1.run(f"({nesting.DIRTY_RATE} > /dev/null &)")
    l0.run(SWAP)
    l1.run(SWAP)
    before = l0.run(CHURNED).stdout.split(), l1.run(CHURNED).split()
    l1.run(
        "(for i in 1 2; do " + "; ".join(CHURN) + "; done > /tmp/churn 2>&1; "
        "echo end >> /tmp/churn) & true"
    )
    for cpu in range(2):
        for command in (*CHURN, MOVE.format(mask=1 << cpu)):
            l0.run(command, check=False, timeout=SECONDS)
        l1.run(MOVE.format(mask=1 << cpu % 2), check=False)
    l1.wait("/tmp/churn", "^end")
    l1.run("echo 2 > /sys/kernel/mm/ksm/run; swapoff /dev/zram0")
    l0.run(
        MOVE.format(mask="f") + "; echo 2 > /sys/kernel/mm/ksm/run; swapoff /dev/zram0",
        timeout=SECONDS,
    )
    done = len(re.findall("@ST memory", l2.expect("@ST memory")))
    found = verdicts(l2.expect("@ST memory", times=done + 2))  # one that began after all this
    assert int(found["memory"]["rounds"]) >= 1 and int(found["fpu"]["rounds"]) >= 2
    l2.signal("KILL")
    assert l2.ended()[0] == 128 + 9
    assert verdicts(l1.wait("/tmp/l1.log", "fpu "))["fpu"]
    l0.run("until grep vms /tmp/l0.log; do sleep 1; done", timeout=SECONDS)
    assert set(verdicts(l0.run("cat /tmp/l0.log").stdout)) == {"fpu", "vms"}
    after = l0.run(CHURNED).stdout.split(), l1.run(CHURNED).split()
    for host in range(2):
        for was, now in zip(before[host], after[host], strict=True):
            assert int(now) > int(was), (before, after)


@pytest.mark.stress
def test_two_l2_one_reboots_and_one_is_stopped_and_killed(l1, setup):
    free = l1.number(FREE)
    victim = Background(l1, setup, "victim", BUSY)
    other = Background(
        l1, setup, "other", "memory:8:200+fpu:7:200", "ticks:1", "reboot", resets=True
    )
    victim.expect("@ST up ")
    victim.signal("STOP")
    l1.run("sleep 1")
    victim.signal("CONT")
    other.expect("@ST up ")
    victim.signal("KILL")
    assert victim.ended()[0] == 128 + 9
    assert set(verdicts(other.expect("@ST up ", times=2))) == {"up", "memory", "fpu", "ticks"}
    other.signal("KILL")
    other.ended()
    l1.run("echo 3 > /proc/sys/vm/drop_caches")
    assert free - l1.number(FREE) < nesting.LOST_KIB


def test_hostile_l2(l1, setup):
    """Seen by both of its hypervisors."""
    with Hostile(l1.place, hostile_guest("/images/hostile.bin", setup)) as guest:
        assert guest.level == 1
        assert int(guest.ask(f"hvc 1 0 {IMMEDIATES - 1} 211")["same_level"]) > 300
        assert int(guest.ask("ladder 0")["rungs"]) == IMMEDIATES
        guest.attack({name: rounds // 5 for name, rounds in OF_ANY_GUEST.items()}, 1)


@pytest.mark.stress
def test_every_hvc_of_l2(l1, setup):
    with Hostile(l1.place, hostile_guest("/images/hostile.bin", setup)) as guest:
        assert int(guest.ask("ladder 1", seconds=7200)["rungs"]) == IMMEDIATES


@pytest.mark.parametrize("reset", ["reboot", pytest.param("reset", marks=pytest.mark.stress)])
def test_l1_is_stopped_rebooted_and_killed_with_l2_inside(l0, suite_artifacts, setup, reset):
    """The same VMM through all of it; then nothing is left of it."""
    used, count = nesting.used_kib(l0), nesting.vms(l0)
    guest = nesting.hypervisor(
        l0, suite_artifacts, setup.configuration, gic=setup.gic, memory_mib=512
    )
    argv = vmm_argv(guest)
    argv.remove("-no-reboot")
    with levels.el2_implied(l0, suite_artifacts, guest):
        program = l0.start([*argv, *nesting.MONITOR, "-name", reset], reset)
        shell = Shell(program.console, "l1# ")
        shell.ready(Deadline(SECONDS, "l1 to boot"))
    pid = l0.run(f"ps | awk '/[-]name {reset}/ {{ print $1 }}'").stdout.strip()
    for last in (False, True):
        inside = Level(GuestPlace(shell, {}))
        Background(inside, setup, "l2", BUSY)
        inside.run(BOOTING)
        l0.run(f"kill -STOP {pid}; sleep 1; kill -CONT {pid}", timeout=SECONDS)
        if last:
            l0.run(f"kill -KILL {pid}")
            break
        shell.ready(Deadline(SECONDS, "the prompt behind the last command"))
        if reset == "reboot":
            program.send("reboot -f\n")
        else:
            assert int(l0.run(nesting.DIRTY_RATE, timeout=SECONDS).stdout) > 0
            l0.run(nesting.tell_monitor("system_reset"), timeout=SECONDS)
        shell.ready(Deadline(SECONDS, "l1 to boot again"))
    program.hang_up()
    l0.run(f"while test -e /proc/{pid}; do sleep 1; done", timeout=SECONDS)
    assert nesting.vms(l0) == count
    assert nesting.used_kib(l0) - used < nesting.LOST_KIB
