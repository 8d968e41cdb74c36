# SPDX-License-Identifier: MIT
import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from harness.errors import GuestError, UserError
from harness.model.cell import CellRecord
from harness.model.measurement import COLUMNS, Measurement
from harness.model.operations import redirections
from harness.results import reference, report, tables
from harness.results.frames import frame, read_csv
from harness.results.measured import Measured
from harness.results.store import RunFolder, run_folders

CONTRACT = (
    "run_id,host,track,cpu,gic,configuration,mechanism,benchmark,metric,unit,value,"
    "stdev,iterations,reason,repetition,level,statistic,share"
)


def row(configuration, benchmark, metric, value, reason="", stdev=None, run_id="r"):
    unit = "instructions" if metric == "cost" else "exits"
    mechanism = "none" if configuration == "vm" else "architected"
    return Measurement(
        run_id=run_id,
        host="tcg",
        track="upstream",
        cpu="max",
        gic=3,
        configuration=configuration,
        mechanism=mechanism,
        benchmark=benchmark,
        metric=metric,
        unit=unit,
        value=value,
        stdev=stdev,
        iterations=1000,
        reason=reason,
        repetition=1,
        statistic="median" if metric == "cost" else "mean",
    )


def sample(median, p99):
    return {
        "benchmark": "hypercall",
        "iterations": 1000,
        "minimum": median,
        "median": median,
        "p99": p99,
    }


def cells(scale=1.0):
    yield CellRecord(
        "tcg/vm/1/hypercall",
        "passed",
        1.0,
        (
            row("vm", "hypercall", "cost", 1000 * scale, stdev=10.0),
            row("vm", "hypercall", "traps", 1.0),
            row("vm", "hypercall", "traps", 1.0, "HVC64"),
        ),
        (sample(1000 * scale, 1100 * scale),),
    )
    yield CellRecord(
        "tcg/nested-neve-vhe/1/hypercall",
        "passed",
        2.0,
        (
            row("nested-neve-vhe", "hypercall", "cost", 33000 * scale, stdev=20000.0),
            row("nested-neve-vhe", "hypercall", "traps", 8.0),
            row("nested-neve-vhe", "hypercall", "traps", 5.0, "SYS64"),
            row("nested-neve-vhe", "hypercall", "traps", 3.0, "ERET"),
        ),
        (sample(33000 * scale, 70000 * scale),),
    )


@pytest.fixture
def folder(tmp_path):
    made = RunFolder.create(tmp_path / "runs", "test", {"track": "upstream", "repeat": "neve run"})
    for cell in cells():
        made.append(cell)
    return made


def test_columns_are_the_contract(folder):
    assert ",".join(COLUMNS) == CONTRACT
    assert (folder.path / "results.csv").read_text().splitlines()[0] == f"{CONTRACT},schema"
    read = read_csv(str(folder.path / "results.csv"))
    assert set(read["reason"]) == {"", "HVC64", "SYS64", "ERET"}


def test_traps_are_summed_up_by_what_neve_makes_of_them():
    rows = [
        row("nested-v8.3-vhe", "hypercall", "traps", value, reason)
        for reason, value in (
            ("VTTBR_EL2", 2.0),
            ("HCR_EL2", 3.0),
            ("ESR_EL2", 1.0),
            ("ERET", 2.0),
            ("HVC", 1.0),
        )
    ]
    summed = tables.by_redirection(
        tables.reasons(frame(rows)), {"nested-v8.3-vhe": redirections("upstream", e2h=True)}
    )
    assert summed.iloc[:, 0].to_dict() == {
        "memory": 5.0,
        "EL1 register": 1.0,
        "trap": 2.0,
        "exit of a guest": 1.0,
    }
    assert redirections("v4.10", e2h=False)["CPTR_EL2"] == "memory (reads)"


@pytest.mark.parametrize(
    "name, without_e2h, with_e2h",
    [
        ("HCR_EL2", "memory", "memory"),
        ("SP_EL1", "memory", "memory"),
        ("MDCR_EL2", "trap", "trap"),
        ("ESR_EL2", "EL1 register", "EL1 register"),
        ("CPACR_EL1", "memory", "trap"),
        ("CPACR_EL12", "trap", "memory"),
        ("CNTV_CTL_EL0", "memory", "trap"),
        ("CNTV_CTL_EL02", "trap", "memory"),
        ("MDSCR_EL1", "trap", "trap"),
    ],
)
def test_e2h_decides_what_feat_nv2_redirects(name, without_e2h, with_e2h):
    assert redirections("upstream", e2h=False)[name] == without_e2h
    assert redirections("upstream", e2h=True)[name] == with_e2h


def test_latest_points_to_the_newest_run(folder, tmp_path):
    runs = tmp_path / "runs"
    assert RunFolder.open(runs, "latest").id == folder.id
    newer = RunFolder.create(runs, "test", {})
    assert RunFolder.open(runs, "latest").id == newer.id
    assert [run.name for run in run_folders(runs)] == sorted([folder.id, newer.id])
    with pytest.raises(UserError, match="no run 'none'"):
        RunFolder.open(runs, "none")


def test_torn_line_loses_only_itself(folder):
    with (folder.path / "cells.jsonl").open("a") as stream:
        stream.write('{"id": "tcg/vm/1/torn", "sta')
    again = RunFolder.open(folder.path.parent, folder.id)
    again.append(CellRecord("tcg/vm/1/device-io", "failed", 0.0, error="guest died"))
    assert [record.id for record in again.records()] == [
        "tcg/vm/1/hypercall",
        "tcg/nested-neve-vhe/1/hypercall",
        "tcg/vm/1/device-io",
    ]


def test_newest_record_of_a_cell_counts(folder):
    folder.append(CellRecord("tcg/vm/1/hypercall", "failed", 0.0, error="x"))
    assert [record.status for record in folder.records()] == ["failed", "passed"]


def test_summary_has_ratio_and_the_papers_numbers(folder):
    table = Measured.of(folder).summary.set_index("configuration")
    nested = table.loc["nested-neve-vhe"]
    assert (nested["ratio"], nested["traps"], nested["statistic"]) == (33.0, 8.0, "median")
    assert (nested["paper_cost"], nested["paper_ratio"], nested["paper_traps"]) == (100895, 37, 15)
    assert math.isnan(table.loc["vm", "paper_ratio"]), "an unknown cell stays empty"


def test_cells_of_hosts_that_ran_at_once_stand_by_host_and_benchmark():
    done = [
        ("b", "vm", "hypercall"),
        ("a", "vm", "hypercall"),
        ("b", "vm", "device-io"),
        ("a", "vm", "device-io"),
        ("a", "nested-neve", "hypercall"),
        ("b", "nested-neve", "hypercall"),
    ]
    rows = frame(
        replace(row(configuration, benchmark, metric, 1.0, reason), host=host)
        for host, configuration, benchmark in done
        for metric, reason in (("cost", ""), ("traps", "HVC"))
    )
    wanted = [
        (host, benchmark, configuration)
        for host in "ba"
        for benchmark, configuration in (
            ("hypercall", "vm"),
            ("hypercall", "nested-neve"),
            ("device-io", "vm"),
        )
    ]
    table = tables.summary(rows, reference.load())
    keys = ["host", "benchmark", "configuration"]
    assert list(table[keys].itertuples(index=False, name=None)) == wanted
    assert list(tables.reasons(rows).columns) == wanted


def test_costs_of_two_counters_have_no_ratio():
    both = frame(
        replace(row(configuration, benchmark, "cost", value), unit=unit)
        for configuration, benchmark, value, unit in (
            ("vm", "hypercall", 100.0, "cycles"),
            ("nested-neve-vhe", "hypercall", 5.0, "ticks"),
            ("vm", "device-io", 2.0, "ticks"),
            ("nested-neve-vhe", "device-io", 50.0, "ticks"),
        )
    )
    ratios = tables.summary(both, reference.load()).set_index(["benchmark", "configuration"])
    assert ratios.loc[("device-io", "nested-neve-vhe"), "ratio"] == 25
    assert math.isnan(ratios.loc[("hypercall", "nested-neve-vhe"), "ratio"])


def test_summary_without_vm_has_no_ratio():
    only = frame([row("nested-neve-vhe", "hypercall", "cost", 5.0)])
    table = tables.summary(only, reference.load())
    assert table["ratio"].isna().all()
    assert table["traps"].isna().all()


def test_reports_are_written_from_the_cells(folder):
    folder.append(CellRecord("tcg/vm/1/device-io", "failed", 0.0, error="panic <1>"))
    report.write(folder)
    text = (folder.path / "report.md").read_text()
    assert "costs 33.0x one from a VM, and takes 8.0 exits to L0 (paper: 37x and 15)" in text
    assert "| 33,000 | 33.0x   |" in text, "a deviation of single operations is no error of it"
    assert "tcg/vm/1/device-io: panic <1>" in text
    html = (folder.path / "report.html").read_text()
    assert "<svg" in html
    assert "panic &lt;1&gt;" in html
    assert not re.search(r'(src|href)="(?!#)', html), "nothing is loaded from elsewhere"
    suite = ET.parse(folder.path / "junit.xml").getroot()
    assert [case.get("name") for case in suite.iter("testcase")] == [
        "hypercall",
        "hypercall",
        "device-io",
    ]
    assert len(list(suite.iter("failure"))) == 1


def test_report_of_a_host_that_counts_no_traps(tmp_path):
    made = RunFolder.create(tmp_path / "runs", "test", {"track": "upstream", "repeat": "neve run"})
    made.append(
        CellRecord(
            "tcg/vm/1/hypercall",
            "passed",
            1.0,
            (row("vm", "hypercall", "cost", 1000.0, stdev=10.0),),
            (sample(1000.0, 1100.0),),
        )
    )
    report.write(made)
    assert "| hypercall" in (made.path / "report.md").read_text()


def test_same_cells_give_the_same_report(folder):
    report.write(folder)
    first = (folder.path / "report.html").read_bytes()
    report.write(folder)
    assert (folder.path / "report.html").read_bytes() == first


def test_run_without_a_finished_cell_says_so(tmp_path):
    empty = RunFolder.create(tmp_path, "test", {})
    empty.append(CellRecord("tcg/vm/1/hypercall", "failed", 0.0, error="L0 did not boot"))
    with pytest.raises(GuestError, match="no finished cell\ntcg/vm/1/hypercall: L0 did not"):
        report.write(empty)
    assert (empty.path / "junit.xml").exists()


def test_comparison_of_two_runs():
    before, after = (
        frame(m for cell in cells(scale) for m in cell.measurements) for scale in (1.0, 1.02)
    )
    table = tables.comparison(before, after).set_index(["configuration", "metric"])
    assert table.loc[("vm", "cost"), "change"] == pytest.approx(0.02)
    assert table.loc[("vm", "traps"), "change"] == 0
    assert len(table) == 4


def test_reference_names_a_source_for_every_number(tmp_path):
    table = reference.load()
    assert (table["source"].str.len() > 5).all()
    assert not table.duplicated(["benchmark", "configuration", "metric"]).any()
    other = tmp_path / "own.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="columns"):
        reference.load(other)


def test_metadata_is_merged_and_whole(folder):
    folder.update(state="finished")
    data = json.loads((folder.path / "metadata.json").read_text())
    assert data["state"] == "finished"
    assert data["track"] == "upstream"
    assert not list(folder.path.glob(".*.new"))
