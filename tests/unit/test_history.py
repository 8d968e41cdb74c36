# SPDX-License-Identifier: MIT
"""From run folders to verdicts, the page, and what `neve run --check` makes of them."""

import json
import re
import sqlite3
import sys
import time
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import click
import numpy as np
import pytest
from click.testing import CliRunner

from harness import cli
from harness.commands import history as commands
from harness.commands import run as run_command
from harness.commands import session
from harness.errors import HarnessError, UserError
from harness.model.cell import CellRecord
from harness.model.playbook import load
from harness.results.history import page, verdicts
from harness.results.history.archive import Archive
from harness.results.history.database import Database
from harness.results.history.nights import History, worse
from harness.results.store import RunFolder
from harness.run.pace import stage_of
from tests.synthetic import measurement, write_cells, write_run

HOSTILE = "<script>alert('x')</script>$\\frac{\"><img src=x onerror=alert(1)>"
BENCHMARKS = ("hypercall", "device-io", "virtual-ipi")


def quiet_nights(runs, count, *, steps=None, host="server"):
    """`count` run folders at 1 % noise; {night: factor} for hypercall from then on."""
    rng, level = np.random.default_rng(14), 1.0
    for night in range(count):
        level *= (steps or {}).get(night, 1.0)
        values = {name: 1000 * (1 + rng.normal(scale=0.01)) for name in BENCHMARKS}
        values["hypercall"] *= level
        kernel = {"l0": {"version": "4.10.0", "key": f"k{level:.1f}"}}
        write_run(runs, night, values, host=host, kernels=kernel)


def neve(*arguments):
    return CliRunner().invoke(cli.cli, [*map(str, arguments)], catch_exceptions=True)


def read(place="runs/history.sqlite"):
    with Database.open(str(place)) as opened:
        return History.of(Archive(opened).load(reasons=False))


def test_history_has_a_row_per_series(runs):
    quiet_nights(runs, 30, steps={20: 1.1})
    assert neve("history", "import").exit_code == 0
    table = verdicts.table(read()).set_index(["benchmark", "metric"])
    assert len(table) == 6
    row = table.loc[("hypercall", "cost")]
    assert (row["runs"], row["verdict"], row["since"]) == (30, "regressed", "night-020")
    assert row["median"] == pytest.approx(1100, rel=0.02)
    assert row["noise"] == pytest.approx(0.01, rel=0.4)
    assert row["effect"] == pytest.approx(0.1, abs=0.02)
    assert row["confidence"] > 0.999
    assert np.isnan(table.loc[("device-io", "cost"), "effect"])
    listed = json.loads(neve("history", "--json", "--only", "metric=cost").output)
    assert {entry["metric"] for entry in listed} == {"cost"}
    assert re.search(r"\+(9|10|11)\.\d\d% since night-020", neve("history").output)


def test_a_change_says_what_else_differed(runs):
    quiet_nights(runs, 30, steps={20: 1.1})
    neve("history", "import")
    history = read()
    (change,) = history.changes()
    assert history.differences(change) == ["kernels: l0: 4.10.0 k1.0 → l0: 4.10.0 k1.1"]
    assert worse(change)


def test_few_runs_are_learned_from(runs):
    quiet_nights(runs, 3)
    neve("history", "import")
    assert set(verdicts.table(read())["verdict"]) == {"learning"}


def test_noise_floor_is_a_hosts_own(runs, tmp_path):
    quiet_nights(runs, 20)
    neve("history", "import")
    floors = verdicts.noise_floors(verdicts.table(read())).set_index(["host", "metric"])
    assert floors.loc[("server", "cost"), "noise"] == pytest.approx(0.01, rel=0.4)
    assert floors.loc[("server", "traps"), "noise"] < 0.005
    assert floors.loc[("server", "cost"), "series"] == 3


def test_importing_refuses_one_folder_and_takes_the_others(runs):
    quiet_nights(runs, 2)
    (runs / "torn").mkdir()
    (runs / "torn" / "metadata.json").write_text("{")
    done = neve("history", "import", "runs", "none")
    assert done.exit_code == 2
    assert "night-000  new\nnight-001  new" in done.stdout
    assert [line.partition(":")[2].split(" is ")[0] for line in done.stderr.splitlines()] == [
        f" {runs}/torn/metadata.json".replace(f"{runs}", "runs"),
        " none: neither a run folder nor a folder with runs",
    ]
    assert neve("history", "import").stdout.count("unchanged") == 2


class Document(HTMLParser):
    """Tags with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_page_links_runs_and_marks_changes(runs):
    quiet_nights(runs, 30, steps={20: 1.1})
    (runs / "night-020" / "report.html").write_text("report")
    neve("history", "import")
    done = neve("history", "report")
    assert done.output.strip() == "runs/history.html"
    text = (runs / "history.html").read_text()
    assert text.count("<svg") == 6, "one chart per host, benchmark, configuration and metric"
    assert 'href="./night-020/report.html"' in text
    assert "night-019/report.html" not in text, "no link leads nowhere"
    point = r'<a xlink:href="\./night-020/report\.html"><title>2026-01-21 night-020: \S+ '
    assert re.search(f"{point}instructions</title>", text), "points are links, and tell a value"
    assert len(re.findall("<g><title>2026-01-20 night-019: ", text)) == 6
    assert "noise floor" in text
    assert "kernels: l0: 4.10.0 k1.0 → l0: 4.10.0 k1.1" in text
    assert not re.search(r'(src|href)="(?!#|\./)', text), "nothing is loaded from elsewhere"


def test_names_on_the_page_are_text(runs):
    hostile = HOSTILE.replace("/", "")
    write_run(
        runs,
        0,
        {hostile: 1000},
        host=hostile,
        name="night",
        kernels={"l0": {"version": HOSTILE, "key": HOSTILE}},
        emulator=HOSTILE,
    )
    folder = write_run(runs, 1, {hostile: 1000}, host=hostile, name="javascript:alert(1)")
    (folder / "report.html").write_text("report")
    for number in range(2, 14):
        write_run(
            runs,
            number,
            {hostile: 1000 if number < 12 else 2000},
            host=hostile,
            emulator=HOSTILE if number < 12 else "other",
        )
    assert neve("history", "import").exit_code == 0
    assert neve("history", "report").exit_code == 0
    document = Document((runs / "history.html").read_text())
    assert [each for each in document.tags if each[0] in ("script", "img")] == [("script", {})]
    assert not [
        name for _, attributes in document.tags for name in attributes if name.startswith("on")
    ]
    links = {
        attributes.get("href") or attributes.get("xlink:href")
        for tag, attributes in document.tags
        if tag == "a"
    }
    assert {link for link in links if not re.fullmatch("#[a-z0-9-]+", link)} == {
        "./javascript%3Aalert%281%29/report.html",
        "./night/metadata.json",
        "./night-013/metadata.json",
    }
    assert neve("history").exit_code == 0


def test_an_empty_history_has_a_page(runs):
    runs.mkdir()
    with Database.open("runs/history.sqlite"):
        pass
    assert neve("history", "report").exit_code == 0
    assert "0 runs" in (runs / "history.html").read_text()
    assert neve("history").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["history"], 2),
        (["history", "report"], 2),
        (["history", "import"], 2),
        (["history", "--database", "mysql://x"], 2),
        (["history", "--only", "x"], 2),
        (["history", "--database", "postgresql://u:secret@127.0.0.1:1/x"], 75),
    ],
)
def test_what_is_wrong_is_one_line(runs, arguments, code, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["neve", *arguments])
    if "--only" in arguments:
        quiet_nights(runs, 1)
        neve("history", "import")
    with pytest.raises(SystemExit) as left:
        cli.main()
    said = capsys.readouterr().err
    assert left.value.code == code, said
    assert len(said.splitlines()) == 1
    assert "secret" not in said


class Job:
    """In place of a host: measures what it is told to."""

    def __init__(self, run_id, cells, measure):
        self.run_id, self.cells, self.measure = run_id, cells, measure

    def execute(self, journal):
        for cell in self.cells:
            with journal.stage(stage_of(cell)):
                journal.record(self._record(cell, float(self.measure(cell))))

    def _record(self, cell, value):
        where = {
            "host": cell.host,
            "benchmark": cell.benchmark,
            "repetition": cell.repetition,
        }
        figures = ({}, {"metric": "traps", "unit": "exits"})
        reason = {**figures[1], "reason": "HVC64"}
        rows = [
            measurement(self.run_id, 1.0 if more else value, **more, **where)
            for more in (*figures, reason)
        ]
        statistics = dict.fromkeys(("minimum", "median", "p99"), value)
        sample = {"benchmark": cell.benchmark, "iterations": 1000, **statistics}
        return CellRecord(cell.id, "passed", 1.0, tuple(rows), (sample,))


@pytest.fixture(scope="session")
def twenty_nights(tmp_path_factory):
    """A quiet history that tests take a copy of."""
    made = tmp_path_factory.mktemp("nights") / "runs"
    quiet_nights(made, 20, host="tcg")
    assert not [
        error
        for _, error in commands.import_runs(None, made, [made])
        if isinstance(error, HarnessError)
    ]
    return made


@pytest.fixture
def night(runs, tmp_path, monkeypatch, twenty_nights):
    """`neve run` on a host with a history of 20 nights, whose cells measure what `measure` says."""
    copytree(twenty_nights, runs)
    playbook = tmp_path / "nightly.yaml"
    playbook.write_text(
        "name: nightly\ntrack: v4.10\nconfigurations: [vm]\ncheck: true\n"
        f"benchmarks: [{', '.join(BENCHMARKS)}]\n"
    )
    measured = []

    def run(measure, *options):
        def jobs_of(run_id, _artifacts, _consoles, cells, _wait):
            measured.extend(cell.id for cell in cells)
            return [Job(run_id, cells, measure)] if cells else []

        monkeypatch.setattr(run_command, "build_all", lambda *of: SimpleNamespace(setup=of[2]))
        monkeypatch.setattr(session, "jobs_of", jobs_of)
        monkeypatch.setattr(session, "execute_job", Job.execute)
        monkeypatch.setattr(
            run_command,
            "facts_of",
            lambda *_: {
                "track": "v4.10",
                "harness": "0.1.0",
                "playbook": load(playbook).model_dump(mode="json"),
                **{"kernels": {}, "microbench": {"sha256": "m"}, "rootfs": {"sha256": "r"}},
                "emulator": None,
            },
        )
        measured.clear()
        monkeypatch.setattr(sys, "argv", ["neve", "run", str(playbook), *options])
        status = 0
        try:
            cli.cli(standalone_mode=False)
        except HarnessError as error:
            status = error.exit_code
        latest = RunFolder.open(runs, "latest") if (runs / "latest").exists() else None
        return status, latest, measured

    return run


def failures(folder):
    suite = ET.parse(folder.path / "junit.xml").getroot()
    return [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None]


def test_a_quiet_night_measures_nothing_twice(night):
    status, folder, measured = night(lambda cell: 1000.0)
    assert (status, measured) == (0, [f"tcg/vm/1/{name}" for name in BENCHMARKS])
    assert folder.metadata.changes == ()
    assert len(read().nights) == 21, "a finished run imports itself"


def test_a_night_is_expected_to_take_what_the_last_one_took(night, capfd):
    def expected():
        return json.loads(neve("plan", "nightly.yaml", "--json").stdout)["expected"]

    assert expected()["seconds"] is None
    night(lambda cell: time.sleep(0.1) or 1000.0)
    (taken,) = re.findall(r"tcg: vm: hypercall  (\S+ s)  \[1 of 3, ", capfd.readouterr().err)
    # A busy computer takes longer between the cells.
    assert 0.1 * len(BENCHMARKS) <= expected()["seconds"] < 30
    assert expected()["bytes"] > 4096
    night(lambda cell: 1000.0)
    said = capfd.readouterr().err
    assert re.search(rf"hypercall  \S+ s \(expected {taken}\)  \[1 of 3, .* of about ", said)


def test_a_regression_is_measured_again_and_fails_the_night(night):
    status, folder, measured = night(lambda cell: 1100 if cell.benchmark == "hypercall" else 1000)
    assert status == 1
    assert measured[-1] == "tcg/vm/2/hypercall"
    assert len(measured) == 4
    assert failures(folder) == ["hypercall cost"]
    (change,) = folder.metadata.changes
    assert change.verdict == "regressed"
    assert change.effect == pytest.approx(0.1, abs=0.01)
    for name in ("report.md", "report.html"):
        said = (folder.path / name).read_text()
        assert re.search(r"has regressed since \S+, \+(8|9|10)\.", said)
    assert neve("report", folder.id).exit_code == 0
    assert failures(folder) == ["hypercall cost"], "a report that is written again says it again"


def slow(cell):
    return 1100 if cell.benchmark == "hypercall" else 1000


def test_an_alarm_lasts_until_it_is_acknowledged(night):
    first, second = night(slow), night(slow)
    assert (first[0], second[0]) == (1, 1)
    (change,) = second[1].metadata.changes
    assert (change.verdict, change.since) == ("regressed", first[1].id)
    assert failures(second[1]) == ["hypercall cost"]
    assert re.search(r"\| regressed \|.*since " + first[1].id, neve("history").output)
    why = ("--why", "a new compiler")
    nothing = neve("history", "acknowledge", "--only", "benchmark=device-io", *why)
    assert "nothing to acknowledge: no series of benchmark=device-io has regressed" in str(
        nothing.exception
    )
    assert "Missing option '--why'" in neve("history", "acknowledge").output
    done = neve("history", "acknowledge", *why, "--by", "Ada <ada@lab>")
    said = "tcg, hypercall, vm: cost 1,100 instructions is acknowledged by Ada <ada@lab>\n"
    assert done.output == said
    status, third, _ = night(slow)
    assert (status, third.metadata.changes) == (0, ())
    assert "nothing to acknowledge" in str(neve("history", "acknowledge", *why).exception)
    worse_still = night(lambda cell: 1210 if cell.benchmark == "hypercall" else 1000)
    assert worse_still[0] == 1, "what comes after is no part of what was acknowledged"
    with sqlite3.connect("runs/history.sqlite") as raw:
        kept = raw.execute('SELECT "by", note FROM acceptances').fetchall()
    assert kept == [("Ada <ada@lab>", "a new compiler")]
    neve("history", "report")
    text = Path("runs/history.html").read_text()
    assert "<td>Ada &lt;ada@lab&gt;</td>" in text and "<td>a new compiler</td>" in text
    assert "1 series worse and not acknowledged" in text, "the newest change is none of it"


def test_an_alarm_ends_with_the_regression(night):
    assert night(slow)[0] == 1
    assert night(slow)[0] == 1
    status, folder, _ = night(lambda cell: 1000)
    assert (status, folder.metadata.changes[0].verdict) == (0, "improved")
    assert night(lambda cell: 1000)[0] == 0


def test_an_improvement_is_told_and_does_not_fail(night):
    status, folder, _ = night(lambda cell: 900 if cell.benchmark == "hypercall" else 1000)
    assert (status, failures(folder)) == (0, [])
    assert folder.metadata.changes[0].verdict == "improved"


def test_what_the_repetition_does_not_confirm_is_no_regression(night):
    status, folder, measured = night(
        lambda cell: 1100 if cell.repetition == 1 and cell.benchmark == "device-io" else 1000
    )
    assert (status, failures(folder)) == (0, [])
    assert measured[-1] == "tcg/vm/2/device-io"
    assert "which a second measurement did not confirm" in (folder.path / "report.md").read_text()


def test_without_check_nothing_is_judged(night):
    status, folder, measured = night(lambda cell: 1100, "--no-check")
    assert (status, len(measured)) == (0, 3)
    assert folder.metadata.changes is None
    assert len(read().nights) == 21


def test_a_resumed_run_brings_its_rows_up_to_date(night, runs):
    def dies(cell):
        if cell.benchmark == "virtual-ipi":
            raise KeyboardInterrupt
        return 1000

    with pytest.raises(click.exceptions.Abort):
        night(dies)
    assert len(read().nights) == 20, "a run that was cut off is not imported by itself"
    folder = RunFolder.open(runs, "latest")
    neve("history", "import", folder.path)
    before = read()
    assert len(before.nights) == 21
    night(lambda cell: 1000, "--resume", folder.id)
    series = {each.key[6]: each.series for each in read().entries() if each.key[7] == "cost"}
    assert len(series["virtual-ipi"].values) == 21
    assert len(read().nights) == 21


def test_a_wrong_database_is_said_before_anything_runs(night):
    status, _, measured = night(lambda cell: 1000, "--database", "mysql://x")
    assert (status, measured) == (2, [])


def test_no_password_is_kept_in_the_run(night, monkeypatch):
    monkeypatch.setattr(commands, "probe", lambda *_: None)
    monkeypatch.setattr(commands.Check, "conclude", lambda *_: None)
    _, folder, _ = night(
        lambda cell: 1000, "--no-check", "--database", "postgresql://me:secret@127.0.0.1:1/x"
    )
    assert "secret" not in (folder.path / "metadata.json").read_text()
    assert "me:***@127.0.0.1:1" in folder.metadata.repeat


def test_page_module_writes_without_links(tmp_path, runs):
    quiet_nights(runs, 2)
    neve("history", "import")
    page.write(read(), {}, [], tmp_path / "page.html")
    assert '<a href="./' not in (tmp_path / "page.html").read_text()


def import_nights(runs, values, **more):
    """A run folder for each of `values`, the cost of a hypercall; keywords by night."""
    for number, value in enumerate(values):
        given = {name: each(number) for name, each in more.items()}
        write_run(runs, number, {"hypercall": value}, **given)
    assert neve("history", "import").exit_code == 0


def test_two_kernels_by_turns_are_two_series(runs):
    """As two playbooks name them; where none does, a new kernel is what explains a change."""
    rng = np.random.default_rng(21)
    values = [
        1000 * (1 + rng.normal(scale=0.003)) * (1.065 if night // 6 % 2 else 1)
        for night in range(36)
    ]
    import_nights(
        runs,
        values,
        playbook=lambda night: {
            "name": "nightly",
            "repetitions": 1,
            "kernel": "7.3" if night // 6 % 2 else "7.2",
            "hosts": [{"name": "server", "kind": "ssh"}],
        },
    )
    assert read().changes() == []
    listed = neve("history", "--only", "metric=cost").output
    assert re.search(r"hypercall +\| cost +\| kernel=7\.2 +\| +18 ", listed)
    assert re.search(r"hypercall +\| cost +\| kernel=7\.3 +\| +18 ", listed)
    neve("history", "report")
    text = (runs / "history.html").read_text()
    assert text.count("<svg") == 4
    assert "hypercall, vm, kernel=7.2</h3>" in text


def test_another_statistic_is_another_series(runs):
    """The commonest count of traps is not what their mean was."""
    for number in range(24):
        folder = write_run(runs, number, {})
        statistic, value, share = ("mean", 39.66, None) if number < 12 else ("mode", 38.0, 0.97)
        rows = [
            measurement(
                folder.name,
                value,
                metric="traps",
                unit="exits",
                statistic=statistic,
                share=share,
            )
        ]
        write_cells(folder, [CellRecord("server/vm/1/hypercall", "passed", 1.0, tuple(rows))])
    neve("history", "import")
    assert read().changes() == []
    listed = neve("history").output
    assert re.search(r"hypercall +\| traps +\| statistic=mean +\| +12 ", listed)
    assert re.search(r"hypercall +\| traps +\| statistic=mode [^|]*\| +12 ", listed)
    assert neve("history", "--only", "statistic=mode").output.count("hypercall") == 1
    with Database.open("runs/history.sqlite") as opened:
        assert set(Archive(opened).load(statistic="mode")["share"]) == {0.97}
    compared = neve("compare", "night-000", "night-001").output
    assert "statistic" not in compared
    differ = neve("compare", "night-000", "night-020")
    assert "statistic mean against mode" in str(differ.exception)


def test_rows_that_look_alike_say_what_differs(runs):
    for number, cpu in enumerate(("max", "cortex-a57")):
        write_run(runs, number, {"hypercall": 1000}, cpu=cpu)
    neve("history", "import")
    listed = neve("history", "--only", "metric=cost").output
    assert "cpu=max" in listed
    assert "cpu=cortex-a57" in listed
    assert "gic" not in listed
    chosen = neve("history", "--only", "cpu=max,metric=cost").output
    assert len(chosen.splitlines()) == 3, "two lines of heading"


@pytest.mark.parametrize(
    ("only", "complaint"),
    [
        ("metric=cots", "--only metric=cots: the history has cost, traps"),
        ("benchmark=", "--only benchmark=: the history has device-io, hypercall, virtual-ipi"),
        ("mertic=cost", "expected KEY=VALUE with KEY one of host, "),
        ("host=server,host=none", "--only host=none: the history has server"),
    ],
)
def test_what_selects_nothing_is_an_error(runs, only, complaint):
    quiet_nights(runs, 1)
    neve("history", "import")
    done = neve("history", "--only", only)
    assert isinstance(done.exception, UserError)
    assert complaint in str(done.exception)


def test_a_selection_of_nothing_in_common_is_an_error(runs):
    write_run(runs, 1, {"hypercall": 1000}, host="one")
    write_run(runs, 2, {"device-io": 1000}, host="two")
    neve("history", "import")
    done = neve("history", "--only", "host=one,benchmark=device-io")
    assert "no series with all" in str(done.exception)


def test_a_faster_application_is_no_regression(runs):
    """More requests a second are more exits a second, and busier CPUs."""
    for number in range(16):
        folder = write_run(runs, number, {})
        speed = 1.0 if number < 12 else 1.2
        records = [
            CellRecord(
                f"server/vm/{repetition}/apache",
                "passed",
                1.0,
                tuple(
                    measurement(
                        folder.name,
                        value * speed,
                        benchmark="apache",
                        metric=metric,
                        unit=unit,
                        level=level,
                        repetition=repetition,
                    )
                    for metric, level, unit, value in (
                        ("throughput", "", "requests/s", 100.0),
                        ("traps", "", "exits per second", 5000.0),
                        ("cpu", "L0", "CPUs", 2.0),
                        ("cpu", "L1", "CPUs", 1.0),
                    )
                ),
            )
            for repetition in (1, 2)
        ]
        write_cells(folder, records)
    neve("history", "import")
    history = read()
    assert [(change.key[7], worse(change)) for change in history.changes()] == [
        ("throughput", False)
    ]
    table = verdicts.table(history).set_index(["metric", "level"])
    assert table["verdict"].to_dict() == {
        ("throughput", ""): "steady",
        ("traps", ""): "context",
        ("cpu", "L0"): "context",
        ("cpu", "L1"): "context",
    }
    assert table.loc[("cpu", "L1"), "median"] == pytest.approx(1.0)
    assert re.search(r"apache +\| cpu +\| level=L1 ", neve("history").output)
    neve("history", "report")
    text = (runs / "history.html").read_text()
    assert text.count("<svg") == 4
    assert "cpu of L1 1 CPUs" in text
    assert "apache, vm</h3>" in text


def test_nothing_is_infinite_or_no_number(runs):
    rows = [(0.0, 0.0)] * 12 + [(3.0, 0.01)] * 4
    for number, (big, small) in enumerate(rows):
        folder = write_run(runs, number, {})
        records = [
            CellRecord(
                f"server/vm/{repetition}/{name}",
                "passed",
                1.0,
                (
                    measurement(
                        folder.name,
                        value,
                        benchmark=name,
                        metric="traps",
                        unit="exits",
                        repetition=repetition,
                    ),
                ),
            )
            for repetition in (1, 2)
            for name, value in (("hypercall", big), ("virtual-eoi", small))
        ]
        write_cells(folder, records)
    neve("history", "import")
    listed = neve("history").output
    assert "from 0 to 3 since night-012" in listed
    neve("history", "report")
    for text in (listed, neve("history", "--json").output, (runs / "history.html").read_text()):
        assert not re.search(r"[+-]?(inf|nan)\s?%", text, re.IGNORECASE)
        assert not re.search(r"\b(NaN|Infinity)\b", text)


def test_a_change_names_what_may_be_its_cause(runs):
    import_nights(
        runs,
        [1000.0] * 12 + [1100.0] * 4,
        microbench=lambda night: {"sha256": "old" if night < 12 else "new"},
        harness=lambda night: "0.1.0 (aaa)" if night < 12 else "0.1.0 (bbb)",
    )
    history = read()
    (change,) = history.changes()
    assert history.differences(change) == [
        "harness: 0.1.0 (aaa) → 0.1.0 (bbb)",
        "microbench: old → new",
    ]


def test_page_has_contents_labels_and_plurals(runs):
    quiet_nights(runs, 30, steps={20: 1.1})
    neve("history", "import")
    neve("history", "report")
    text = (runs / "history.html").read_text()
    linked = re.findall(r'<li[^>]*><a href="#([a-z0-9-]+)"', text)
    assert linked == ["changes", "noise", "runs", "kernels", "series-1", "series-2", "series-3"]
    assert all(f'id="{name}"' in text for name in linked)
    assert "cost (instructions)" in text
    assert '<form id="filter" class="screen" hidden>' in text, "a script that runs shows it"
    assert text.count('<section data-host="server" data-benchmark="') == 3
    alts = re.findall(r'<svg role="group" aria-label="([^"]*)"', text)
    assert alts[0].startswith("Points over time: cost (instructions), 30 runs from 2026-01-01 to ")
    assert "traps (exits)" in text
    assert re.search(r"\d measurements in \d runs", text)
    assert "1 series worse and not acknowledged" in text
    assert not re.search(r"\b1 (runs|changes|measurements)\b", text)


def test_a_run_is_judged_with_one_replay(night, monkeypatch):
    replays = []
    history_of = History.of.__func__

    def counted(cls, *arguments):
        replays.append(1)
        return history_of(cls, *arguments)

    monkeypatch.setattr(History, "of", classmethod(counted))
    assert night(slow)[0] == 1
    assert len(replays) == 1


def test_judging_a_run_is_what_the_history_says_later(night):
    """Night by night, or all at once."""
    for factor in (1.0, 1.1, 1.1, 1.0):
        _, folder, _ = night(lambda cell, now=factor: 1000 * now)
        later = verdicts.judge(read(), folder.id)
        assert [(row["verdict"], row["effect"]) for row in later] == [
            (change.verdict, pytest.approx(change.effect, nan_ok=True))
            if change.effect is not None
            else (change.verdict, pytest.approx(float("nan"), nan_ok=True))
            for change in folder.metadata.changes
        ]
