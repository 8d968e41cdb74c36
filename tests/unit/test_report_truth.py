# SPDX-License-Identifier: MIT
"""What a report must not hide: hosts, cells that are missing, units, damage."""

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from math import nan

import pandas as pd
import pytest

from harness.commands.compare import compared
from harness.commands.runs import listed
from harness.errors import UserError
from harness.model.cell import CellRecord
from harness.model.legend import Legend
from harness.model.measurement import Measurement
from harness.plain import plain
from harness.results import chart, drawing, operations, reference, report, tables
from harness.results.frames import frame, read_csv
from harness.results.history.archive import Archive
from harness.results.history.database import Database
from harness.results.measured import Measured
from harness.results.store import RunFolder


def row(
    configuration,
    metric,
    value,
    *,
    host="tcg",
    unit=None,
    reason="",
    track="upstream",
    benchmark="hypercall",
):
    return Measurement(
        run_id="r",
        host=host,
        track=track,
        cpu="max",
        gic=3,
        configuration=configuration,
        mechanism="none" if configuration == "vm" else "architected",
        benchmark=benchmark,
        metric=metric,
        unit=unit or ("instructions" if metric == "cost" else "exits"),
        value=value,
        stdev=None,
        iterations=100,
        reason=reason,
        repetition=1,
        statistic="median" if metric == "cost" else "mean",
    )


def cell(configuration, cost, *, traps=1.0, benchmark="hypercall", **where):
    host = where.get("host", "tcg")
    return CellRecord(
        f"{host}/{configuration}/1/{benchmark}",
        "passed",
        1.0,
        (
            row(configuration, "cost", cost, benchmark=benchmark, **where),
            row(
                configuration,
                "traps",
                traps,
                benchmark=benchmark,
                host=host,
                track=where.get("track", "upstream"),
            ),
        ),
        ({"benchmark": benchmark, "minimum": cost, "median": cost, "p99": cost},),
    )


def run(runs, *cells, name="test", **metadata):
    folder = RunFolder.create(runs, name, {"track": "upstream", "repeat": "neve run", **metadata})
    for each in cells:
        folder.append(each)
    return folder


def ends(drawn):
    """Where the bars of each panel end."""
    return [[bar.get_x() + bar.get_width() for bar in axes.patches] for axes in drawn.axes]


def test_hosts_have_panels_of_their_own():
    rows = frame(
        [
            row(configuration, "cost", cost * scale, host=host)
            for host, scale in (("gicv3", 1.0), ("gicv2", 2.0))
            for configuration, cost in (("vm", 10.0), ("nested-neve-vhe", 100.0 * scale))
        ]
        + [
            row("nested-neve-vhe", "traps", 5.0 * scale, host=host, reason="ERET")
            for host, scale in (("gicv3", 1.0), ("gicv2", 2.0))
        ]
    )
    kinds = tables.by_redirection(tables.reasons(rows), {"nested-neve-vhe": {"ERET": "trap"}})
    table = tables.summary(rows, reference.load()).assign(ratio_low=nan, ratio_high=nan)
    drawn = drawing.figure(chart.operations(table, kinds), drawing.FILE)
    assert ends(drawn) == [[10.0], [5.0], [20.0], [10.0]]
    assert [part.get_suptitle().partition(":")[0] for part in drawn.subfigs] == [
        "gicv3",
        "gicv3",
        "gicv2",
        "gicv2",
    ]


def test_hosts_of_applications_have_panels_of_their_own():
    import pandas as pd

    table = pd.DataFrame(
        [
            {
                "host": host,
                "benchmark": "hackbench",
                "configuration": "vm",
                "overhead": overhead,
                "overhead_low": 0.9 * overhead,
                "overhead_high": 1.2 * overhead,
            }
            for host, overhead in (("a", 1.5), ("b", 2.5))
        ]
    )
    panels = chart.applications(table, Legend.of("upstream", ["hackbench"]).applications)
    assert ends(drawing.figure(panels, drawing.FILE)) == [[1.5], [2.5]]


def test_run_that_was_cut_off_does_not_look_whole(tmp_path):
    planned = ["tcg/vm/1/hypercall", "tcg/vm/1/device-io", "tcg/nested-neve-vhe/1/hypercall"]
    folder = run(
        tmp_path / "runs",
        cell("vm", 1000.0),
        CellRecord("tcg/vm/1/device-io", "failed", 0.0, error="guest died"),
        state="cut off",
        planned=planned,
    )
    report.write(folder)
    said = "cut off: 1 of 3 cells passed, 1 failed, 1 not measured"
    for kind in ("md", "html"):
        text = (folder.path / f"report.{kind}").read_text(encoding="utf-8")
        assert said in text
        assert "tcg/nested-neve-vhe/1/hypercall" in text
    suite = ET.parse(folder.path / "junit.xml").getroot()
    assert [case.get("name") for case in suite.iter("testcase")] == [
        "hypercall",
        "device-io",
        "hypercall",
    ]
    assert len(list(suite.iter("failure"))) == len(list(suite.iter("error"))) == 1
    assert listed(tmp_path / "runs")[0]["standing"] == said


def test_run_whose_cells_failed_is_not_listed_as_if_it_were_fine(tmp_path):
    failed = CellRecord("tcg/vm/1/hypercall", "failed", 0.0, error="x")
    run(tmp_path / "runs", failed, state="finished", planned=[failed.id])
    assert listed(tmp_path / "runs")[0]["standing"] == "finished: 0 of 1 cell passed, 1 failed"


def test_whole_run_says_nothing_of_it(tmp_path):
    folder = run(
        tmp_path / "runs", cell("vm", 1000.0), state="finished", planned=["tcg/vm/1/hypercall"]
    )
    report.write(folder)
    assert "not whole" not in (folder.path / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "said, shown",
    [
        ("login: \x1b[6n# ", "login: # "),
        ("\x1b]0;title\x07bell\x07", "bell\\x07"),
        ("\x1b(B\x1b[?2004hok\x00", "ok\\x00"),
        ("\ud800 and \ufffe", "\\xd800 and \\xfffe"),
        ("tab\tand ü 漢", "tab\tand ü 漢"),
        ("\x1b[1;31mred\x1b[0m", "red"),
    ],
)
def test_control_characters_of_a_console_leave_junit_well_formed(tmp_path, said, shown):
    assert plain(said) == shown
    folder = run(
        tmp_path / "runs",
        cell("vm", 1000.0),
        CellRecord("tcg/vm/1/device-io", "failed", 0.0, error=f"ended:\n{said}"),
    )
    report.write(folder)
    (failure,) = ET.parse(folder.path / "junit.xml").getroot().iter("failure")
    assert shown.replace("\t", " ") in failure.get("message", "").replace("\t", " ")


def test_lines_of_cells_are_json_each(tmp_path):
    folder = run(tmp_path / "runs", cell("vm", 1.0), cell("nested-neve-vhe", 2.0))
    lines = (folder.path / "cells.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [
        "tcg/vm/1/hypercall",
        "tcg/nested-neve-vhe/1/hypercall",
    ]


ODD_NAMES = ("NA", "null", "nan", "None", "-", "007", "1e5", "0x10", "1_000", "true", "2026-11-27")


def test_hosts_may_be_called_like_that(tmp_path):
    cells = [cell("vm", 1000.0, host=name) for name in ODD_NAMES]
    made = run(tmp_path / "runs", *cells, cell("nested-neve-vhe", 9.0))
    read = read_csv(made.path / "results.csv")
    assert set(read["host"]) == {*ODD_NAMES, "tcg"}
    pd.testing.assert_frame_equal(read, Measured.of(made).rows)
    assert read["value"].dtype == read["share"].dtype == float
    assert read[["stdev", "share"]].isna().all(axis=None)
    report.write(made)
    text = (made.path / "report.md").read_text(encoding="utf-8")
    hosts = Counter(compared(tmp_path / "runs", made.id, made.id).table["host"])
    with Database.open(str(tmp_path / "history.sqlite")) as opened:
        archive = Archive(opened)
        archive.take(renamed(made))
        for name in ODD_NAMES:
            assert re.search(rf"^\| {re.escape(name)} +\|", text, re.M)
            assert hosts[name] == 2
            assert set(archive.load(host=name)["host"]) == {name}


def renamed(folder):
    """Its rows name the run that they are of."""
    file = folder.path / "cells.jsonl"
    file.write_text(file.read_text().replace('"run_id": "r"', f'"run_id": "{folder.id}"'))
    return folder.path


_GOOD = json.dumps(
    {
        "id": "tcg/vm/1/hypercall",
        "status": "passed",
        "seconds": 1.0,
        "measurements": [],
        "samples": [],
        "error": "",
    }
).encode()


@pytest.mark.parametrize(
    "line",
    [
        b"null",
        b"12",
        b"{}",
        b"[]",
        b'"\xff\xfe"',
        _GOOD.replace(b"passed", b"perhaps"),
        _GOOD.replace(b'"measurements": []', b'"measurements": [{"host": 3}]'),
        _GOOD.replace(b'"samples": []', b'"samples": 3'),
        _GOOD.replace(b'"error"', b'"surprise": 1, "error"'),
    ],
)
def test_damaged_cell_is_one_line_and_the_other_runs_are_listed(tmp_path, line):
    runs = tmp_path / "runs"
    damaged = run(runs, cell("vm", 1.0), name="a")
    whole = run(runs, cell("vm", 1.0), name="b", state="finished", planned=["tcg/vm/1/hypercall"])
    with (damaged.path / "cells.jsonl").open("ab") as stream:
        stream.write(line + b"\n")
    for use in (
        lambda: report.write(RunFolder.open(runs, damaged.id)),
        lambda: compared(runs, damaged.id, whole.id),
    ):
        with pytest.raises(UserError, match=r"cells\.jsonl, line 2, is") as caught:
            use()
        assert len(str(caught.value).splitlines()) == 1
    states = {entry["run"]: entry["state"] for entry in listed(runs)}
    assert states == {damaged.id: "damaged", whole.id: "finished"}


@pytest.mark.parametrize(
    "text",
    [
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b'{"playbook": null}',
        b'{"playbook": 3}',
        b'{"accounting": {"tcg": {"tracepoint": "kvm_exit"}}}',
        b'{"skipped": "x"}',
        b'{"kernels": {"l0": "7.2"}}',
        b'{"track": 3}',
        b'{"planned": [1]}',
        b'{"schema": 99}',
    ],
)
def test_damaged_metadata_is_one_line(tmp_path, text):
    folder = run(tmp_path / "runs", cell("vm", 1.0))
    (folder.path / "metadata.json").write_bytes(text)
    with pytest.raises(UserError, match=r"metadata\.json (is|was)") as caught:
        RunFolder.open(tmp_path / "runs", folder.id)
    assert len(str(caught.value).splitlines()) == 1
    assert listed(tmp_path / "runs")[0]["state"] == "damaged"


@pytest.mark.parametrize("track, complaint", [(None, "names no track"), ("v9", "v9")])
def test_report_of_a_run_of_no_track_of_ours(tmp_path, track, complaint):
    folder = RunFolder.create(tmp_path / "runs", "x", {} if track is None else {"track": track})
    folder.append(cell("vm", 1000.0))
    with pytest.raises(UserError, match=complaint) as caught:
        report.write(folder)
    assert len(str(caught.value).splitlines()) == 1


def test_runs_without_a_common_cell_do_not_compare(tmp_path):
    runs = tmp_path / "runs"
    one = run(runs, cell("vm", 1.0))
    other = run(runs, cell("vm", 1.0, host="arm1", unit="ticks"))
    with pytest.raises(UserError, match="host tcg against arm1") as caught:
        compared(runs, one.id, other.id)
    assert len(str(caught.value).splitlines()) == 1


def test_comparison_shows_what_differs_and_what_is_not_common(tmp_path):
    runs = tmp_path / "runs"
    one = run(runs, cell("vm", 1000.0, traps=0.0), cell("nested-neve-vhe", 5.0))
    other = run(runs, cell("vm", 1010.0, traps=0.0), cell("nested-v8.3-vhe", 9.0))
    found = compared(runs, one.id, other.id)
    text = found.readable()
    assert "| cost     | instructions | 1,000.00 | 1,010.00 | +1.00%" in text
    assert "| traps    | exits        | 0.00     | 0.00     | +0.00%" in text
    assert f"only in {one.id}: tcg/nested-neve-vhe/hypercall cost (median, instructions)" in text
    assert f"only in {other.id}: tcg/nested-v8.3-vhe/hypercall" in text
    assert not {"nan", "inf"} & set(text.replace("|", " ").split())


def test_change_from_nothing_has_no_percentage(tmp_path):
    runs = tmp_path / "runs"
    one, other = (run(runs, cell("vm", 1000.0, traps=traps)) for traps in (0.0, 0.01))
    assert "from 0" in compared(runs, one.id, other.id).readable()


def test_units_of_hosts_are_not_mixed(tmp_path):
    folder = run(
        tmp_path / "runs",
        cell("vm", 25.0, host="old", unit="ticks"),
        cell("vm", 2700.0, host="new", unit="cycles"),
    )
    report.write(folder)
    text = (folder.path / "report.md").read_text(encoding="utf-8")
    assert "25 ticks" in text
    assert "2,700 cycles" in text
    assert "ticks on old, cycles on new" in text
    assert "old: Costs here are ticks" in text


def test_ratio_to_nothing_is_unknown(tmp_path):
    folder = run(tmp_path / "runs", cell("vm", 0.0), cell("nested-neve-vhe", 12.0))
    report.write(folder)
    text = (folder.path / "report.md").read_text(encoding="utf-8")
    assert "inf" not in text.replace("information", "")
    assert Measured.of(folder).summary["ratio"].isna().all()


def test_headline_names_the_host_where_there_are_several(tmp_path):
    costs = (("vm", 10.0), ("nested-neve-vhe", 90.0))
    folder = run(
        tmp_path / "runs",
        *(cell(configuration, cost, host=host) for host in "ab" for configuration, cost in costs),
    )
    assert "On b, a hypercall from a nested VM" in operations.headline(Measured.of(folder).summary)


@pytest.mark.parametrize("samples", [(), ({"benchmark": "hypercall"},)])
def test_cell_without_statistics_is_reported(tmp_path, samples):
    folder = run(tmp_path / "runs", replace(cell("vm", 1000.0), samples=samples))
    report.write(folder)
    assert "1,000" in (folder.path / "report.md").read_text(encoding="utf-8")
