# SPDX-License-Identifier: MIT
"""Where vCPUs run, and what a measurement leaves of the server's settings."""

import os
import time

import pytest

from harness.deadline import Deadline
from harness.errors import GuestError, InfrastructureError, UserError
from harness.machine.host import lock, tuning
from harness.machine.host.as_it_is import as_it_is
from harness.machine.host.lock import locked
from harness.machine.host.pinning import cpus_for_guests, verify
from harness.machine.host.tuning import constant_speed
from harness.paths import PINNED
from tests.integration.loopback.test_lock import begun, done, line, until

pytestmark = pytest.mark.timeout(120)
ALLOWED = sorted(os.sched_getaffinity(0))
GOVERNOR = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor"
ONLINE = "/sys/devices/system/cpu/online"
# Two threads that are named as QEMU's are: processes here, for sh has no threads.
VMM = """#!/bin/sh
sh -c 'printf "CPU 1/KVM" >/proc/$$/comm; sleep 60; :' "$1" &
other=$!
trap 'kill $other' TERM HUP
printf 'CPU 0/KVM' >/proc/$$/comm
taskset -pc {second} $other
echo @ready
wait
"""


def governors(server):
    return server.ssh(f"cat {GOVERNOR.format(0)} {GOVERNOR.format(1)}").split()


@pytest.mark.skipif(len(ALLOWED) < 2, reason="one CPU")
@pytest.mark.parametrize("user", ["root", "wendy", "busy"])
def test_cpus_are_those_that_are_online_and_allowed(server, tmp_path, user):
    """Whatever OMP_NUM_THREADS says, which nproc believes."""
    spec = server.spec(user)
    server.ssh(f"echo 0-4095 >{ONLINE}")
    with as_it_is(spec, tmp_path, 0) as host:
        assert cpus_for_guests(host, spec, 2) == tuple(ALLOWED[-2:])
        server.ssh(f"echo 0-4095 | sed 's/0-4095/{ALLOWED[0]},{ALLOWED[1]},4000/' >{ONLINE}")
        assert cpus_for_guests(host, spec, 2) == tuple(ALLOWED[:2])
        server.ssh(f"echo {ALLOWED[1]} >{ONLINE}")
        with pytest.raises(UserError, match="programs may use 1 of its CPUs, but guests have 2"):
            cpus_for_guests(host, spec, 2)


def test_isolated_cpus_are_online(server, tmp_path):
    """They are no CPUs that programs may use by themselves: the kernel keeps all from them."""
    spec = server.spec(cpus="4-5")
    with as_it_is(spec, tmp_path, 0) as host:
        server.ssh(f"echo 0-7 >{ONLINE}")
        assert cpus_for_guests(host, spec, 2) == (4, 5)
        with pytest.raises(UserError, match="`cpus` isolates 2, but guests have 4 vCPUs"):
            cpus_for_guests(host, spec, 4)
        server.ssh(f"echo 0-4 >{ONLINE}")
        with pytest.raises(UserError, match="`cpus` names CPU 5, which is not online"):
            cpus_for_guests(host, spec, 2)
        server.ssh(f"echo Welcome >{ONLINE}")
        with pytest.raises(InfrastructureError, match="'Welcome"):
            cpus_for_guests(host, spec, 2)


@pytest.mark.skipif(len(ALLOWED) < 2, reason="one CPU")
@pytest.mark.parametrize("user", ["root", "lab", "busy"])
def test_a_vcpu_that_leaves_its_cpu_fails_the_cell(server, tmp_path, user):
    first, second = ALLOWED[:2]
    file, vmm = tmp_path / "kernel", tmp_path / "vmm"
    file.write_text("")
    vmm.write_text(VMM.format(second=second))
    with as_it_is(server.spec(user), tmp_path, 0) as host, locked(host, 0):
        with pytest.raises(GuestError, match="no VMM of ours has a vCPU there"):
            verify(host, (first, second))
        argv = ["sh", host.put(PINNED), f"{first}", "sh", host.put(vmm), host.put(file)]
        program = host.start(argv, "vmm")
        program.expect("@ready", Deadline(20, "it"))
        time.sleep(1)
        verify(host, (first, second))
        server.ssh(
            "for each in /proc/[0-9]*; do read -r name <$each/comm; "
            '[ "$name" != "CPU 1/KVM" ] || taskset -pc '
            f"{first},{second} ${{each#/proc/}}; done 2>/dev/null"
        )
        with pytest.raises(
            GuestError,
            match=rf"vCPU 1 of a guest is on CPU {first}.{second}, not "
            rf"on CPU {second} alone",
        ):
            verify(host, (first, second))
        verify(host, ())
        program.hang_up()


def test_a_vcpu_without_its_cpu_ends_the_vmm(server, tmp_path):
    vmm = tmp_path / "vmm"
    vmm.write_text("printf 'CPU 0/KVM' >/proc/$$/comm; echo @ready; sleep 60; :")
    with as_it_is(server.spec("lab"), tmp_path, 0) as host, locked(host, 0):
        for cpus, why in (("4095", "CPU 4095: .*nvalid argument"), ("", "CPU none")):
            program = host.start(["sh", host.put(PINNED), cpus or " 0", "sh", host.put(vmm)], "vmm")
            with pytest.raises(GuestError, match=f"a vCPU without its CPU: @unpinned {why}"):
                program.expect("never", Deadline(20, "nothing"))
            assert program.console.closed(Deadline(20, "its end")) != 0


def test_the_governor_is_what_it_was_before_the_first_run(server, start):
    server.ssh(f"echo powersave >{GOVERNOR.format(1)}")
    one = start("one", "lab", seconds=600)
    line(one, "locked")
    begun(server, "one")
    assert governors(server) == ["performance", "performance"]
    one.kill()
    until(lambda: governors(server) == ["schedutil", "powersave"])
    assert done(start("two", "bob", wait=20)) == (0, "locked\nmeasured\n")
    assert governors(server) == ["schedutil", "powersave"]
    assert "governors" not in server.ssh("ls /var/lib/neve")


def test_what_a_power_cut_of_the_holder_has_left_is_set_right_by_the_next_run(
    server, tmp_path, monkeypatch
):
    """Not by what that run finds, which is our own governor."""
    monkeypatch.setattr(lock, "_END", "exit\n")
    with as_it_is(server.spec(), tmp_path, 0) as host, locked(host, 0):
        host.run(tuning._SAVE + "\n" + tuning._SET)
        assert governors(server) == ["performance", "performance"]
    assert governors(server) == ["performance", "performance"]
    monkeypatch.undo()
    with as_it_is(server.spec(), tmp_path, 0) as host, locked(host, 0), constant_speed(host):
        assert governors(server) == ["performance", "performance"]
    assert governors(server) == ["schedutil", "schedutil"]


def test_what_was_before_a_boot_is_not_brought_back(server, tmp_path):
    server.ssh(
        "umask 077; mkdir /var/lib/neve; "
        f"printf 'another-boot\\n{GOVERNOR.format(0)}:ondemand\\n' >/var/lib/neve/governors"
    )
    with as_it_is(server.spec(), tmp_path, 0) as host, locked(host, 0), constant_speed(host):
        pass
    assert governors(server) == ["schedutil", "schedutil"]


def test_names_of_governors_are_no_commands(server, tmp_path):
    server.ssh(f"echo '$(touch /tmp/one)`touch /tmp/two`;touch /tmp/three' >{GOVERNOR.format(0)}")
    before = governors(server)
    with as_it_is(server.spec("tina"), tmp_path, 0) as host, locked(host, 0):
        with constant_speed(host):
            server.ssh("echo '/tmp/four:x' >>/var/lib/neve/governors")
        assert governors(server) == before
    assert server.ssh("ls /tmp") == ""
