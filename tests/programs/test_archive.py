# SPDX-License-Identifier: MIT
"""The same on SQLite and on PostgreSQL."""

import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from shutil import copytree

import pandas as pd
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from harness import results
from harness.errors import InfrastructureError, UserError
from harness.model.measurement import COLUMNS
from harness.model.playbook import Playbook
from harness.paths import ROOT
from harness.results.history import database
from harness.results.history.archive import Archive, Outcome
from harness.results.history.database import Database
from harness.results.history.intake import find
from harness.results.history.models import Base, StoredRun
from tests.of_before import of_before
from tests.synthetic import write_run

RECORDED = Path(__file__).parents[1] / "recorded" / "schema1"
APPLICATIONS = "20261127-152105-applications-9d17"
HOSTILE = "x'; DROP TABLE runs; --<script>alert(1)</script>"


@pytest.fixture
def archive(place):
    with Database.open(place) as opened:
        yield Archive(opened)


def test_a_run_is_imported_once_and_then_brought_up_to_date(archive, tmp_path):
    folder = write_run(tmp_path, 1, {"hypercall": 1000, "device-io": 2000})
    assert archive.take(folder) is Outcome.NEW
    first = archive.load()
    assert archive.take(folder) is Outcome.UNCHANGED
    assert archive.load().equals(first)
    write_run(tmp_path, 1, {"hypercall": 1000, "device-io": 2000, "virtual-ipi": 3000})
    assert archive.take(folder) is Outcome.UPDATED
    assert len(archive.load()) == 9


def test_a_copy_of_a_run_is_the_same_run(archive, tmp_path):
    folder = write_run(tmp_path, 1, {"hypercall": 1000})
    archive.take(folder)
    assert archive.take(copytree(folder, tmp_path / "copy")) is Outcome.UNCHANGED


def test_frame_is_tidy(archive, tmp_path):
    archive.take(write_run(tmp_path, 2, {"hypercall": 1010}, again={"hypercall": 1011}))
    archive.take(write_run(tmp_path, 1, {"hypercall": 1000}))
    frame = archive.load()
    assert list(frame.columns) == [
        *COLUMNS,
        "sequence",
        "started",
        "state",
        "playbook",
        "harness",
        "emulator",
        "kernels",
        "microbench",
        "rootfs",
        "folder",
        "settings",
        "subject",
        "repeated",
    ]
    assert list(dict.fromkeys(frame["run_id"])) == ["night-001", "night-002"], "oldest first"
    assert str(frame["started"].dt.tz) == "UTC"
    assert str(frame["started"].iloc[0]) == "2026-01-02 03:00:00+00:00"
    assert frame["kernels"].unique().tolist() == ["l0: 4.10.0 k1"]
    assert frame["stdev"].isna().all()
    costs = archive.load(reasons=False, metric="cost")
    assert costs["value"].tolist() == [1000.0, 1010.0, 1011.0]
    assert costs["repeated"].tolist() == [False, False, True]
    with pytest.raises(UserError, match="no column 'hots'"):
        archive.load(hots="x")


def test_an_empty_history_is_an_empty_frame(archive):
    frame = archive.load()
    assert frame.empty
    assert "started" in frame.columns


def test_load_is_the_packages(place, tmp_path, monkeypatch):
    with Database.open(place) as opened:
        Archive(opened).take(write_run(tmp_path, 1, {"hypercall": 1000}))
    assert len(results.load(place, benchmark="hypercall", reasons=False)) == 2
    monkeypatch.setenv("NEVE_DATABASE", place)
    assert len(results.load()) == 3


def test_names_are_data(archive, tmp_path):
    archive.take(
        write_run(
            tmp_path,
            1,
            {HOSTILE: 1000},
            host=HOSTILE.replace("/", ""),
            kernels={"l0": {"version": HOSTILE, "key": HOSTILE}},
        )
    )
    frame = archive.load(benchmark=HOSTILE)
    assert set(frame["benchmark"]) == {HOSTILE}
    assert archive.load(host="' OR 1=1 --").empty


def spoil(folder, **changes):
    file = folder / "metadata.json"
    data = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def cell(folder, **changes):
    file = folder / "cells.jsonl"
    record = json.loads(file.read_text().splitlines()[0])
    record["measurements"][0].update(changes)
    file.write_text(json.dumps(record) + "\n")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda f: (f / "metadata.json").write_text('{"run_id": "x", "sta'), "is damaged"),
        (lambda f: (f / "metadata.json").write_text("[1]"), "is damaged"),
        (lambda f: (f / "metadata.json").write_bytes(b"\xff\xfe"), "is damaged"),
        (lambda f: spoil(f, started="yesterday"), "started: .* valid datetime"),
        (lambda f: spoil(f, run_id=None), "run_id"),
        (lambda f: spoil(f, run_id="other"), 'belongs to the run "night-001"'),
        (lambda f: spoil(f, kernels=["x"]), "not a run of neve"),
        (lambda f: spoil(f, playbook={"repetitions": "many"}), "repetitions"),
        (
            lambda f: (f / "cells.jsonl").write_text('{"name": "something else"}\n'),
            "not a run of neve",
        ),
        (lambda f: (f / "cells.jsonl").write_text("[1, 2]\n"), "not a run of neve"),
        (lambda f: cell(f, value="much"), "value"),
        (lambda f: cell(f, value=float("nan")), "value"),
        (lambda f: cell(f, host="a\0b"), "NUL"),
        (lambda f: cell(f, host="\ud800"), "host"),
        (lambda f: cell(f, iterations=2**70), "iterations"),
        (lambda f: cell(f, surprise=1), "surprise"),
        (lambda f: cell(f, repetition=2), "cell server/vm/1/hypercall has .* of server/vm/2/"),
        (lambda f: cell(f, statistic="guess"), "statistic"),
        (lambda f: cell(f, metric="exits"), "metric"),
        (lambda f: cell(f, level="L3"), "level"),
    ],
)
def test_a_damaged_or_foreign_folder_is_one_line(archive, tmp_path, damage, complaint):
    folder = write_run(tmp_path, 1, {"hypercall": 1000})
    damage(folder)
    with pytest.raises(UserError, match=complaint) as caught:
        archive.take(folder)
    assert len(str(caught.value).splitlines()) == 1
    assert archive.load().empty


def test_a_torn_last_line_loses_only_itself(archive, tmp_path):
    folder = write_run(tmp_path, 1, {"hypercall": 1000})
    with (folder / "cells.jsonl").open("a") as stream:
        stream.write('{"id": "server/vm/1/dev')
    assert archive.take(folder) is Outcome.NEW


def test_a_run_without_a_cell_is_passed_over(archive, tmp_path):
    assert archive.take(write_run(tmp_path, 1, {})) is Outcome.EMPTY


def test_folders_are_found(tmp_path):
    runs = [write_run(tmp_path, number, {"hypercall": 1000}) for number in (1, 2)]
    (tmp_path / "latest").symlink_to("night-002")
    assert find(tmp_path) == runs
    assert find(runs[0]) == [runs[0]]
    with pytest.raises(UserError, match="neither a run folder nor a folder with runs"):
        find(tmp_path / "none")


def test_schema_is_the_models(archive):
    with archive.database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_an_old_database_is_upgraded_with_its_rows(place, tmp_path, monkeypatch):
    with Database.open(place) as opened:
        Archive(opened).take(write_run(tmp_path, 1, {"hypercall": 1000}))
    newer = copytree(database._MIGRATIONS, tmp_path / "migrations")
    (newer / "versions" / "r0006_more.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        "revision, down_revision = '0006', '0005'\n"
        "def upgrade():\n    op.add_column('runs', sa.Column('note', sa.Text()))\n"
    )
    with monkeypatch.context() as patch:
        patch.setattr(database, "_MIGRATIONS", newer)
        with Database.open(place) as opened:
            columns = {each["name"] for each in sa.inspect(opened.engine).get_columns("runs")}
            assert "note" in columns
            assert len(Archive(opened).load()) == 3
    for writable in (True, False):
        with (
            pytest.raises(UserError, match=r"newer harness \(its schema is '0006', ours '0005'\)"),
            Database.open(place, writable=writable),
        ):
            pass


def test_a_failed_upgrade_changes_nothing(place, tmp_path, monkeypatch):
    with Database.open(place):
        pass
    newer = copytree(database._MIGRATIONS, tmp_path / "migrations")
    (newer / "versions" / "r0006_more.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        "revision, down_revision = '0006', '0005'\n"
        "def upgrade():\n    op.add_column('runs', sa.Column('note', sa.Text()))\n"
        "    op.drop_table('nothing')\n"
    )
    with monkeypatch.context() as patch:
        patch.setattr(database, "_MIGRATIONS", newer)
        with pytest.raises((UserError, InfrastructureError), match="nothing"), Database.open(place):
            pass
    with Database.open(place) as opened:
        columns = {each["name"] for each in sa.inspect(opened.engine).get_columns("runs")}
        assert "note" not in columns


def test_several_may_open_and_write_at_once(place, tmp_path):
    folders = [write_run(tmp_path, number, {"hypercall": 1000}) for number in range(4)]

    def work(_):
        with Database.open(place) as opened:
            return [Archive(opened).take(folder) for folder in folders]

    with ThreadPoolExecutor(4) as pool:
        outcomes = [outcome for each in pool.map(work, range(4)) for outcome in each]
    assert outcomes.count(Outcome.NEW) == 4
    with Database.open(place) as opened:
        assert len(Archive(opened).load()) == 12


def test_rows_go_with_their_run(archive, tmp_path):
    archive.take(write_run(tmp_path, 1, {"hypercall": 1000}))
    with archive.database.writing() as connection:
        connection.execute(sa.delete(StoredRun))
    assert archive.load().empty


@pytest.mark.parametrize(
    ("place", "kind", "complaint"),
    [
        ("mysql://x/y", UserError, "no database of kind 'mysql'"),
        ("postgresql://u:secret@[::/x", UserError, "URL is damaged"),
        ("://", UserError, "URL is damaged"),
        ("postgresql://u:secret@127.0.0.1:1/x", InfrastructureError, r"u:\*\*\*@127.0.0.1:1/x: "),
        ("postgresql://u:secret@no-such-host.invalid/x", InfrastructureError, "no-such-host"),
        ("sqlite:////proc/none/h.sqlite", (UserError, OSError), "/proc/none"),
        ("/proc/h.sqlite", UserError, "unable to open database file"),
        ("/dev/null/h.sqlite", (UserError, OSError), "/dev/null"),
    ],
)
def test_a_wrong_place_is_one_line_without_its_password(place, kind, complaint):
    with pytest.raises(kind, match=complaint) as caught, Database.open(place):
        pass
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_server_that_refuses_is_the_users_matter(postgresql_server):
    with (
        pytest.raises(UserError, match='database "none" does not exist'),
        Database.open(f"postgresql://neve@/none?host={postgresql_server}"),
    ):
        pass


def test_no_history_is_not_made_by_reading(tmp_path):
    with (
        pytest.raises(UserError, match="neve history import RUNS makes one"),
        Database.open(str(tmp_path / "h.sqlite"), writable=False),
    ):
        pass
    assert not list(tmp_path.glob("h.sqlite*"))


def test_reading_changes_nothing(tmp_path):
    """A colleague's history, on a file system that is theirs alone."""
    folder = tmp_path / "theirs"
    with Database.open(str(folder / "h.sqlite")) as opened:
        Archive(opened).take(write_run(tmp_path, 1, {"hypercall": 1000}))
        assert len(Archive(opened).load()) == 3
    before = (folder / "h.sqlite").read_bytes()
    for path, mode in ((folder / "h.sqlite", 0o444), (folder, 0o555)):
        path.chmod(mode)
    reader = (
        "import os; from harness import results; assert not os.access('theirs', os.W_OK)\n"
        "print(len(results.load('theirs/h.sqlite')))"
    )
    # Root may write everywhere, but for one without capabilities.
    powerless = ["setpriv", "--bounding-set=-all"] if os.getuid() == 0 else []
    done = subprocess.run(
        [*powerless, sys.executable, "-c", reader],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    folder.chmod(0o755)
    assert [path.name for path in folder.iterdir()] == ["h.sqlite"]
    assert (folder / "h.sqlite").read_bytes() == before


def revision(place):
    engine = sa.create_engine(database.parse(place))
    with engine.connect() as connection:
        found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    engine.dispose()
    return found


@pytest.mark.parametrize("old", ["0001", "0002", "0003", "0004"])
def test_reading_does_not_migrate_and_writing_does(place, tmp_path, old):
    folder = write_run(tmp_path, 1, {"hypercall": 1000}, again={"hypercall": 1001})
    of_before(place, old, [folder, RECORDED / APPLICATIONS])
    with Database.open(place, writable=False) as opened:
        frame = Archive(opened).load()
        assert Archive(opened).acknowledged() == []
        busy = Archive(opened).load(metric="cpu", reasons=False)
        chosen = Archive(opened).load(level="L1", statistic="mean")
    assert revision(place) == old, "an older harness can still write"
    assert list(frame.columns)[: len(COLUMNS)] == COLUMNS
    assert frame.groupby("metric")["statistic"].unique().map(list).to_dict() == {
        "cost": ["median"],
        **{name: ["mean"] for name in ("cpu", "time", "traps")},
    }
    assert busy.groupby(["configuration", "repetition"])["level"].apply(list).to_dict() == {
        ("native", 1): ["L0"],
        ("native", 2): ["L0"],
        ("vm", 1): ["L0", "L1"],
        ("vm", 2): ["L0", "L1"],
    }
    assert set(busy["reason"]) == {""}
    assert len(chosen) == 2
    assert frame["share"].isna().all()
    assert "HVC64" in set(frame["reason"])
    with Database.open(place) as opened:
        archive = Archive(opened)
        assert archive.load().equals(frame)
        for path in (folder, RECORDED / APPLICATIONS):
            assert archive.take(path) is Outcome.UPDATED
            assert archive.take(path) is Outcome.UNCHANGED
        same = [*COLUMNS, "started", "state", "harness", "kernels", "repeated"]
        assert archive.load()[same].equals(frame[same]), "the folders say what the database said"
    assert revision(place) == "0005"


def test_what_is_acknowledged_is_kept(place):
    moment = datetime(2026, 1, 2, 3, tzinfo=UTC)
    series = {"host": HOSTILE, "level": "L1", "statistic": "mode"}
    with Database.open(place) as opened:
        for why in ("first", "again"):
            Archive(opened).acknowledge([series], moment, HOSTILE, why)
        (kept,) = Archive(opened).acknowledged()
    assert (kept.series, kept.until) == (series, pd.Timestamp(moment))
    assert (kept.by, kept.note) == (HOSTILE, "again")
    assert abs(pd.Timestamp.now("UTC") - kept.at) < pd.Timedelta("1min")


def test_settings_are_what_is_not_the_default(archive, tmp_path):
    playbook = Playbook.model_validate(
        {
            "configurations": ["vm"],
            "benchmarks": ["hypercall"],
            "iterations": 500,
            "kernel": "7.2",
            "check": True,
            "hosts": [
                {"kind": "tcg", "name": "small"},
                {"kind": "tcg", "name": "large", "memory": 8192, "cpu": "max"},
            ],
        }
    ).model_dump(mode="json")
    for host in ("small", "large"):
        archive.take(
            write_run(
                tmp_path,
                1,
                {"hypercall": 1000},
                host=host,
                name=host,
                playbook=playbook,
                microbench={"sha256": "abc"},
            )
        )
    frame = archive.load(metric="cost")
    assert frame.set_index("host")["settings"].to_dict() == {
        "small": "iterations=500 kernel=7.2",
        "large": "iterations=500 kernel=7.2 memory=8192",
    }
    assert set(frame["microbench"]) == {"abc"}


def damage_page(file):
    """The database is one no longer: its first page's tree points to nowhere."""
    data = bytearray(file.read_bytes())
    data[100:400] = b"\xff" * 300
    file.write_bytes(data)


@pytest.mark.parametrize("writable", [True, False])
def test_a_malformed_database_is_the_users_matter(tmp_path, writable):
    file = tmp_path / "h.sqlite"
    with Database.open(str(file)) as opened:
        Archive(opened).take(write_run(tmp_path, 1, {"hypercall": 1000}))
    damage_page(file)
    with (
        pytest.raises(UserError, match="malformed; move it away") as caught,
        Database.open(str(file), writable=writable) as opened,
    ):
        Archive(opened).load()
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "h.sqlite").write_text("not a database" * 100)
    with (
        pytest.raises(UserError, match="file is not a database"),
        Database.open(str(tmp_path / "h.sqlite")),
    ):
        pass


def test_sqlite_is_set_up_to_survive(tmp_path):
    with Database.open(str(tmp_path / "h.sqlite")) as opened, opened.reading() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30000,
    }


PART = 20  # kills in one test: tests run side by side
PARTS = [
    pytest.param(0),
    *(pytest.param(first, marks=pytest.mark.stress) for first in range(PART, 100, PART)),
]
RUNS = 5


def writes(seed):
    """The endless series of (run, version) that a writer writes."""
    chosen = random.Random(seed)
    while True:
        yield chosen.randrange(RUNS), chosen.randrange(2)


def write_for_ever(file, versions, acknowledge, seed):
    """Replace runs by their other version, and say so when each is committed."""
    with Database.open(file) as opened:
        archive = Archive(opened)
        for number, version in writes(seed):
            archive.take(versions[version][number])
            os.write(acknowledge, b".")


def killed_writer(file, versions, seed):
    """How many writes were acknowledged before the writer was killed at a random moment."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write_for_ever(file, versions, write_end, seed)
        finally:
            os._exit(1)
    os.close(write_end)
    # A third of all dies while it opens the file, and makes its schema the first time.
    if seed % 3:
        select.select([read_end], [], [], 30)
    time.sleep(random.Random(seed).uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(read_end) as stream:
        return len(stream.read())


@pytest.mark.parametrize("first", PARTS)
def test_sqlite_survives_kill_9(tmp_path, first):
    """Nothing that was acknowledged is lost, no run is half there, the file stays sound."""
    versions = [
        [
            write_run(
                tmp_path / str(version),
                number,
                {f"benchmark-{each}": 1000 + version for each in range(40)},
            )
            for number in range(RUNS)
        ]
        for version in range(2)
    ]
    expected, fresh, acknowledged = {}, 0, 0
    for seed in range(first, first + PART):
        if seed % 10 == 0:
            expected, fresh = {}, fresh + 1
        file = tmp_path / f"{fresh}.sqlite"
        count = killed_writer(str(file), versions, seed)
        acknowledged += count
        *said, under_way = islice(writes(seed), count + 1)
        expected.update(said)
        if not file.exists():
            continue
        with sqlite3.connect(file) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with Database.open(str(file)) as opened:
            costs = Archive(opened).load(metric="cost")
        found = {
            int(run_id.removeprefix("night-")): int(rows["value"].iloc[0] - 1000)
            for run_id, rows in costs.groupby("run_id")
        }
        assert found in (expected, {**expected, under_way[0]: under_way[1]})
        assert (costs.groupby("run_id")["value"].nunique() == 1).all(), "no run mixes versions"
        assert (costs.groupby("run_id").size() == 40).all(), "no run is half there"
        expected = found
    assert acknowledged > PART // 2
