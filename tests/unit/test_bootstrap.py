# SPDX-License-Identifier: MIT
"""Intervals of ratios: what they cover, by simulation, and what has none."""

import time
from itertools import product

import numpy as np
import pytest

from harness.model.cell import CellRecord
from harness.results import bootstrap, report
from harness.results.bootstrap import Distribution, Times, intervals, ratio
from harness.results.measured import Measured
from harness.results.store import RunFolder
from tests.synthetic import measurement

TRUE = 20.0  # the ratio that simulations have


def counts(values):
    found, numbers = np.unique(np.rint(values).astype(int), return_counts=True)
    return dict(zip(map(str, found.tolist()), numbers.tolist(), strict=True))


def cell(configuration, boot, values, *, benchmark="hypercall", statistic="median", **more):
    """A cell of a server whose samples are `values`."""
    cost = float(np.median(values))
    return CellRecord(
        f"arm1/{configuration}/{boot}/{benchmark}",
        "passed",
        1.0,
        tuple(
            measurement(
                "r",
                value,
                host="arm1",
                cpu="host",
                configuration=configuration,
                benchmark=benchmark,
                metric=metric,
                unit=unit,
                repetition=boot,
                statistic=kind,
            )
            for metric, unit, value, kind in (
                ("cost", "ticks", cost, statistic),
                ("traps", "exits", 8.0, "mode"),
            )
        ),
        ({"benchmark": benchmark, "timer": "virtual", "counts": counts(values), **more},),
    )


def boots(number, rng, *, samples=200):
    """{boot: values} of vm and of a guest that costs TRUE times as much: each boot is 3 % off by
    itself, each sample 5 %, and a few are far too long."""
    found = {}
    for name, cost in (("vm", 10_000.0), ("nested-neve-vhe", TRUE * 10_000)):
        found[name] = {
            boot: cost
            * (1 + 0.03 * rng.standard_normal())
            * np.where(rng.random(samples) < 0.02, 5, 1 + 0.05 * rng.standard_normal(samples))
            for boot in range(1, number + 1)
        }
    return found


def times(found):
    return {
        boot: Times("virtual", 1, Distribution.of(counts(each))) for boot, each in found.items()
    }


@pytest.mark.parametrize(("number", "least"), [(5, 0.93), (10, 0.93), (20, 0.93)])
def test_intervals_over_boots_cover_the_true_ratio(number, least, monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 400)
    rng, tries = np.random.default_rng(1), 200
    covered = 0
    for seed in range(tries):
        found = boots(number, rng)
        low, high = ratio(times(found["nested-neve-vhe"]), times(found["vm"]), seed)
        covered += low <= TRUE <= high
    assert least <= covered / tries <= 0.99


def test_the_interval_of_one_boot_covers_that_boot_alone(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 400)
    rng, tries = np.random.default_rng(2), 300
    of_the_boot = of_all = 0
    for seed in range(tries):
        offset = 1 + 0.03 * rng.standard_normal()
        vm = 10_000 * (1 + 0.05 * rng.standard_normal(200))
        other = TRUE * offset * 10_000 * (1 + 0.05 * rng.standard_normal(200))
        low, high = ratio(times({1: other}), times({1: vm}), seed)
        of_the_boot += low <= TRUE * offset <= high
        of_all += low <= TRUE <= high
    assert of_the_boot / tries > 0.92
    assert of_all / tries < 0.5


def test_a_resampled_median_is_that_of_drawn_samples():
    """The short way gives what drawing each sample gives."""
    rng = np.random.default_rng(3)
    values = np.rint(rng.lognormal(5, 0.5, 101)).astype(int)
    short = Distribution.of(counts(values)).medians(rng, 20_000)
    long = np.median(rng.choice(values, (20_000, 101)), axis=1)
    for part in (0.025, 0.25, 0.5, 0.75, 0.975):
        assert np.quantile(short, part) == pytest.approx(np.quantile(long, part), rel=0.01)


def test_what_nothing_takes_is_subtracted_and_scatters_too():
    still = {"counts": {"1000": 100}}
    batch = {
        "benchmark": "virtual-eoi",
        "timer": "virtual",
        "batch": 64,
        "counts": {"1640": 100},
        "empty": still,
    }
    rng = np.random.default_rng(4)
    assert set(Times.of(batch).costs(rng, 50)) == {10.0}
    noisy = {**batch, "empty": {"counts": {"950": 50, "1050": 50}}}
    assert set(Times.of(noisy).costs(rng, 50)) == {(1640 - 950) / 64, (1640 - 1050) / 64}


def test_exact_rows_have_no_interval():
    exact = [cell(name, 1, [cost] * 99, statistic="mode") for name, cost in (("vm", 5), ("n", 9))]
    assert intervals(exact, boots=False).empty


def test_what_can_not_be_compared_has_no_interval():
    values = [1000, 1001, 1002]
    other = cell("nested-neve-vhe", 1, values)
    assert intervals([other], boots=True).empty, "there is no vm"
    assert intervals([cell("vm", 2, values), other], boots=True).empty, "of another boot"
    assert intervals([cell("vm", 1, values, timer="cycles"), other], boots=True).empty
    assert intervals([cell("vm", 1, [0, 0, 0]), other], boots=True).empty
    before = CellRecord("arm1/vm/1/hypercall", "passed", 1.0, other.measurements, ({"median": 5},))
    assert intervals([before, other], boots=True).empty, "samples were not kept"


def test_same_cells_give_the_same_intervals_in_any_order():
    found = boots(5, np.random.default_rng(5))
    cells = [cell(name, boot, each) for name, of in found.items() for boot, each in of.items()]
    one, other = intervals(cells, boots=True), intervals(reversed(cells), boots=True)
    assert one.equals(other)
    assert one["boots"].to_list() == [5]
    assert intervals(cells, boots=False)["boots"].to_list() == [1]


def written(path, number, *, several):
    playbook = {"boots": number} if several else {"repetitions": number}
    folder = RunFolder.create(
        path, "arms", {"track": "upstream", "repeat": "neve run", "playbook": playbook}
    )
    rng = np.random.default_rng(6)
    for name, of in boots(number, rng).items():
        for boot, values in of.items():
            folder.append(cell(name, boot, values, batch=1, empty={"counts": {"5": 100}}))
    report.write(folder)
    return folder


@pytest.mark.parametrize(
    ("number", "several", "said"),
    [
        (6, True, "confidence interval, by bootstrap, over 6 boots;"),
        (3, True, "over 3 boots (it takes 5 to cover as much);"),
        (1, False, "of one boot alone, which does not say how much another one would differ;"),
        (3, False, "of one boot alone, which does not say how much another one would differ;"),
    ],
)
def test_report_says_what_an_interval_is_of(tmp_path, number, several, said):
    folder = written(tmp_path, number, several=several)
    (row,) = Measured.of(folder).summary.dropna(subset=["ratio_low"]).to_dict("records")
    assert row["ratio_low"] < row["ratio"] < row["ratio_high"]
    text = (folder.path / "report.md").read_text(encoding="utf-8")
    low, high = row["ratio_low"], row["ratio_high"]
    assert f"| {row['ratio']:.1f}x ({low:.1f}-{high:.1f}) |" in text
    for file in ("report.md", "report.html"):
        legend = (folder.path / file).read_text(encoding="utf-8")
        assert said in legend
        assert "less the time of empty operations" in legend
    turns = "is a boot of its own" if several else "take turns with"
    assert turns in text
    assert "`cost` is the median per operation in ticks" in text


def test_intervals_of_many_cells_are_quick():
    rng = np.random.default_rng(7)
    names = ["vm", "nested-v8.3-vhe", "nested-neve-vhe"]
    benchmarks = [f"b{number}" for number in range(5)]
    cells = [
        cell(name, boot, 1000 + rng.integers(0, 300, 1000), benchmark=benchmark)
        for name, benchmark, boot in product(names, benchmarks, range(1, 11))
    ]
    started = time.process_time()
    assert len(intervals(cells, boots=True)) == 10
    assert time.process_time() - started < 1
