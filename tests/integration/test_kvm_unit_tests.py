# SPDX-License-Identifier: MIT
"""What kvm-unit-tests pass in a VM they pass in a nested VM. $KVM_UNIT_TESTS names a build of them.

On a machine without -icount: they wait by the clock, most of the time.
"""

import os
import re
import shlex
import tomllib
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.build.artifacts import Artifacts, build_all
from harness.build.image.device_tree import gicv2_with_el2
from harness.build.image.emulator import emulator
from harness.build.image.rootfs import l1_initramfs
from harness.cache import Cache
from harness.machine import levels
from harness.machine.guest.nv_mode import set_nv_mode
from harness.machine.guest.vmm import pinned_argv
from harness.machine.host import Host
from harness.model.guest import File, payload_guest
from harness.model.track import Track
from harness.progress import Progress
from tests.integration import nesting
from tests.integration.nesting import L1_MIB, Column, real_time_l0, trouble

BUILD = Path(os.environ.get("KVM_UNIT_TESTS", ""))
DATA = tomllib.loads(Path(__file__).with_name("kvm_unit_tests.toml").read_text())
CPUS = 4  # of L1, and the most that a run has
MEMORY_MIB = 256
KILL_SECONDS = 5  # a VMM has them to end when it is told to
GRACE_SECONDS = 60  # then the level that it runs in has them to tell
PASSED, FAILED, SKIPPED = 1, 3, 77  # a VMM's status if the run came to its end
TAIL_LINES = 30

stress = pytest.mark.stress
pytestmark = pytest.mark.skipif(
    "KVM_UNIT_TESTS" not in os.environ,
    reason="$KVM_UNIT_TESTS names no build: see docs/development/kvm-unit-tests.md",
)


@dataclass(frozen=True)
class Run:
    """One line of the data file."""

    name: str
    flat: str
    arguments: str = ""
    cpus: int = 1
    gic: int | None = None
    passes: int = 0
    seconds: int = 300
    clock: tuple[str, ...] = ()
    quick: bool = False


RUNS = [
    Run(name, **{"flat": name.split("-")[0], **fields, "clock": tuple(fields.get("clock", ()))})
    for name, fields in DATA["runs"].items()
]


@dataclass(frozen=True)
class Outcome:
    """What a run reported, and the status of its VMM."""

    run: Run
    text: str
    status: int

    def lines(self, verdict):
        """What was found so, but for what tells how busy this machine is."""
        found = re.findall(rf"(?m)^{verdict}: (.*?)\r*$", self.text)
        return Counter(line for line in found if not line.endswith(self.run.clock))

    @property
    def good(self):
        return self.status in {PASSED, FAILED, SKIPPED} and not self.lines("FAIL")

    @property
    def tail(self):
        return f"status {self.status}\n" + "\n".join(self.text.splitlines()[-TAIL_LINES:])


@dataclass
class L0:
    """A machine of one track and GIC, its `files` for guests by name, and what ran in its VMs."""

    host: Host
    artifacts: Artifacts
    files: dict[str, Path]
    gic: int
    done: dict[Run, Outcome] = field(default_factory=dict)

    def command(self, place, run):
        """The line of shell that runs it in `place` to its end, or to that of its time."""
        guest = payload_guest(
            place.put(self.files[f"{run.flat}.flat"]), run.cpus, MEMORY_MIB, self.gic, run.arguments
        )
        guest = replace(
            guest,
            initrd=place.put(self.files["environment"]),
            devices=(*guest.devices, "pci-testdev"),
        )
        argv = ["timeout", "-k", str(KILL_SECONDS), str(run.seconds), *pinned_argv(place, guest)]
        return f"{shlex.join(argv)} < /dev/null 2>&1"

    def in_a_vm(self, run):
        if run not in self.done:
            ended = self.host.run(
                self.command(self.host, run), check=False, timeout=run.seconds + GRACE_SECONDS
            )
            self.done[run] = Outcome(run, ended.stdout, ended.status)
        return self.done[run]

    def in_a_nested_vm(self, l1, run):
        ended = l1.shell.run(
            self.command(l1, run), check=False, timeout=run.seconds + GRACE_SECONDS
        )
        return Outcome(run, ended.output, ended.status)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("v4.10", 3), id="v4.10-gicv3"),
        pytest.param(("v4.10", 2), id="v4.10-gicv2", marks=stress),
        pytest.param(("upstream", 3), id="upstream-gicv3"),
    ],
)
def l0(request, tmp_path_factory):
    name, gic = request.param
    if name == "v4.10":
        request.getfixturevalue("v4_10")  # skips without its source
    track, cache, folder = Track.load(name), Cache.default(), tmp_path_factory.mktemp("kut")
    kinds = [kind for kind in nesting.CONFIGURATIONS if kind in track.modes]
    prepared = build_all(cache, Progress(), nesting.booted_by(name, *kinds))
    files = {f"{run.flat}.flat": BUILD / "arm" / f"{run.flat}.flat" for run in RUNS}
    files["environment"] = folder / "environment"
    files["environment"].write_text("".join(f"{line}\n" for line in DATA["environment"][name]))
    nested = {**prepared.nested, **files}
    made = {File.L1_INITRAMFS: l1_initramfs(cache, prepared.files[File.INITRAMFS], nested)}
    if gic == 2:
        made[File.DEVICE_TREE] = gicv2_with_el2(cache, emulator(cache), CPUS)
    artifacts = replace(prepared, nested=nested, files={**prepared.files, **made})
    setup = Column(cpu="cortex-a57" if name == "v4.10" else "max", gic=gic)
    with real_time_l0(artifacts, setup, folder / "consoles") as host:
        yield L0(host, artifacts, files, gic)
        assert not trouble(host)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[] if name.startswith("nested-neve") else stress)
        for name in nesting.CONFIGURATIONS
    ],
)
def l1(request, l0):
    """The guest hypervisor, waiting for guests."""
    track, name = l0.artifacts.setup.track, request.param
    if name not in track.modes:
        pytest.skip(f"track {track.name} has no {name}")
    guest = nesting.hypervisor(
        l0.host, l0.artifacts, name, gic=l0.gic, memory_mib=L1_MIB, cpus=CPUS
    )
    with ExitStack() as stack:
        place = stack.enter_context(levels.l1(l0.host, l0.artifacts, guest, name=name))
        set_nv_mode(l0.host, track, track.nv(name))
        stack.callback(set_nv_mode, l0.host, track, None)
        yield place


@pytest.fixture(
    params=[pytest.param(run, id=run.name, marks=[] if run.quick else stress) for run in RUNS]
)
def run(request, l0):
    if request.param.gic not in {None, l0.gic}:
        pytest.skip(f"is for GICv{request.param.gic}")
    return request.param


def test_in_a_vm(l0, run):
    found = l0.in_a_vm(run)
    cause = DATA["known"].get(l0.artifacts.setup.track.name, {}).get(run.name)
    if cause:
        assert not found.good, f"no longer true: {cause}"
    else:
        assert found.good, found.tail
    assert found.lines("PASS").total() >= run.passes, found.tail


def test_in_a_nested_vm(l0, l1, run):
    vm, nested = l0.in_a_vm(run), l0.in_a_nested_vm(l1, run)
    assert not vm.lines("PASS") - nested.lines("PASS"), nested.tail
    assert not nested.lines("FAIL") - vm.lines("FAIL"), nested.tail
    assert nested.good or not vm.good, nested.tail
