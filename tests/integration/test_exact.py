# SPDX-License-Identifier: MIT
"""Figures are exact: the emulator's own log of exceptions agrees with L0's tracepoint, what else
the computer does changes nothing, and to measure takes nothing from a guest hypervisor."""

import itertools
import os
import re
import socket
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.bench.traps import events
from harness.bench.workload.micro import HermeticMachine, MicroScript
from harness.build.image.emulator import emulator
from harness.build.kernel.build import build
from harness.cache import Cache
from harness.commands import run as run_command
from harness.machine import levels
from harness.model.guest import kernel_file
from harness.model.playbook import Configuration, load, narrow, validate
from harness.model.series import PatchEntry
from harness.model.setup import Setup
from harness.results.frames import read_csv
from tests.integration.conftest import FALLBACK, PAPER, busy, figures, finish, neve

OPERATIONS = 60
STEPS = {"iterations": 40, "warmup": 10, "trap_iterations": OPERATIONS, "nested_share": 1}
# Track, GIC, configuration, and what a hypercall traps; upstream's kernel is whatever is newest.
COLUMNS = [
    ("upstream", 3, "nested-neve-vhe", None),
    ("v4.10", 3, "nested-v8.3", 132),
    ("v4.10", 2, "nested-neve", 15),  # the paper: 15
    ("v4.10", 3, "nested-feat-nv2", None),
]
MORE_COLUMNS = [
    ("upstream", 3, "vm", 1),
    ("upstream", 3, "nested-v8.3-vhe", None),
    ("v4.10", 3, "nested-neve", 15),
    ("v4.10", 2, "nested-v8.3", 127),  # the paper: 126
    ("v4.10", 3, "nested-feat-nv", 132),
    ("v4.10", 3, "nested-feat-nv-vhe", 88),
    ("v4.10", 3, "nested-nv2", None),
]
# Where the benchmark guest is: it has no other addresses than physical ones.
GUEST = range(0x4008_0000, 0x4010_0000)
HVC, DABT = 0x16, 0x24
GICH = 1 << 24  # what L0 adds to the syndrome of an access of a GICv2's registers for hypervisors


def micro_script(artifacts, gic, configuration):
    """The script of a configuration of one host, with few operations."""
    setup = artifacts.setup
    playbook = setup.playbook.model_dump(mode="json") | STEPS
    playbook["hosts"] = [{**playbook["hosts"][0], "gic": gic}]
    playbook["configurations"] = [configuration]
    playbook["benchmarks"] = ["hypercall"]
    few = Setup.of(validate(playbook, "a test"))
    (spec,) = few.playbook.hosts
    return MicroScript(
        replace(artifacts, setup=few), spec, Configuration(configuration), events()[0]
    )


@contextmanager
def under_way(wanted, benchmarks, transcripts, *options):
    """`wanted` on a machine of its own, whose emulator has `options`, until its guest is up."""
    machine = levels.machine_of(wanted.spec, wanted.artifacts)
    plain = emulator(Cache.default())
    qemu = replace(plain, argv=(*plain.argv, *options))
    with HermeticMachine(qemu, machine, transcripts).run(wanted, benchmarks, "l0") as (script, _):
        script.begun()
        yield script


@dataclass(frozen=True)
class Entry:
    """An exception that a CPU has taken to EL2 from a level below."""

    cpu: int
    kind: str
    syndrome: int
    address: int
    accessed: int

    @property
    def of_guest(self):
        return self.syndrome >> 26 == HVC and self.address in GUEST


def entries(log, own):
    """Those from EL1 in a log of the emulator's, but for L0's calls of its own code at EL2."""
    found = re.finditer(
        r"Taking exception \d+ \[(?P<kind>[^\]]*)\] on CPU (?P<cpu>\d+)\n"
        r"\.\.\.from EL1 to EL2\n"
        r"(?:\.\.\.with ESR 0x[0-9a-f]+/(?P<esr>0x[0-9a-f]+)\n)?"
        r"(?:\.\.\.with FAR (?P<far>0x[0-9a-f]+)\n)?"
        r"(?:\.\.\.(?!with ELR).*\n)*"
        r"\.\.\.with ELR (?P<elr>0x[0-9a-f]+)\n",
        log,
    )
    for each in found:
        esr, elr, far = (int(each[name] or "0", 16) for name in ("esr", "elr", "far"))
        entry = Entry(int(each["cpu"]), each["kind"], esr, elr, far)
        if not (entry.syndrome >> 26 == HVC and entry.address in own):
            yield entry


def reason_of(event, entry):
    """What an entry is called, by what the emulator has written: of a hypercall, the only memory
    that L2's hypervisor accesses and has not are the registers of a GICv2."""
    if entry.kind == "IRQ":
        return "IRQ"
    if entry.syndrome >> 26 == DABT:
        return event.reason(2, DABT << 26 | GICH | entry.accessed & 0xFFF)
    return event.reason(2, entry.syndrome)


def own_calls(kernel):
    """Addresses of the instructions by which L0's kernel, at EL1, calls its own code at EL2."""
    symbols = dict(
        reversed(line.split()[::2])
        for line in (kernel.image.parent / "System.map").read_text().splitlines()
    )
    start = int(symbols.get("__kvm_call_hyp", "0"), 16)
    return range(start, start + 0x20)


@pytest.mark.parametrize(
    ("track", "gic", "configuration", "traps"),
    [*COLUMNS, *(pytest.param(*column, marks=pytest.mark.stress) for column in MORE_COLUMNS)],
)
def test_the_emulator_counts_the_same(request, tmp_path, track, gic, configuration, traps):
    """Entries to EL2 between two operations of the guest, whose first vCPU has the first CPU."""
    fixture = {"upstream": "artifacts", "v4.10": "paper_artifacts"}[track]
    wanted = micro_script(request.getfixturevalue(fixture), gic, configuration)
    log, monitor = tmp_path / "log", tmp_path / "monitor"
    options = ("-D", str(log), "-monitor", f"unix:{monitor},server=on,wait=off")
    with (
        under_way(wanted, ["hypercall"], tmp_path, *options) as script,
        socket.socket(socket.AF_UNIX) as line,
    ):
        line.connect(str(monitor))
        line.sendall(b"log int\n")
        sequences = script.measure(wanted.step("hypercall"), wanted.event, (0, 1)).exits
        script.ended()
    taken = [
        each
        for each in entries(log.read_text(), own_calls(wanted.artifacts.l0(wanted.spec.name)))
        if each.cpu == 0
    ]
    exits = [place for place, each in enumerate(taken) if each.of_guest]
    counted = Counter(after - before for before, after in itertools.pairwise(exits))
    assert counted.most_common(1)[0][0] == sequences.traps == (traps or sequences.traps)
    # Register by register, and in order
    said = [each.reason for each in sequences.modal[0]]
    assert said in [
        [reason_of(wanted.event, each) for each in taken[start:end]]
        for start, end in itertools.pairwise(exits)
    ]
    # The operations that were traced are among those that the log has.
    assert counted[sequences.traps] >= sequences.share * OPERATIONS > 0.9 * OPERATIONS


class ByCycles(MicroScript):
    """As on a server: the guest reads the cycle counter, which both hypervisors give to it."""

    def text(self, shelf, guests, benchmarks):
        return super().text(shelf, guests, benchmarks).replace("TIMER=virtual", "TIMER=cycles")


@pytest.mark.parametrize(
    "configuration", ["vm", pytest.param("nested-v8.3", marks=pytest.mark.stress), "nested-neve"]
)
def test_who_reads_the_cycle_counter_changes_no_trap(paper_artifacts, tmp_path, configuration):
    found = {}
    for kind in (MicroScript, ByCycles):
        plain = micro_script(paper_artifacts, 3, configuration)
        wanted = kind(plain.artifacts, plain.spec, plain.configuration, plain.event)
        with under_way(wanted, ["hypercall"], tmp_path) as script:
            found[kind] = script.measure(wanted.step("hypercall"), wanted.event, (0, 1))
    by_counter, by_cycles = found.values()
    assert (by_counter.sample.timer, by_cycles.sample.timer) == ("virtual", "cycles")
    assert by_cycles.exits.lines() == by_counter.exits.lines()
    assert by_cycles.sample.mode == pytest.approx(by_counter.sample.mode, rel=0.01)
    if configuration != "vm":
        # What the world switch of a stock KVM accesses of the PMU traps, whoever measures.
        assert by_cycles.exits.by_reason()["PMUSERENR_EL0"] == 2


def runs(playbook, cwd, loops):
    """Figures of a run beside so many busy loops each."""
    for number, others in enumerate(loops):
        folder = cwd / str(number)
        folder.mkdir()
        with busy(others):
            done = finish(neve("run", playbook, cwd=folder), folder)
        assert done.status == 0, done.output
        yield figures(done.folder)


@pytest.mark.stress
@pytest.mark.parametrize("playbook", [FALLBACK, PAPER], ids=lambda path: path.stem)
def test_five_runs_are_equal_byte_for_byte(request, tmp_path, playbook):
    request.getfixturevalue({FALLBACK: "artifacts", PAPER: "paper_artifacts"}[playbook])
    first, *others = runs(playbook, tmp_path, (0, 0, 2, 0, 0))
    assert all(other == first for other in others)


@pytest.fixture(scope="module")
def micro_bench():
    """That of kvm-unit-tests, with our patch."""
    image = Path(os.environ.get("KVM_UNIT_TESTS", "nowhere")) / "arm/micro-bench.flat"
    if not image.exists() or b"medians" not in image.read_bytes():
        pytest.skip(
            "$KVM_UNIT_TESTS names no build with medians: see docs/development/kvm-unit-tests.md"
        )
    return image


OF_KVM_UNIT_TESTS = {"hyp_call": "hypercall", "mmio_read_vgic": "device-io"}


@pytest.mark.parametrize(
    ("playbook", "host"),
    [(FALLBACK, "tcg"), (PAPER, "gicv3"), (PAPER, "gicv2")],
    ids=["upstream", "v4.10-gicv3", "v4.10-gicv2"],
)
def test_kvm_unit_tests_measure_the_same(request, tmp_path, micro_bench, playbook, host):
    """Their guest, on a machine that is driven over SSH."""
    request.getfixturevalue({FALLBACK: "artifacts", PAPER: "paper_artifacts"}[playbook])
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    ours.mkdir()
    only = f"host={host},benchmark=hypercall,benchmark=device-io"
    rows = finish(neve("run", playbook, "--only", only, cwd=ours), ours)
    payload = ("--payload", micro_bench, "--payload-arguments", "medians=101")
    run = finish(neve("run", playbook, "--only", f"host={host}", *payload, cwd=theirs), theirs)
    assert (rows.status, run.status) == (0, 0), rows.output + run.output
    costs = read_csv(rows.folder / "results.csv").query("metric == 'cost'")
    costs = costs.set_index(["configuration", "benchmark"])["value"]
    medians = re.findall(r"median (\w+) (\d+)", consoles(run.folder))
    found = sorted(
        (OF_KVM_UNIT_TESTS[name], int(value))
        for name, value in medians
        if name in OF_KVM_UNIT_TESTS
    )
    said = sorted((benchmark, value) for (_, benchmark), value in costs.items())
    assert len(found) == len(said) >= 6
    for (benchmark, median), (same, cost) in zip(found, said, strict=True):
        assert (benchmark, cost) == (same, pytest.approx(median, rel=0.01))


def consoles(folder):
    return "".join(file.read_text() for file in (folder / "consoles").glob("*.log"))


@pytest.fixture(scope="module")
def planted(v4_10, paper_artifacts):
    """L1's kernel with one more access to EL2 in its world switch."""
    track = paper_artifacts.setup.track
    entries = (*track.series.entries, PatchEntry("test-planted-access"))
    return build(
        Cache.default(),
        v4_10,
        replace(track, series=replace(track.series, entries=entries)),
        track.kernels(["nested-v8.3"])["l1-v8.3"],
    )


def test_an_access_that_is_planted_is_found_in_the_first_run(planted, tmp_path, monkeypatch):
    """By its name and its place; a run without it has nothing to tell."""
    only = "host=gicv3,configuration=nested-v8.3,benchmark=hypercall"
    setup = Setup.of(narrow(load(PAPER), only))
    runs, build_all = tmp_path / "runs", run_command.build_all

    def with_planted(*arguments):
        built = build_all(*arguments)
        return replace(
            built,
            kernels={**built.kernels, "l1-v8.3": planted},
            files={**built.files, kernel_file("l1-v8.3"): planted.image},
        )

    run_command.run(runs, setup, None, check=True)
    quiet = run_command.run(runs, setup, None, check=True)
    monkeypatch.setattr(run_command, "build_all", with_planted)
    folder = run_command.run(runs, setup, None, check=True)
    assert not quiet.metadata.changes
    changes = {change.metric: change for change in folder.metadata.changes}
    assert (changes["traps"].before, changes["traps"].last) == (132, 133)
    assert changes["traps"].difference == (
        "+ vEL2 MRS HSTR_EL2 after vEL2 MSR HSTR_EL2 (96 of 133)",
    )
    assert any(planted.key in cause for cause in changes["traps"].causes)
