# SPDX-License-Identifier: MIT
"""Runs that were kept from before schema 2: nobody may lose them."""

import json
from pathlib import Path
from shutil import copytree

import pytest

from harness.commands.compare import compared
from harness.commands.runs import listed
from harness.errors import UserError
from harness.model.measurement import SCHEMA
from harness.results import report
from harness.results.frames import read_csv
from harness.results.history.archive import Archive, Outcome
from harness.results.history.database import Database
from harness.results.junit import change_in_words
from harness.results.measured import Measured
from harness.results.store import RunFolder
from tests.synthetic import write_run

# Real ones of an emulated machine, with the reports of then, but for how they write errors, their
# appendix and some sentences.
RECORDED = Path(__file__).parents[1] / "recorded" / "schema1"
MICRO, APPLICATIONS = "20261127-085041-fallback-08f6", "20261127-152105-applications-9d17"


@pytest.fixture
def runs(tmp_path):
    return copytree(RECORDED, tmp_path / "runs")


@pytest.mark.parametrize("name", [MICRO, APPLICATIONS])
def test_report_says_what_it_said(runs, name):
    report.write(RunFolder.open(runs, name))
    for file in ("report.md", "junit.xml"):
        said = (RECORDED / name / file).read_text(encoding="utf-8")
        assert (runs / name / file).read_text(encoding="utf-8") == said


def test_rows_get_what_they_did_not_say(runs):
    report.write(RunFolder.open(runs, APPLICATIONS))
    rows = read_csv(runs / APPLICATIONS / "results.csv")
    assert rows.groupby(["configuration", "repetition"]).ngroups == 4
    assert set(rows["statistic"]) == {"mean"}
    busy = rows[rows["metric"] == "cpu"]
    assert set(zip(busy["configuration"], busy["level"], busy["reason"], strict=True)) == {
        ("native", "L0", ""),
        ("vm", "L0", ""),
        ("vm", "L1", ""),
    }
    others = rows[rows["metric"] != "cpu"]
    assert set(others["level"]) == {""}
    assert {"DABT", "WFx", ""} <= set(others["reason"])
    assert rows["share"].isna().all()
    micro = Measured.of(RunFolder.open(runs, MICRO)).rows
    assert micro.groupby("metric")["statistic"].unique().map(list).to_dict() == {
        "cost": ["median"],
        "traps": ["mean"],
    }


def test_every_row_of_then_is_there(runs):
    before = [line.split(",") for line in _lines(RECORDED / MICRO)]
    report.write(RunFolder.open(runs, MICRO))
    after = [line.split(",") for line in _lines(runs / MICRO)]
    columns = before[0]
    places = [after[0].index(name) for name in columns]
    assert [[row[place] for place in places] for row in after] == before


def _lines(folder):
    return (folder / "results.csv").read_text(encoding="utf-8").splitlines()


def test_runs_are_listed_and_compared(runs):
    copytree(runs / MICRO, runs / "again")
    assert {entry["state"] for entry in listed(runs)} == {"finished"}
    assert {entry["failed"] for entry in listed(runs)} == {0}
    assert (compared(runs, MICRO, "again").table["change"] == 0).all()
    said = compared(runs, APPLICATIONS, APPLICATIONS).readable()
    assert "| memcached   | cpu      | L1      | CPUs" in said


@pytest.mark.parametrize("name", [MICRO, APPLICATIONS])
def test_runs_are_imported(runs, place, name):
    with Database.open(place) as opened:
        archive = Archive(opened)
        assert archive.take(runs / name) is Outcome.NEW
        assert archive.take(runs / name) is Outcome.UNCHANGED
        rows = archive.load()
    expected = Measured.of(RunFolder.open(runs, name)).rows
    order = list(expected.columns)
    assert sorted(rows[order].astype(str).to_numpy().tolist()) == sorted(
        expected.astype(str).to_numpy().tolist()
    )


def test_a_run_may_be_gone_on_with(runs):
    folder = RunFolder.open(runs, MICRO)
    (first, *others) = folder.records()
    folder.append(first)
    folder.update(state="finished")
    lines = [json.loads(line) for line in _cells(folder) if line]
    assert [line.get("schema", 1) for line in lines] == [1, 1, 1, SCHEMA]
    again = RunFolder.open(runs, MICRO)
    assert again.records() == [first, *others]
    assert json.loads((folder.path / "metadata.json").read_text())["schema"] == SCHEMA
    assert again.metadata.playbook["name"] == "fallback"
    report.write(again)
    said = (RECORDED / MICRO / "report.md").read_text(encoding="utf-8")
    assert (folder.path / "report.md").read_text(encoding="utf-8") == said


def _cells(folder):
    return (folder.path / "cells.jsonl").read_text(encoding="utf-8").splitlines()


def test_changes_of_then_are_told(runs):
    file = runs / MICRO / "metadata.json"
    change = {
        **dict.fromkeys(("host", "configuration", "benchmark"), "x"),
        "metric": "cost",
        "unit": "instructions",
        "settings": "",
        "last": 1200.0,
        "level": 1100.0,
        "since": "night-1",
        "before": 1000.0,
        "noise": 0.01,
        "verdict": "suspicious",
        "effect": None,
        "confidence": None,
    }
    file.write_text(json.dumps({**json.loads(file.read_text()), "changes": [change]}))
    folder = RunFolder.open(runs, MICRO)
    (told,) = folder.metadata.changes
    assert (told.median, told.level, told.statistic) == (1100.0, "", "median")
    assert change_in_words(told).endswith("did not confirm (median 1,100.00)")


def test_results_csv_of_then_is_derived_again(runs):
    for text, complaint in (
        (None, "is of schema 1, not 2: neve report RUN derives it again"),
        ("schema\n3\n", "was written by a newer harness"),
        (f"{','.join(_lines(RECORDED / MICRO)[:1])}\ntorn,tc", "neve report RUN derives it"),
    ):
        file = runs / MICRO / "results.csv"
        if text:
            file.write_text(text)
        with pytest.raises(UserError, match=complaint) as caught:
            read_csv(file)
        assert len(str(caught.value).splitlines()) == 1
    report.write(RunFolder.open(runs, MICRO))
    assert len(read_csv(file)) == len(_lines(RECORDED / MICRO)) - 1


@pytest.mark.parametrize("file", ["metadata.json", "cells.jsonl"])
def test_a_newer_schema_is_refused_with_one_line(tmp_path, file):
    folder = write_run(tmp_path / "runs", 1, {"hypercall": 1000})
    data = (
        json.loads((folder / file).read_text().splitlines()[0])
        if file == "cells.jsonl"
        else (json.loads((folder / file).read_text()))
    )
    (folder / file).write_text(json.dumps({**data, "schema": 3, "more": {"of": "it"}}) + "\n")
    with pytest.raises(UserError, match=r"newer harness \(schema 3; this one reads up to 2\)") as c:
        report.write(RunFolder.open(tmp_path / "runs", folder.name))
    assert len(str(c.value).splitlines()) == 1
    assert file in str(c.value)
    assert listed(tmp_path / "runs")[0]["state"] == "damaged"
