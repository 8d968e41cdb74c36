# SPDX-License-Identifier: MIT
"""The guest's lines, on a recorded transcript, and its C code, built for this machine."""

import ctypes
import math
import random
import shutil
import statistics
import subprocess
from pathlib import Path

import pytest
from harness.bench.micro import BENCHMARKS, Effort, cost_value, trap_counts

from harness.errors import GuestError
from harness.machine.guest.microbench import Sample, parse_line, parse_sample
from harness.model.playbook import Benchmark
from harness.paths import IMAGES

RECORDED = (Path(__file__).parent / "recorded" / "microbench-vm.log").read_text().splitlines()


def test_recorded_lines_parse():
    samples = [parse_sample(parse_line(line)) for line in RECORDED if " result " in line]
    assert (
        [sample.benchmark for sample in samples]
        == list(BENCHMARKS)
        == [benchmark for benchmark in Benchmark if benchmark.kind == "operation"]
    )
    assert samples[0] == Sample("hypercall", 1000, "virtual", 10**9, 1380, 1380.0, 1380, 1380, 0.0)
    assert samples[1].stdev == 565.604
    assert parse_line(RECORDED[0])["gic"] == "3"


@pytest.mark.parametrize("line", RECORDED)
def test_every_damage_is_noticed(line):
    for at in range(len(line)):
        for damaged in (line[:at] + line[at + 1 :], line[:at] + "~" + line[at + 1 :]):
            with pytest.raises(GuestError, match="damaged line"):
                parse_line(damaged)


def test_cost_is_in_instructions_whatever_the_counter_frequency():
    sample = Sample("hypercall", 10, "virtual", 62_500_000, 80, 81, 82, 90, 1)
    value = cost_value(sample, icount=True)
    assert (value.unit, value.value, value.stdev) == ("instructions", 82 * 16, 16)
    assert cost_value(sample, icount=False).unit == "ticks"


def test_cycles_are_instructions_under_icount_and_cycles_on_hardware():
    sample = Sample("hypercall", 10, "cycles", 2_400_000_000, 80, 81, 82, 90, 1)
    value = cost_value(sample, icount=True)
    assert (value.unit, value.value, value.stdev) == ("instructions", 82, 1)
    value = cost_value(sample, icount=False)
    assert (value.unit, value.value) == ("cycles", 82)


class _Stats(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64) for name in ("min", "median", "p99", "mean_milli", "stdev_milli")
    ]


@pytest.fixture(scope="module")
def summarize(tmp_path_factory):
    if not shutil.which("gcc"):
        pytest.skip("no gcc")
    library = tmp_path_factory.mktemp("stats") / "stats.so"
    source = (IMAGES / "microbench" / "stats.c").read_text()
    subprocess.run(
        [
            "gcc",
            "-shared",
            "-fPIC",
            "-O1",
            "-Wall",
            "-Werror",
            "-x",
            "c",
            "-",
            "-o",
            library,
            f"-I{IMAGES / 'microbench'}",
        ],
        input=_portable(source),
        text=True,
        check=True,
    )
    function = ctypes.CDLL(str(library)).summarize

    def call(values):
        array = (ctypes.c_uint64 * len(values))(*values)
        stats = _Stats()
        function(array, ctypes.c_uint32(len(values)), ctypes.byref(stats))
        return stats

    return call


def _portable(source: str) -> str:
    """stats.c needs of the header only what no other architecture lacks."""
    header = (IMAGES / "microbench" / "microbench.h").read_text()
    start, end = header.index("/* Statistics"), header.index("/* A benchmark")
    return source.replace('#include "microbench.h"', "#include <stdint.h>\n" + header[start:end])


@pytest.mark.parametrize("count", [1, 2, 3, 99, 100, 101, 1000])
def test_statistics_of_the_guest(summarize, count):
    random.seed(count)
    values = [random.choice([random.randrange(50), random.randrange(10**9)]) for _ in range(count)]
    stats = summarize(values)
    ordered = sorted(values)
    assert stats.min == ordered[0]
    assert stats.median == statistics.median_low(values)
    assert stats.p99 == ordered[math.ceil(count * 0.99) - 1]
    assert stats.mean_milli == sum(values) * 1000 // count
    expected = statistics.stdev(values) * 1000 if count > 1 else 0
    assert stats.stdev_milli == pytest.approx(expected, abs=2, rel=1e-9)


@pytest.mark.parametrize(
    ("median", "hz", "scale"),
    [(16, 10**9, 200), (10_000, 10**9, 2), (400_000, 10**9, 1), (625, 62_500_000, 2)],
)
def test_cheap_operations_are_counted_more_often(median, hz, scale):
    sample = Sample("x", 10, "virtual", hz, median, median, median, median, 0)
    assert trap_counts(sample, Effort(1000, 10, (100, 1100), 1)) == (100 * scale, 1100 * scale)
