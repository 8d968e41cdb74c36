# SPDX-License-Identifier: MIT
"""Exact figures: any difference is a change, in the night that measures it first."""

import json
import re
import time
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from click.testing import CliRunner

from harness import cli
from harness.commands import history as commands
from harness.errors import UserError
from harness.model.track import Track
from harness.results.history import subject, verdicts
from harness.results.history.archive import Archive
from harness.results.history.database import Database
from harness.results.store import RunFolder
from tests.synthetic import write_exact, write_run

VM = ("HVC",)
NESTED = (
    "HVC",
    "vEL2 MRS MDSCR_EL1",
    "vEL2 MSR CPACR_EL1",
    "vEL2 MSR VTTBR_EL2",
    "vEL2 MRS MDSCR_EL1",
    "vEL2 MSR CPACR_EL1",
    "vEL2 MSR CPACR_EL1",
    "vEL2 ERET",
)
PLANTED = (*NESTED[:3], "vEL2 MSR MDSCR_EL1", *NESTED[3:])
LINE = "+ vEL2 MSR MDSCR_EL1 after vEL2 MSR CPACR_EL1 (4 of 9)"
CAUSE = "kernel of L1: 7.3.4/k1 → 7.3.4/planted"
NEVE = "nested-neve-vhe"


def kernels(l1="k1", l0="k0"):
    return {
        "l0": {"version": "7.3.4", "key": l0},
        "l1": {"version": "7.3.4", "key": l1},
        "l2": {"version": "7.3.4", "key": "k2"},
    }


def night(runs, number, sequence=NESTED, cost=43611, l1="k1", **more):
    """A hypercall in a VM and below NEVE."""
    return write_exact(
        runs,
        number,
        {
            ("vm", "hypercall"): (1389, (VM,)),
            (NEVE, "hypercall"): (cost, None if sequence is None else (sequence,)),
        },
        **{
            "track": "upstream",
            "kernels": kernels(l1),
            "microbench": {"sha256": "a" * 64},
            "rootfs": {"sha256": "b" * 64},
            "playbook": {"name": "nightly", "repetitions": 1, "benchmarks": ["hypercall"]},
            **more,
        },
    )


def neve(*arguments):
    return CliRunner().invoke(cli.cli, [*map(str, arguments)])


def history():
    assert neve("history", "import").exit_code == 0
    with Database.open("runs/history.sqlite") as opened:
        return commands._history(Archive(opened))


def told(judged, metric="traps", configuration=NEVE):
    """The row of the series that was measured last."""
    table = verdicts.table(judged)
    mine = table[(table["metric"] == metric) & (table["configuration"] == configuration)]
    (row,) = mine[mine["current"]].to_dict("records")
    return row


def check(runs, folder, *, database=None):
    """As `neve run --check` judges a run that has ended: what is to be measured again, and what
    makes it fail."""
    opened = RunFolder.open(runs, folder.name)
    judge = commands.Check(database, runs, opened, True)
    playbook = type("Playbook", (), {"rounds": 1})()
    again = judge.suspicious(playbook)
    judge.conclude()
    return again, commands.regressions(RunFolder.open(runs, folder.name))


def test_a_planted_access_is_told_in_the_first_night(runs):
    """One extra EL2 access in L1's world switch: by name and place, with the kernel as cause."""
    night(runs, 0)
    neve("history", "import")
    again, worse = check(runs, night(runs, 1, PLANTED, 48101, "planted"))
    assert again == [], "there is no noise that a repetition could tell of"
    assert worse == [
        f"tcg, hypercall, {NEVE}: cost 43,611 → 48,101 instructions (+4,490), regressed since "
        f"night-001: {CAUSE}",
        f"tcg, hypercall, {NEVE}: traps 8 → 9 exits (+1), regressed since night-001: {LINE}; "
        f"{CAUSE}",
    ]
    (cost, traps) = RunFolder.open(runs, "night-001").metadata.changes
    assert (traps.difference, traps.causes) == ((LINE,), (CAUSE,))
    assert (traps.before, traps.last, traps.noise, traps.confidence) == (8.0, 9.0, None, None)
    assert traps.subject == f"L0=7.3.4/k0 L1=7.3.4/planted microbench={'a' * 12}"
    assert cost.difference == ()
    assert neve("report", "night-001").exit_code == 0
    for name in ("report.md", "report.html", "junit.xml"):
        said = (runs / "night-001" / name).read_text()
        assert "+ vEL2 MSR MDSCR_EL1 after vEL2 MSR CPACR_EL1 (4 of 9)" in said
        assert "kernel of L1: 7.3.4/k1" in said


def test_the_same_without_a_known_cause(runs):
    for number in range(5):
        night(runs, number)
    neve("history", "import")
    again, worse = check(runs, night(runs, 5, PLANTED))
    assert again == []
    assert worse == [
        f"tcg, hypercall, {NEVE}: traps 8 → 9 exits (+1), regressed since night-005: {LINE}; "
        "without a cause that is known"
    ]


def test_two_hundred_nights_of_equal_figures_say_nothing(runs):
    for number in range(200):
        night(runs, number)
    judged = history()
    assert judged.changes() == []
    assert set(verdicts.table(judged)["verdict"]) == {"steady"}
    assert verdicts.judge(judged, "night-199") == []
    with Database.open("runs/history.sqlite") as opened:
        assert Archive(opened).load()["sequence"].nunique() == 2, "each sequence is kept once"


def test_nothing_is_learned_and_nothing_is_a_repetition(runs):
    night(runs, 0)
    assert told(history())["verdict"] == "steady"
    night(runs, 1, cost=43612)
    row = told(history(), "cost")
    assert (row["verdict"], row["before"], row["last"]) == ("regressed", 43611, 43612)
    night(runs, 2)
    assert told(history(), "cost")["verdict"] == "improved"
    night(runs, 3)
    assert told(history(), "cost")["verdict"] == "steady"


def test_an_alarm_lasts_whatever_the_kernel_until_it_is_acknowledged(runs):
    night(runs, 0)
    neve("history", "import")
    for number, kernel in enumerate(("planted", "planted", "rebuilt"), 1):
        _, worse = check(runs, night(runs, number, PLANTED, l1=kernel))
        assert len(worse) == 1, "also of another kernel that still has it"
        assert "regressed since night-001: + vEL2 MSR MDSCR_EL1" in worse[0]
    done = neve("history", "acknowledge", "--why", "planted", "--by", "me")
    assert done.output == f"tcg, hypercall, {NEVE}: traps 9 exits is acknowledged by me\n"
    assert check(runs, night(runs, 4, PLANTED, l1="rebuilt")) == ([], [])
    assert check(runs, night(runs, 5, PLANTED, l1="another")) == ([], [])
    _, worse = check(runs, night(runs, 6, (*PLANTED, "vEL2 ERET"), l1="another"))
    assert "9 → 10 exits (+1), regressed since night-006: + vEL2 ERET after vEL2 ERET" in worse[0]


def test_what_comes_to_an_alarm_is_told_with_it(runs):
    night(runs, 0)
    neve("history", "import")
    check(runs, night(runs, 1, PLANTED, l1="planted"))
    _, worse = check(runs, night(runs, 2, ("HVC", *PLANTED), l1="more"))
    assert worse == [
        f"tcg, hypercall, {NEVE}: traps 8 → 10 exits (+2), regressed since night-001: "
        "+ HVC after HVC (2 of 10), + vEL2 MSR MDSCR_EL1 after vEL2 MSR CPACR_EL1 (5 of 10); "
        "kernel of L1: 7.3.4/k1 → 7.3.4/more"
    ]
    _, worse = check(runs, night(runs, 3, (*NESTED, "vEL2 ERET"), l1="less"))
    assert "traps 8 → 9 exits (+1), regressed since night-001: + vEL2 ERET after" in worse[0]
    assert check(runs, night(runs, 4, l1="least")) == ([], []), "it is as it was"


def test_another_access_in_the_place_of_one_is_told_and_does_not_fail(runs):
    night(runs, 0)
    neve("history", "import")
    other = (*NESTED[:3], "vEL2 MSR HCR_EL2", *NESTED[4:])
    assert check(runs, night(runs, 1, other)) == ([], [])
    (change,) = RunFolder.open(runs, "night-001").metadata.changes
    assert change.verdict == "changed"
    assert change.difference == (
        "- vEL2 MSR VTTBR_EL2 after vEL2 MSR CPACR_EL1 (4 of 8)",
        "+ vEL2 MSR HCR_EL2 after vEL2 MSR CPACR_EL1 (4 of 8)",
    )


def test_two_kernels_by_turns_differ_once(runs):
    """Each is compared with itself from then on, and each is a series of its own."""
    for number in range(12):
        new = number % 2
        night(runs, number, *((PLANTED, 48101, "planted") if new else ()))
    judged = history()
    assert [(change.key[7], change.start) for change in judged.changes()] == [
        ("cost", 1),
        ("traps", 1),
    ]
    listed = json.loads(neve("history", "--json", "--only", "metric=traps").output)
    nested = {row["subject"].split()[1]: row for row in listed if row["configuration"] == NEVE}
    assert {name: (row["runs"], row["last"]) for name, row in nested.items()} == {
        "L1=7.3.4/k1": (6, 8),
        "L1=7.3.4/planted": (6, 9),
    }
    text = neve("history").output
    assert re.search(rf"{NEVE} +\| hypercall +\| traps +\| +6 +\| 9 ", text), text
    assert "exact" in text
    assert "8 → 9 since night-001: + vEL2 MSR MDSCR_EL1 after vEL2 MSR CPACR_EL1" in text
    assert "(2 series of former kernels and benchmark guests: --json has them)" in text


def test_another_kernel_is_another_line_of_the_same_chart(runs):
    for number in range(6):
        night(runs, number, *((PLANTED, 48101, "planted") if number > 3 else ()))
    history()
    assert neve("history", "report").exit_code == 0
    text = (runs / "history.html").read_text()
    assert text.count("<svg") == 4, "of the VM and of the nested VM, costs and traps"
    kernel = r'L1=<a href="#(kernel-\d)">7\.3\.4'
    planted = re.search(rf"■</span> traps 9 exits, exact,\s2 runs, {kernel}/planted</a>", text)
    assert planted and f'<tr id="{planted[1]}"><td>7.3.4</td><td>planted</td>' in text
    assert re.search(rf"●</span> traps 8 exits, exact,\s4 runs, {kernel}/k1</a>", text)
    assert f"<code>{LINE}</code>" in text
    assert CAUSE in re.sub("</?a[^>]*>", "", text)
    assert "2 series worse and not acknowledged" in text
    assert not re.search(r"\b(nan|inf)\b", text, re.IGNORECASE)


def test_what_a_playbook_names_is_compared_with_the_kernel_before(runs):
    """`kernel: "7.3"` in the playbook: a series of its own, and one lineage."""
    for number, (line, key) in enumerate((("7.2", "k1"), ("7.3", "planted"), ("7.2", "k1"))):
        playbook = {"name": line, "repetitions": 1, "kernel": line}
        hosts = [{"kind": "tcg", "name": "tcg"}]
        sequence = PLANTED if line == "7.3" else NESTED
        night(runs, number, sequence, l1=key, playbook={**playbook, "hosts": hosts})
    judged = history()
    (change,) = judged.changes()
    assert judged.differences(change) == [CAUSE, "playbook: 7.2 → 7.3"]
    assert {row["settings"] for row in verdicts.table(judged).to_dict("records")} == {
        "kernel=7.2",
        "kernel=7.3",
    }


def test_other_sizes_are_not_compared(runs):
    for number, memory in enumerate((2560, 4096)):
        hosts = [{"kind": "tcg", "name": "tcg", "memory": memory}]
        playbook = {"name": "nightly", "repetitions": 1, "hosts": hosts}
        night(runs, number, cost=43611 + number, playbook=playbook)
    judged = history()
    assert judged.changes() == []
    assert len(verdicts.table(judged)) == 8


def test_what_is_unusual_is_not_judged(runs):
    night(runs, 0)
    neve("history", "import")
    assert check(runs, night(runs, 1, PLANTED, 48101, share=0.62)) == ([], [])
    changes = RunFolder.open(runs, "night-001").metadata.changes
    assert {change.verdict for change in changes} == {"unusual"}
    neve("report", "night-001")
    assert (
        "traps 9 exits is unusual: less than 90% of the operations"
        in (runs / "night-001" / "report.md").read_text()
    )
    row = told(history())
    assert (row["verdict"], row["runs"]) == ("unusual", 1)
    assert re.search(
        rf"{NEVE} +\| hypercall +\| traps .*\| 9 .*\| unusual ", neve("history").output
    )
    assert check(runs, night(runs, 2, PLANTED, share=0.62))[1] == []
    assert RunFolder.open(runs, "night-002").metadata.changes == (), "it is told once"
    assert check(runs, night(runs, 3))[1] == [], "what it is compared with is the night before"
    assert len(check(runs, night(runs, 4, PLANTED))[1]) == 1


def test_repetitions_that_differ_are_unusual(runs):
    folder = night(runs, 0, playbook={"name": "nightly", "repetitions": 2})
    file = folder / "cells.jsonl"
    first = file.read_text()
    file.write_text(
        first
        + first.replace("/1/hypercall", "/2/hypercall")
        .replace('"repetition": 1', '"repetition": 2')
        .replace("43611.0", "43619.0")
    )
    judged = history()
    assert told(judged, "cost")["verdict"] == "unusual"
    assert told(judged)["verdict"] == "steady"


def test_a_night_without_a_sequence_is_compared_by_its_number(runs):
    night(runs, 0, None)
    night(runs, 1)
    night(runs, 2, None, l1="planted")
    night(runs, 3, PLANTED, l1="planted")
    judged = history()
    (change,) = judged.changes()
    assert (change.before, change.after, judged.lines(change)) == (8, 9, [])
    assert told(judged)["verdict"] == "regressed"


def test_a_run_of_before_is_another_series(runs):
    """Schema 1 knew no commonest value: medians and means, beside what is exact."""
    write_run(runs, 0, {"hypercall": 1389}, host="tcg", track="upstream")
    night(runs, 1)
    assert history().changes() == []


def test_the_archive_keeps_what_keys_a_series(runs):
    night(runs, 0)
    neve("history", "import")
    with Database.open("runs/history.sqlite") as opened:
        archive = Archive(opened)
        frame = archive.load(metric="traps", configuration=NEVE, reasons=False)
        (row,) = frame.to_dict("records")
        assert archive.sequences([row["sequence"], "none"]) == {row["sequence"]: (NESTED,)}
        assert row["rootfs"] == "b" * 64
        assert archive.load(metric="cost")["sequence"].isna().all()
        assert row["subject"] == f"L0=7.3.4/k0 L1=7.3.4/k1 microbench={'a' * 12}"
        vm = archive.load(metric="traps", configuration="vm")
        assert set(vm["subject"]) == {f"L0=7.3.4/k0 microbench={'a' * 12}"}


def test_a_subject_is_what_the_cell_boots():
    track = Track.load("v4.10")
    neve, v83 = (track.hypervisor(name) for name in ("nested-neve", "nested-v8.3"))
    of_run = f"l0: 4.10.0 a; l0 of arm1: 4.10.0 b; {neve}: 4.10.0 c; {v83}: 4.10.0 d"
    cells = {
        ("tcg", "v4.10", "nested-neve"): "L0=4.10.0/a L1=4.10.0/c",
        ("tcg", "v4.10", "nested-v8.3"): "L0=4.10.0/a L1=4.10.0/d",
        ("arm1", "v4.10", "vm"): "L0=4.10.0/b",
        ("tcg", "v9", "nested-neve"): "L0=4.10.0/a L1=4.10.0/c L1=4.10.0/d",
    }
    assert {cell: subject.subject(of_run, "", *cell) for cell in cells} == cells
    assert subject.subject("", "", "tcg", "v4.10", "vm") == ""
    assert subject.differences("L0=a L1=b", "L0=a microbench=c") == [
        "kernel of L1: b → unknown",
        "microbench: unknown → c",
    ]


def test_damaged_sequences_are_one_line(runs):
    escape = '"sequences": [{"operations": 97, "exits": [["\\u001b[31m"]]}]'
    for damage in ('"sequences": []', '"sequences": [3]', escape):
        folder = night(runs, 0)
        file = folder / "cells.jsonl"
        sequences = r'"sequences": \[.*?\]\]\}\]'
        file.write_text(re.sub(sequences, lambda _, new=damage: new, file.read_text()))
        with (
            Database.open("runs/history.sqlite") as opened,
            pytest.raises(UserError, match=r"not a run of neve") as caught,
        ):
            Archive(opened).take(folder)
        assert len(str(caught.value).splitlines()) == 1
        done = neve("compare", "night-000", "night-000")
        assert isinstance(done.exception, UserError)
        assert re.search(r"cells\.jsonl is damaged: tcg/vm/1/hypercall: ", str(done.exception))


def test_what_others_call_things_is_text(runs):
    """Kernels and exits of a run from elsewhere, on the page, in the reports and in junit.xml."""
    hostile = "<script>alert(1)</script>\x1b[31m\x01$\\frac{"
    night(runs, 0, (*NESTED, "<script>alert(2)</script>$\\frac{"), l1=hostile, harness=hostile)
    assert neve("history", "import").exit_code == 0
    _, worse = check(runs, night(runs, 1, (*PLANTED, "vEL2 ERET")))
    assert "<script>" in worse[0]
    assert "\x1b" not in worse[0]
    for arguments in (["report", "night-001"], ["history", "report"], ["history"]):
        assert neve(*arguments).exit_code == 0
    ET.parse(runs / "night-001" / "junit.xml")
    for file in (runs / "night-001" / "report.html", runs / "history.html"):
        assert "<script>alert" not in file.read_text()


def test_exact_runs_compare_by_equality(runs):
    night(runs, 0)
    night(runs, 1, PLANTED, 48101, "planted")
    night(runs, 2, share=0.62)
    said = neve("compare", "night-000", "night-001").output
    assert re.search(
        rf"{NEVE} +\| hypercall +\| cost +\| instructions \| 43,611 .*\| \+4,490 ", said
    )
    assert re.search(rf"{NEVE} +\| hypercall +\| traps +\| exits +\| 8 +\| 9 +\| \+1 ", said)
    assert re.search(
        r"vm +\| hypercall +\| cost +\| instructions \| 1,389 +\| 1,389 +\| equal", said
    )
    assert f"tcg/{NEVE}/hypercall: {LINE}\n" in said
    assert f"{CAUSE}\n" in said
    assert "%" not in said
    assert "±" not in said
    cells = json.loads(neve("compare", "night-000", "night-001", "--json").output)["cells"]
    found = {(cell["configuration"], cell["metric"]): cell for cell in cells}
    assert found[NEVE, "traps"]["sequence"] == [LINE]
    assert (found[NEVE, "traps"]["difference"], found[NEVE, "traps"]["exact"]) == (1, True)
    assert found["vm", "traps"]["difference"] == 0
    unusual = neve("compare", "night-000", "night-002").output
    assert re.search(
        rf"{NEVE} +\| hypercall +\| traps +\| exits +\| 8 \? +\| 8 \? +\| \+0.00% ", unusual
    )


def test_a_long_difference_is_told_in_short(runs):
    night(runs, 0)
    neve("history", "import")
    _, worse = check(runs, night(runs, 1, (*NESTED, *(f"vEL2 MSR R{n}" for n in range(30)))))
    assert worse[0].count("+ vEL2") == 6
    assert ", and 24 more; without" in worse[0]
    (change,) = RunFolder.open(runs, "night-001").metadata.changes
    assert len(change.difference) == 30


def test_years_of_exact_nights_are_judged_in_seconds(runs):
    """700 nights of 200 series, a new kernel each week."""
    cells = pd.MultiIndex.from_product(
        [
            [f"configuration-{number}" for number in range(10)],
            [f"benchmark-{number}" for number in range(10)],
            ["cost", "traps"],
        ],
        names=["configuration", "benchmark", "metric"],
    ).to_frame(index=False)
    nights = pd.DataFrame(
        {
            "run_id": f"night-{number}",
            "value": 38.0 + number // 7 % 3,
            "subject": f"L1=k{number // 7}",
        }
        for number in range(700)
    )
    frame = nights.merge(cells, how="cross").assign(
        host="tcg",
        track="upstream",
        cpu="max",
        gic=3,
        mechanism="architected",
        level="",
        unit="exits",
        statistic="mode",
        settings="",
        reason="",
        repeated=False,
        share=0.97,
        sequence=None,
    )
    facts = ("started", "harness", "emulator", "kernels", "microbench", "rootfs", "playbook")
    frame = frame.assign(**{name: pd.Timestamp("2026-01-01", tz="UTC") for name in facts})
    began = time.process_time()
    judged = verdicts.History.of(frame)
    table = verdicts.table(judged)
    assert time.process_time() - began < 20
    assert len(table) == 100 * 200
    assert len(judged.changes()) == 99 * 200
