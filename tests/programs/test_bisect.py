# SPDX-License-Identifier: MIT
"""Bisecting real git repositories of a small kernel, which a real make builds; what a machine would
measure is read off the image."""

import json
from types import SimpleNamespace

import pytest

from harness.build.kernel.build import build_what_applies
from harness.build.kernel.choice import chosen
from harness.cache import Cache
from harness.commands import bisect
from harness.commands.bisect import Search, start
from harness.commands.session import Session
from harness.errors import GuestError, UserError
from harness.model.cell import CellRecord
from harness.model.expectation import Expectation
from harness.model.kernel_choice import Level
from harness.model.playbook import load
from harness.model.setup import Setup
from harness.paths import PLAYBOOKS
from harness.results.experiment import Experiment
from tests.programs.test_revisions import track  # noqa: F401
from tests.repositories import SmallKernel, fake_compiler
from tests.synthetic import measurement

TRAPS = "hypercall/nested-neve-vhe/traps <= 8"
PASSES = "hypercall/nested-neve-vhe passes"
MMU = "arch/arm64/kvm/mmu.c"
CELL = "tcg/nested-neve-vhe/1/hypercall"


@pytest.fixture
def linux(tmp_path, monkeypatch, track):  # noqa: F811
    """Twelve commits: 5 plants a trap, 7 does not build, 11 hangs."""
    fake_compiler(monkeypatch)
    linux = SmallKernel(tmp_path / "linux")
    lines = []
    for number in range(1, 13):
        lines = [line for line in lines if line != "broken"]
        lines.append({5: "trap", 7: "broken", 11: "hang"}.get(number, f"int x{number};"))
        linux.commit(f"commit {number}", {MMU: "\n".join(lines) + "\n"})
        linux.git("tag", f"c{number}")
    cache = Cache(tmp_path / "cache")

    def build_all(_cache, _progress, setup):
        source = chosen(cache, track, setup.choice("l1"))
        kernel = build_what_applies(cache, source, track, {}, {"accounting"})
        return SimpleNamespace(setup=setup, kernel=kernel)

    def execute(session, cells):
        text = session.artifacts.kernel.image.read_text()
        limits.append(session.artifacts.setup.playbook.benchmark_seconds)
        for cell in cells:
            exits = ["HVC"] * 8 + ["vEL2 MRS MDSCR_EL1"] * text.count("trap\n")
            row = measurement(
                session.folder.id,
                len(exits),
                host="tcg",
                configuration="nested-neve-vhe",
                metric="traps",
                unit="exits",
                statistic="mode",
                share=1.0,
            )
            sample = {"sequences": [{"operations": 9, "exits": [exits]}]}
            hangs = "hang" in text
            session.folder.append(
                CellRecord(cell.id, "failed", 1.0, error="the guest hangs")
                if hangs
                else CellRecord(cell.id, "passed", 1.0, (row,), (sample,))
            )

    limits = []
    monkeypatch.setattr(bisect, "build_all", build_all)
    monkeypatch.setattr(bisect, "facts_of", lambda *_: {"track": "upstream", "durations": {}})
    monkeypatch.setattr(bisect, "reach", lambda *_: None)
    monkeypatch.setattr(bisect.report, "write", lambda _: None)
    monkeypatch.setattr(Session, "execute", execute)
    linux.limits = limits
    return linux


def begun(linux, tmp_path, good, bad, *expected):
    return start(
        tmp_path / "runs",
        load(PLAYBOOKS / "fallback.yaml"),
        (f"{linux.path}@{good}", bad),
        [Level.L1],
        [Expectation.of(text) for text in expected],
    )


def found(linux, tmp_path, good, bad, *expected):
    experiment = begun(linux, tmp_path, good, bad, *expected)
    return Search(Experiment.open(tmp_path / "runs", experiment.name, "bisect"), 0).run()


def test_planted_trap_is_found(linux, tmp_path):
    before = linux.state()
    told = found(linux, tmp_path, "main~12", "c10", TRAPS)
    assert told.suspects == [linux.git("rev-parse", "c5")]
    assert "is the first bad commit" in told.text() and "commit 5" in told.text()
    assert len(told.steps) <= 6
    assert told.difference == [
        "tcg/nested-neve-vhe/hypercall: + vEL2 MRS MDSCR_EL1 after HVC (9 of 9)"
    ]
    assert linux.state() == before, "the user's repository stays as it is"
    assert (told.folder / "bisect.log").read_text().startswith("# bad: [")
    assert json.loads(json.dumps(told.data()))["first_bad"] == told.suspects[0]


def test_revision_that_does_not_build_is_skipped(linux, tmp_path):
    told = found(linux, tmp_path, "c4", "c9", TRAPS)
    assert told.suspects == [linux.git("rev-parse", "c5")]
    told = found(linux, tmp_path, "c6", "c12", PASSES)
    marks = {step.told.split(" ", 1)[1]: step.mark for step in told.steps}
    assert told.told[0].endswith("commit 11")
    assert set(marks.values()) <= {"good", "bad", "skip"}


def test_hang_is_bad_only_if_that_is_asked_for(linux, tmp_path):
    told = found(linux, tmp_path, "c8", "c12", PASSES)
    assert told.suspects == [linux.git("rev-parse", "c11")]
    assert any("the guest hangs" in step.why for step in told.steps)
    with pytest.raises(GuestError, match=r"the good end is not good: skip .*the guest hangs"):
        found(linux, tmp_path, "c11", "c12", TRAPS)


def test_bad_end_that_hangs_is_believed_to_be_bad(linux, tmp_path):
    told = found(linux, tmp_path, "main~12", "c12", TRAPS)
    assert told.suspects == [linux.git("rev-parse", "c5")]
    assert told.steps[1].mark == "skip"


def test_what_can_not_be_told_apart_is_all_told(linux, tmp_path):
    linux.git("checkout", "-q", "-b", "side", "c4")
    for number, text in enumerate(("broken\n", "broken\ntrap\n", "trap\n")):
        linux.commit(f"side {number}", {MMU: text})
    told = found(linux, tmp_path, "c4", "side", TRAPS)
    assert len(told.suspects) == 3
    assert "one of these" in told.text() and told.data()["first_bad"] is None


def test_ends_are_looked_at_first(linux, tmp_path):
    with pytest.raises(UserError, match=r"the good end is not good: bad .* commit 6 \(9\)"):
        found(linux, tmp_path, "c6", "c10", TRAPS)
    with pytest.raises(UserError, match=r"the bad end is not bad: good .* commit 4 \(8\)"):
        found(linux, tmp_path, "c1", "c4", TRAPS)


def test_it_goes_on_where_it_was_cut_off(linux, tmp_path, monkeypatch):
    users = linux.state()
    experiment = begun(linux, tmp_path, "main~12", "c10", TRAPS)
    calls, execute = [], Session.execute

    def cut_off(session, cells):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        execute(session, cells)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "execute", cut_off)
        with pytest.raises(KeyboardInterrupt):
            Search(Experiment.open(tmp_path / "runs", experiment.name, "bisect"), 0).run()
    assert linux.state() == users, "the user's repository stays as it is"
    before = len(calls)
    told = Search(Experiment.open(tmp_path / "runs", experiment.name, "bisect"), 0).run()
    assert told.suspects == [linux.git("rev-parse", "c5")]
    assert before == 3 and len(told.steps) <= 6
    again = Search(Experiment.open(tmp_path / "runs", experiment.name, "bisect"), 0).run()
    assert again.steps == told.steps, "nothing is measured twice"


@pytest.mark.parametrize(
    ("good", "bad", "expected", "said"),
    [
        ("c1", "nope", TRAPS, "has no commit 'nope'"),
        ("c1", "c1", TRAPS, "are the same commit"),
        ("c1", "/somewhere@c2", TRAPS, "has no commit"),
        ("c1", "c2", "kernbench/vm/time <= 8", "has no vm|has no kernbench"),
        ("c1", "unrelated", TRAPS, "can't be bisected: they have no commit in common"),
    ],
)
def test_wrong_input_is_one_line(linux, tmp_path, good, bad, expected, said):
    linux.git("checkout", "-q", "--orphan", "unrelated")
    linux.commit("unrelated", {MMU: "int y;\n"})
    with pytest.raises(UserError, match=said) as caught:
        begun(linux, tmp_path, good, bad, expected)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "traps <= 8", "hypercall/vm/traps", "hypercall/vm/traps < x", "no/vm passes"]
)
def test_expectations_are_read_strictly(text):
    with pytest.raises(UserError, match="--expect"):
        Expectation.of(text)


def test_expectations():
    cell = CellRecord(
        "tcg/vm/1/hypercall",
        "passed",
        1.0,
        (measurement("r", 1_300.0, host="tcg"), measurement("r", 1, metric="traps", host="tcg")),
    )
    for text, holds in (
        ("hypercall/vm/cost <= 1_300", True),
        ("hypercall/vm/cost < 1300", False),
        ("hypercall/vm/traps == 1", True),
        ("hypercall/vm/time > 1", None),
        ("hypercall/vm boots", True),
        ("device-io/vm passes", None),
    ):
        assert Expectation.of(text).holds([cell]) is holds, text


def test_limits_follow_the_good_end(linux, tmp_path, monkeypatch):
    took = {"tcg: nested-neve-vhe: boot": 20.0, "tcg: nested-neve-vhe: hypercall": 1.0}
    experiment = begun(linux, tmp_path, "c8", "c12", PASSES)
    search = Search(Experiment.open(tmp_path / "runs", experiment.name, "bisect"), 0)
    search.progress.durations.update(took)
    search.run()
    assert linux.limits[0] == 300.0 and set(linux.limits[1:]) == {60.0}
    assert Setup.of(search.playbook).cells[0].id == CELL
