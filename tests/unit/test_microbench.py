# SPDX-License-Identifier: MIT
"""The guest's lines, on a recorded transcript, and its C code, built for this machine."""

import ctypes
import random
import re
import shutil
import statistics
import subprocess
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.bench.script import Effort, Found, Script, Step, outcome
from harness.bench.traps import Histogram
from harness.deadline import Deadline
from harness.errors import GuestError
from harness.machine.guest.microbench import Sample, parse_line, read_sample
from harness.model.playbook import Benchmark
from harness.paths import IMAGES

RECORDED = (Path(__file__).parents[1] / "recorded" / "microbench-vm.log").read_text().splitlines()


def answers(name):
    """The lines from the samples of a benchmark up to its result."""
    end = next(n for n, line in enumerate(RECORDED) if f" result bench={name} " in line)
    start = end
    while " samples " in RECORDED[start - 1]:
        start -= 1
    return RECORDED[start : end + 1]


def test_recorded_lines_are_all_samples():
    names = [line.split("bench=")[1].split()[0] for line in RECORDED if " result " in line]
    assert set(names) <= {each for each in Benchmark if each.kind == "operation"}
    found = read_sample("device-io", iter(answers("device-io")))
    assert found == Sample("device-io", "virtual", 10**9, {2183: 998, 16655: 1, 19057: 1})
    assert (found.mode, found.share, found.median, found.batch) == (2183, 0.998, 2183, 1)
    assert (found.quantile(0.999), found.quantile(0.9995)) == (16655, 19057)
    assert parse_line(RECORDED[0])["gic"] == "3"


def test_samples_that_are_missing_are_noticed():
    lines = answers("virtual-ipi")
    assert sum(read_sample("virtual-ipi", iter(lines)).counts.values()) == 1000
    with pytest.raises(GuestError, match="0 of 1000 samples"):
        read_sample("virtual-ipi", iter(lines[-1:]))
    with pytest.raises(GuestError, match="hypercall: the guest says"):
        read_sample("hypercall", iter(lines))


@pytest.mark.parametrize("line", RECORDED)
def test_every_damage_is_noticed(line):
    for at in range(len(line)):
        for damaged in (line[:at] + line[at + 1 :], line[:at] + "~" + line[at + 1 :]):
            with pytest.raises(GuestError, match="damaged line"):
                parse_line(damaged)


def of(sample, empty=None, *, icount):
    """The cost of a cell, and what is kept of it."""
    found = outcome(Found(sample, Histogram(100, {}), empty), icount=icount)
    return found.values[0], found.samples[0]


def cost(sample, empty=None, *, icount):
    return of(sample, empty, icount=icount)[0]


def test_cost_is_in_instructions_whatever_the_counter_frequency():
    sample = Sample("hypercall", "virtual", 62_500_000, {80: 1, 82: 7, 90: 2})
    value = cost(sample, icount=True)
    assert (value.unit, value.value, value.statistic) == ("instructions", 82 * 16, "mode")
    assert value.stdev == pytest.approx(16 * statistics.stdev([80, *[82] * 7, 90, 90]))
    assert value.share == 0.7
    assert cost(sample, icount=False).unit == "ticks"


def test_cycles_are_instructions_under_icount_and_cycles_on_hardware():
    sample = Sample("hypercall", "cycles", 2_400_000_000, {80: 4, 82: 3, 90: 3})
    value = cost(sample, icount=True)
    assert (value.unit, value.value, value.statistic) == ("instructions", 80, "mode")
    value = cost(sample, icount=False)
    assert (value.unit, value.value, value.statistic) == ("cycles", 82, "median")


EOI = Sample("virtual-eoi", "virtual", 25_000_000, {1600: 6, 1664: 4}, 64)
NOTHING = Sample("empty", "virtual", 25_000_000, {950: 1, 960: 9}, 64)


def test_cost_of_a_batch_is_that_of_an_operation_less_what_nothing_takes():
    value, sample = of(EOI, NOTHING, icount=False)
    assert (value.unit, value.value, value.statistic) == ("ticks", (1600 - 960) / 64, "median")
    assert value.iterations == 640
    assert (value.stdev, value.share) == (None, None), "those of an operation are not known"
    assert (sample["batch"], sample["median"], sample["counts"]) == (
        64,
        1600,
        {"1600": 6, "1664": 4},
    )
    assert (sample["empty"]["median"], sample["empty"]["counts"]) == (960, {"950": 1, "960": 9})


def test_operations_that_are_counted_are_alone_and_whole():
    value, sample = of(Sample("virtual-eoi", "virtual", 10**9, {16: 1000}), icount=True)
    assert (value.value, value.share) == (16, 1)
    assert (sample["batch"], "empty" in sample) == (1, False)


BATCH = (Path(__file__).parents[1] / "recorded" / "microbench-batch.log").read_text().splitlines()
STEP = Step("virtual-eoi", Effort(40, 10, 60, 5.0), 20_000)


class Said:
    """A program that says `lines`, and what is not there never."""

    console = SimpleNamespace(name="l0")

    def __init__(self, lines):
        self.lines = iter(lines)

    def expect(self, pattern, deadline):
        for line in self.lines:
            if found := re.search(pattern, f"{line}\n"):
                return found
        raise GuestError(f"no {deadline.awaited}")


def measured(lines, step=STEP):
    return Script(Said(lines), 5.0)._times(step, Deadline(5.0, step.benchmark))


def test_a_recorded_batch_is_read_with_what_nothing_takes():
    sample, nothing = measured(BATCH)
    assert (sample.benchmark, nothing.benchmark) == ("virtual-eoi", "empty")
    assert sample.batch == nothing.batch == 2048
    assert sample.iterations == nothing.iterations == 40
    assert (sample.counts, nothing.median) == ({36869: 40}, 16389)
    assert cost(sample, nothing, icount=True).value == 10


@pytest.mark.parametrize("number", range(len(BATCH)))
def test_a_batch_of_which_a_line_is_damaged_or_missing_is_none(number):
    line = BATCH[number]
    for instead in ([], [line[:-12] + line[-11:]], [line.replace("=", "=1", 1)]):
        with pytest.raises(GuestError):
            measured([*BATCH[:number], *instead, *BATCH[number + 1 :]])


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """The samples that the guest's code prints for values, {value: how often}."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc")
    folder = tmp_path_factory.mktemp("samples")
    (folder / "microbench.h").write_text(
        "#include <stdint.h>\n#include <stdbool.h>\n"
        "void line_start(const char *kind); void line_end(void);\n"
        "void line_pair(uint64_t value, uint64_t number);\n"
        "void sort_samples(uint64_t *a, uint32_t count);\n"
        "void print_samples(uint64_t *samples, uint32_t count);\n"
    )
    (folder / "host.c").write_text(
        '#include <stdio.h>\n#include <inttypes.h>\n#include "microbench.h"\n'
        'FILE *out;\nvoid to(const char *path) { out = fopen(path, "w"); }\n'
        "void over(void) { fclose(out); }\n"
        "void line_start(const char *kind) { (void)kind; }\nvoid line_end(void) {}\n"
        "void line_pair(uint64_t value, uint64_t number)\n"
        '{ fprintf(out, "%" PRIu64 "=%" PRIu64 "\\n", value, number); }\n'
    )
    shutil.copy(IMAGES / "microbench" / "samples.c", folder)
    library = folder / "samples.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library]
    subprocess.run([*command, folder / "samples.c", folder / "host.c"], check=True)
    loaded = ctypes.CDLL(str(library))

    def call(values):
        array = (ctypes.c_uint64 * len(values))(*values)
        loaded.to(str(folder / "out").encode())
        loaded.print_samples(array, ctypes.c_uint32(len(values)))
        loaded.over()
        pairs = [line.split("=") for line in (folder / "out").read_text().split()]
        return {int(value): int(number) for value, number in pairs}

    return call


@pytest.mark.parametrize("count", [1, 2, 3, 99, 100, 101, 1000, 65536])
def test_the_guest_says_every_sample(printed, count):
    random.seed(count)
    values = [random.choice([random.randrange(50), random.randrange(10**9)]) for _ in range(count)]
    assert printed(values) == Counter(values)
