# SPDX-License-Identifier: MIT
"""What the correctness suite of nested virtualization shares: machines, guests, and L0's health."""

import re
import shlex
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import product

import pytest

from harness.build.image.emulator import emulator
from harness.cache import Cache
from harness.deadline import Deadline
from harness.machine import levels
from harness.machine.guest.microbench import microbench_guest, parse_line
from harness.machine.guest.nv_mode import set_nv_mode
from harness.machine.guest.vmm import vmm_argv
from harness.machine.host.tcg import tcg_host
from harness.model.guest import File, flat_guest, kernel_file, linux_guest
from harness.model.inventory import TcgHostSpec
from harness.model.playbook import Configuration, validate
from harness.model.setup import Setup, Workload
from harness.model.track import Track, nested

# L0's kernel says these only when something is wrong with it.
TROUBLE = (
    "WARNING:|BUG:|Oops|lockup|blocked for more than|"
    "INFO: (possible|inconsistent|suspicious)|deadlock|held lock|sleeping function|"
    "detected stall|stall on CPU|Bad mode|HYP [p]anic|"
    "corruption"
)
CONFIGURATIONS = ("nested-v8.3", "nested-neve", "nested-v8.3-vhe", "nested-neve-vhe")
ARCHITECTED = ("nested-feat-nv", "nested-feat-nv2", "nested-feat-nv-vhe", "nested-feat-nv2-vhe")
SECONDS = 900  # real ones, at most: a busy machine may run at a hundredth of its own time
L1_MIB = 640
LOST_KIB = 4096  # what L0 may keep for itself
# Rounds of attacks that need no virtual EL2; images/hostile/attacks.c says what they are.
OF_ANY_GUEST = {
    "psci": 400,
    "system-1": 300,
    "system-0": 300,
    "features": 600,
    "active": 2000,
    "distributor": 2000,
}
CHECKED_OF_ANY_GUEST = {"ids": 400}  # of 56 registers, at all levels but EL0
WITHOUT_PROBES = {"race", "active"}
IMMEDIATES = 65536


@dataclass(frozen=True)
class Column:
    """One column of the matrix."""

    cpu: str = "cortex-a57"
    gic: int = 3
    configuration: str = "nested-v8.3"

    def __str__(self):
        return f"{self.cpu}-gicv{self.gic}-{self.configuration.removeprefix('nested-')}"

    @property
    def spec(self):
        return TcgHostSpec(cpu=self.cpu, gic=self.gic, memory=1536)

    @property
    def architected(self):
        """Whether virtual EL2 is the CPU's own."""
        return self.configuration in ARCHITECTED

    @property
    def neve(self):
        """NEVE's mechanisms that the guest hypervisor uses, as VNCR_EL2 has them."""
        return 3 if self.configuration.startswith("nested-neve") else 0


def matrix():
    """The first setup always, the others by `make stress`."""
    emulated = product(("cortex-a57", "cortex-a72", "max"), (3, 2), CONFIGURATIONS)
    for column in (*emulated, *product(("max",), (3, 2), ARCHITECTED)):
        setup = Column(*column)
        marks = [] if setup == Column() else [pytest.mark.stress]
        yield pytest.param(setup, id=str(setup), marks=marks)


# A QEMU's monitor, for who wants more of it than to run.
MONITOR = ("-monitor", "tcp:127.0.0.1:4444,server=on,wait=off")
# How much its guest writes in a second, by KVM's log of dirty pages.
DIRTY_RATE = (
    "(echo 'calc_dirty_rate -b 1'; for i in 1 2 3 4 5 6; do sleep 1; "
    "echo 'info dirty_rate'; done) | nc 127.0.0.1 4444 | "
    "sed -n 's/^Dirty rate: *\\([0-9][0-9]*\\).*/\\1/p' | head -n 1"
)


def tell_monitor(command):
    return f"(echo {command}; sleep 1) | nc 127.0.0.1 4444 > /dev/null"


# Starts an L2 in the background of L1's shell: NAME JOB... A file, as typing takes its time.
# Both of its consoles append to the log, or one would write over the other.
START_L2 = """\
name=/tmp/$1; shift
rm -f $name.*
(
sh -c 'echo $$ > $0.pid; exec "$@"' $name {vmm} "{arguments} -- $*" $L2_MORE
echo $? > $name.status
) < /dev/null >> $name.log 2>&1 &
"""


def start_l2(gic, resets):
    """That script. L2's first process is the self-test."""
    guest = linux_guest(
        "l2",
        kernel="/images/Image",
        initrd="/images/selftest.cpio",
        cpus=2,
        memory_mib=128,
        gic=gic,
    )
    argv = vmm_argv(replace(guest, arguments=None))
    if resets:
        argv.remove("-no-reboot")
    return START_L2.format(vmm=shlex.join([*argv, "-append"]), arguments=guest.arguments)


class Level:
    """The shell of L1, for which typing is work: what waits, waits in there."""

    def __init__(self, place):
        self.place, self.shell = place, place.shell
        self.run("dmesg -n 1; cp /images/selftest /tmp; chmod +x /tmp/selftest")
        self.run(
            "w() { n=0; until [ ${n:-0} -ge $3 ]; do usleep 100000; "
            'n=$(grep -cE "$1" $2 2>/dev/null); done; cat $2; }'
        )

    def run(self, command, check=True):
        return self.shell.run(command, timeout=SECONDS, check=check).output

    def wait(self, file, pattern, times=1):
        """Wait until `file` holds so many such lines; all of it."""
        return self.run(f"w '{pattern}' {file} {times}")

    def number(self, command):
        return int(self.run(command).split()[-1])


class Background:
    """A guest in the background of L1's shell, with its console in a file there."""

    def __init__(self, level, setup, name, *jobs, resets=False, monitor=False):
        self.level, self.file = level, f"/tmp/{name}"
        script = f"{'resets' if resets else 'l2'}-{setup.gic}"
        more = f"L2_MORE='{' '.join(MONITOR)}' " if monitor else ""
        level.run(f"{more}sh /images/{script} {name} {' '.join(jobs)}")

    def expect(self, pattern, times=1):
        return self.level.wait(f"{self.file}.log", pattern, times)

    def ended(self):
        """Wait for its end; the exit status of its VMM, and its console."""
        status = int(self.level.wait(f"{self.file}.status", "^[0-9]"))
        return status, self.level.run(f"cat {self.file}.log")

    def signal(self, name):
        self.level.run(f"kill -{name} $(cat {self.file}.pid)")


def hostile_guest(image, setup):
    return flat_guest(image, 128, setup.gic)


class Hostile:
    """The guest, waiting for a command; at the end it is off, or if it is lost, hung up."""

    lost = False

    def __init__(self, place, guest, name="hostile"):
        self.program = place.start(vmm_argv(guest), name)

    def __enter__(self):
        self.level = int(self.answer("ready")["level"])
        return self

    def __exit__(self, failed, *_):
        if not failed and not self.lost:
            self.program.send("off\n")
            self.program.wait(Deadline(SECONDS, "the hostile guest to power off"))
        self.program.hang_up()

    def answer(self, kinds, seconds=SECONDS):
        line = self.program.expect(
            rf"@MB ({kinds}|error|panic) [^\r\n]*\r*\n", Deadline(seconds, kinds)
        )[0]
        fields = parse_line(re.sub(r".*@MB", "@MB", line.strip()))
        assert fields["kind"] not in {"error", "panic"}, fields
        return fields

    def ask(self, command, seconds=SECONDS):
        self.program.send(command + "\n")
        return self.answer("done", seconds)

    def attack(self, rounds, seed):
        """All of `rounds`; every probe must have come back to us."""
        for name, count in rounds.items():
            found = self.ask(f"attack {name} {count} {seed}")
            came = sum(int(found[key]) for key in ("same_level", "lower", "irqs"))
            assert came > count // 2 or name in WITHOUT_PROBES, found

    def check(self, rounds, seed):
        """Attacks which know what must come of them."""
        for name, count in rounds.items():
            self.program.send(f"attack {name} {count} {seed}\n")
            assert self.answer("checked")["mistakes"] == "0", name
            found = self.answer("done")
            assert name != "vmids" or int(found["lower"]) > count // 2, found


@contextmanager
def hostile_el2(host, artifacts, image, setup, name="hostile"):
    """The same with a virtual EL2, and with NEVE if the setup has it."""
    make_virtual_el2(host, setup)
    guest = levels.placed(hostile_guest(image, setup).with_el2(), host, artifacts)
    with ExitStack() as stack:
        with levels.el2_implied(host, artifacts, guest):
            hostile = stack.enter_context(Hostile(host, guest, name))
        assert hostile.level == 2
        assert int(hostile.ask(f"neve {setup.neve}")["mechanisms"]) == setup.neve
        yield hostile


def verdicts(text):
    """{job: what it found} of all lines; fails if one failed."""
    lines = re.findall(r"@ST (\w+) (\w+) ?([^\r\n]*)\r*\n", text)
    assert not [line for line in lines if line[1] != "ok"], lines
    return {name: dict(word.split("=") for word in found.split()) for name, _, found in lines}


@contextmanager
def real_time_l0(artifacts, setup, transcripts):
    """A machine whose time is ours, and whose CPUs run at once."""
    cache = Cache.default()
    machine = levels.machine_of(setup.spec, artifacts)
    with tcg_host(
        "tcg",
        emulator(cache),
        replace(machine, icount=False),
        share=cache.artifacts,
        transcripts=transcripts,
    ) as host:
        yield host


def booted_by(track, *configurations):
    """What `configurations` of `track`, or all of its nested ones, need on a machine that is driven
    over a network."""
    loaded = Track.load(track)
    names = configurations or [name for name in loaded.modes if nested(name)]
    data = {"track": track, "configurations": names, "benchmarks": ["hypercall"]}
    return Setup.of(validate(data, "a test"), loaded.with_options(*loaded.network))


def hypervisor(host, artifacts, configuration, *, gic, memory_mib, cpus=2):
    """The guest hypervisor of `configuration` with a shell, ready to be started on `host`."""
    setup = replace(artifacts.setup, workload=Workload.LINUX)
    guest = setup.hypervisor(TcgHostSpec(gic=gic), Configuration(configuration))
    return levels.placed(replace(guest, memory_mib=memory_mib, cpus=cpus), host, artifacts)


@contextmanager
def linux_l2(place, artifacts, *, gic, memory_mib, name):
    """An unmodified Linux with a shell, in L1."""
    guest = linux_guest(
        "l2",
        kernel=kernel_file("l2"),
        initrd=File.GUEST_INITRAMFS,
        cpus=2,
        memory_mib=memory_mib,
        gic=gic,
    )
    with levels.l2(place, levels.placed(guest, place, artifacts), name=name) as shell:
        yield shell


def make_virtual_el2(host, setup):
    """Let new VMs have the virtual EL2 of `setup`."""
    track = Track.load("v4.10")
    set_nv_mode(host, track, track.nv(setup.configuration, booting=True))


@contextmanager
def guest_hypervisor(host, artifacts, setup, name="l1"):
    make_virtual_el2(host, setup)
    guest = hypervisor(host, artifacts, setup.configuration, gic=setup.gic, memory_mib=L1_MIB)
    with levels.l1(host, artifacts, guest, name=name) as place:
        yield place


def used_kib(host):
    """Memory in use, without what L0 keeps only as long as it may."""
    host.run("sync; echo 3 > /proc/sys/vm/drop_caches; sleep 1")
    info = dict(re.findall(r"(\w+): +(\d+)", host.run("cat /proc/meminfo").stdout))
    return int(info["MemTotal"]) - int(info["MemFree"])


def vms(host):
    """How many virtual machines L0's KVM has."""
    host.run("test -e /sys/kernel/debug/kvm || mount -t debugfs none /sys/kernel/debug")
    return int(host.run("ls -d /sys/kernel/debug/kvm/[0-9]* 2>/dev/null | wc -l").stdout)


def trouble(host):
    """Lines of L0's log that should not be there."""
    return host.run(f"dmesg | grep -E {shlex.quote(TROUBLE)}", check=False).stdout


def trouble_in(level):
    return level.run(f"dmesg | grep -E '{TROUBLE}'", check=False)


def leaks(host):
    """What kmemleak found, on a kernel that has it."""
    file = "/sys/kernel/debug/kmemleak"
    if not host.attempt(f"test -e {file}"):
        return ""
    for _ in range(2):
        host.run(f"echo scan > {file}; sleep 6", timeout=SECONDS)
    return host.run(f"cat {file}").stdout


def assert_healthy(host, artifacts, setup):
    """L0's kernel has nothing to complain of, and another VM works."""
    guest = flat_guest(host.put(artifacts.files[File.MICROBENCH]), 128, setup.gic)
    with microbench_guest(host, guest, name="other", boot_seconds=SECONDS) as other:
        for benchmark in ("hypercall", "virtual-ipi"):
            assert other.run(benchmark, 100, 10, SECONDS).median > 0
    assert not trouble(host)
