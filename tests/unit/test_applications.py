# SPDX-License-Identifier: MIT
"""The applications' data, answers of the real tools, and what a report makes of them."""

from pathlib import Path

import pytest

from harness.build.artifacts import build_all
from harness.cache import Cache
from harness.errors import GuestError, UserError
from harness.machine.guest.vmm import vmm_argv
from harness.model import playbook
from harness.model.application import applications
from harness.model.cell import CellRecord
from harness.model.guest import Guest
from harness.model.legend import Legend
from harness.model.measurement import Measurement
from harness.model.playbook import Benchmark, Cell, Configuration
from harness.model.setup import Setup
from harness.model.track import Track, track_names
from harness.progress import Progress
from harness.results import report
from harness.results.overhead import overheads
from harness.results.store import RunFolder

RECORDED = Path(__file__).parents[1] / "recorded" / "applications"
LEGEND = Legend.of("upstream", applications()).applications
FIGURES = {
    "apache": 959.80,
    "hackbench": 0.131,
    "kernbench": 0.436496,
    "memcached": 0.161,
    "mysql": 67.15,
    "nginx": 1791.18,
    "tcp-maerts": 14136.80,
    "tcp-rr": 30864.20,
    "tcp-stream": 10723.75,
}


def test_each_application_is_a_benchmark():
    assert set(applications()) == {each.value for each in Benchmark if each.application}


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_answers_of_the_real_tools_parse(name):
    assert applications()[name].parse((RECORDED / f"{name}.txt").read_text()) == FIGURES[name]


@pytest.mark.parametrize("name", sorted(applications()))
def test_an_answer_without_a_figure_is_an_error_that_shows_it(name):
    with pytest.raises(GuestError, match=r"(?s)no figure in its answer:.*refused"):
        applications()[name].parse("connection refused\n")


@pytest.mark.parametrize("name", sorted(applications()))
def test_description_is_whole(name):
    application = applications()[name]
    assert bool(application.client) != bool(application.run)
    assert bool(application.start) == bool(application.port)
    assert application.better == ("higher" if application.metric == "throughput" else "lower")
    assert application.amounts("paper").keys() == application.amounts("small").keys()
    assert application.amounts("small")["runs"] >= 3


def test_overhead_is_a_cost_whichever_direction_is_better():
    assert LEGEND["tcp-rr"].overhead(native=1000.0, measured=100.0) == 10
    assert LEGEND["hackbench"].overhead(native=1.0, measured=10.0) == 10


def test_applications_have_a_playbook_of_their_own():
    with pytest.raises(UserError, match="applications need a playbook of their own"):
        playbook.validate({"configurations": ["vm"], "benchmarks": ["hypercall", "tcp-rr"]}, "p")


def test_only_applications_run_natively():
    wanted = {"configurations": ["native", "vm"], "benchmarks": ["tcp-rr"]}
    book = playbook.validate(wanted, "p")
    assert [cell.id for cell in playbook.plan(book)] == ["tcg/native/1/tcp-rr", "tcg/vm/1/tcp-rr"]
    assert not playbook.skipped(book)


def test_a_server_in_its_own_kernel_is_left_alone():
    book = playbook.validate(
        {
            "configurations": ["vm"],
            "benchmarks": ["tcp-rr"],
            "hosts": [{"kind": "ssh", "name": "arm1", "address": "arm1", "boot": "own"}],
        },
        "p",
    )
    assert not playbook.plan(book)
    assert "need a kernel of ours" in playbook.skipped(book)[0]


def test_what_is_licensed_is_skipped_by_name_without_a_copy():
    wanted = {"configurations": ["vm"], "benchmarks": ["specjvm2008", "tcp-rr"]}
    book = playbook.validate(wanted, "p")
    assert [cell.id for cell in playbook.plan(book)] == ["tcg/vm/1/tcp-rr"]
    assert playbook.skipped(book) == [
        "specjvm2008: it is licensed: `specjvm` in the playbook names the jar of your copy"
    ]
    book = playbook.validate({**wanted, "specjvm": {"jar": "/opt/spec/SPECjvm2008.jar"}}, "p")
    assert len(playbook.plan(book)) == 2
    assert not playbook.skipped(book)


def test_a_copy_that_is_not_there_is_one_line(tmp_path):
    book = playbook.validate(
        {
            "configurations": ["vm"],
            "benchmarks": ["specjvm2008"],
            "specjvm": {"jar": str(tmp_path / "SPECjvm2008.jar")},
        },
        "p",
    )
    with pytest.raises(UserError, match=r"specjvm: no file .*SPECjvm2008\.jar"):
        build_all(Cache(tmp_path), Progress(), Setup.of(book))


def test_guests_have_the_disk_and_a_card_that_vhost_serves():
    argv = " ".join(
        vmm_argv(Guest("Image", 4, 512, 3, disk="/dev/vda", tap="guest", mac="52:54:00:00:02:02"))
    )
    assert "if=none,id=disk,format=raw,readonly=on,file=/dev/vda" in argv
    assert "tap,id=net,ifname=guest,script=no,downscript=no,vhost=on" in argv
    assert "netdev=net,mac=52:54:00:00:02:02" in argv
    assert "-nic none" not in argv
    assert "-nic none" in " ".join(vmm_argv(Guest("Image", 2, 512, 3)))


def test_kernels_of_applications_differ_by_their_options_alone():
    for name in track_names():
        track = Track.load(name)
        more = track.with_options(*track.applications)
        assert more.fragments[: len(track.fragments)] == track.fragments
        assert "l2" in more.kernels(["vm"], linux_guest=True)
        assert "l2" not in track.kernels(["vm"])


def record(configuration, benchmark, figures, *, repetition=1):
    cell = Cell("tcg", Configuration(configuration), repetition, Benchmark(benchmark))
    application = applications()[benchmark]

    def row(metric, unit, value, level=""):
        return Measurement(
            run_id="r",
            host="tcg",
            track="upstream",
            cpu="max",
            gic=3,
            configuration=configuration,
            mechanism="none",
            benchmark=benchmark,
            metric=metric,
            unit=unit,
            value=value,
            stdev=None,
            iterations=len(figures),
            repetition=repetition,
            statistic="mean",
            level=level,
        )

    mean = sum(figures) / len(figures)
    return CellRecord(
        cell.id,
        "passed",
        1.0,
        (
            row(application.metric, application.unit, mean),
            row("traps", "exits per second", 50.0),
            row("cpu", "CPUs", 1.5, "L0"),
        ),
        ({"benchmark": benchmark, "size": "small", "figures": figures},),
    )


def test_errors_propagate_to_the_overhead():
    table = overheads(
        [
            record("native", "tcp-rr", [99.0, 100.0, 101.0]),
            record("vm", "tcp-rr", [9.0, 10.0, 11.0]),
        ],
        LEGEND,
    ).set_index("configuration")
    # Student's t for 95 % and two degrees of freedom is 4.303; 1/sqrt(3) of it is 2.484.
    assert table.loc["native", "error"] == pytest.approx(2.484, abs=1e-3)
    assert table.loc["vm", "error"] == pytest.approx(2.484, abs=1e-3)
    assert table.loc["vm", "overhead"] == pytest.approx(10.0)
    # Relative errors of 0.2484 and 0.0248 together are 0.2497, a factor of 1.2836.
    interval = table.loc["vm", ["overhead_low", "overhead_high"]].to_list()
    assert interval == pytest.approx([10 / 1.2836, 10 * 1.2836], abs=1e-3)
    assert table.loc["native", "overhead"] == 1
    assert table.loc["native", ["overhead_low", "overhead_high"]].isna().all(), "it is no estimate"
    assert table.loc["vm", "cpu"] == "L0 1.5"


def test_errors_of_several_boots_are_of_their_means():
    """Runs of a boot that are alike say nothing of the next one."""
    boots = [
        record("vm", "tcp-rr", [figure, figure + 0.1, figure - 0.1], repetition=number)
        for number, figure in enumerate((9.0, 10.0, 11.0), 1)
    ]
    (together,) = overheads(boots, LEGEND)["error"]
    (apart,) = overheads(boots, LEGEND, boots=True)["error"]
    assert apart == pytest.approx(2.484, abs=1e-3)
    assert together < apart / 3


def test_an_overhead_is_positive_however_its_runs_scatter():
    table = overheads(
        [record("native", "tcp-rr", [100.0, 50.0]), record("vm", "tcp-rr", [9.0, 1.0])], LEGEND
    ).set_index("configuration")
    low, high = table.loc["vm", ["overhead_low", "overhead_high"]]
    assert 0 < low < table.loc["vm", "overhead"] < high


def test_repetitions_are_runs_of_one_cell():
    table = overheads(
        [record("vm", "tcp-rr", [9.0, 11.0]), record("vm", "tcp-rr", [10.0], repetition=2)],
        LEGEND,
    )
    assert table["runs"].to_list() == [3]
    assert table["value"].to_list() == [10.0]
    assert table["overhead"].isna().all()


def test_report_of_applications(tmp_path):
    folder = RunFolder.create(
        tmp_path / "runs",
        "applications",
        {
            "track": "upstream",
            "repeat": "neve run",
            "emulator": "11.1",
            "playbook": {"benchmarks": ["memcached", "tcp-rr"]},
        },
    )
    for configuration, time, rate in (("native", 0.1, 100.0), ("vm", 0.4, 20.0)):
        folder.append(record(configuration, "memcached", [time, time * 1.1]))
        folder.append(record(configuration, "tcp-rr", [rate, rate * 1.1]))
    folder.append(CellRecord("tcg/vm/1/mysql", "failed", 0.0, error="mysql: died"))
    report.write(folder)
    text = (folder.path / "report.md").read_text()
    assert "vm: 4.5x over 2 applications" in text  # the geometric mean of 4 and 5
    assert "| Memcached      | vm              | 4.00x" in text
    assert "tcg/vm/1/mysql: mysql: died" in text
    assert "Netperf TCP_RR" in (folder.path / "report.html").read_text()
    assert (folder.path / "report.svg").stat().st_size > 5000
