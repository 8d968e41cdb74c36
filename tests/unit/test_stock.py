# SPDX-License-Identifier: MIT
"""What is in the cache, and what may go: real folders, and real processes that use them."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.build.kernel.source import find, import_source
from harness.build.stock import entries, prune
from harness.cache import size_of, write_atomically
from harness.holding import hold, one_use, remove
from harness.model.track import Track
from harness.paths import ROOT
from harness.results.experiment import Experiment
from harness.results.store import RunFolder

HOLDER = """
import sys
from pathlib import Path
from harness.cache import Cache
Cache(Path(sys.argv[1])).artifact(sys.argv[2], sys.argv[3], {make})
print("has it", flush=True)
sys.stdin.read()
"""
NEVER = "lambda folder: sys.exit('made again')"
SLOWLY = "lambda folder: (print('makes it', flush=True), sys.stdin.read())"


def put(cache, kind, key, *, days=0.0, record=None):
    """An artifact that was used last so many days ago."""

    def make(folder):
        (folder / "file").write_bytes(b"x" * 10_000)
        if record:
            write_atomically(folder / "kernel.json", json.dumps(record))

    with one_use():
        path = cache.artifact(kind, key, make)
    then = time.time() - days * 86400
    os.utime(path, (then, then))
    return path


@contextmanager
def another_process(cache, kind, key, make=NEVER):
    """That uses an artifact, or makes it, until the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(make=make), str(cache.root), kind, key],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_it_is_listed_with_size_and_last_use(cache, neve):
    put(cache, "kernel", "a", days=40, record={"version": "7.3.4", "track": "upstream"})
    put(cache, "rootfs", "b", days=2)
    source = cache.trees / "sources" / "v4.10" / "c"
    source.mkdir(parents=True)
    write_atomically(
        source / "source.json", json.dumps({"version": "4.10.0", "origin": "kernel.org"})
    )
    (cache.trees / "v4.10-c" / "src").mkdir(parents=True)
    (cache.root / "apt").mkdir()
    listed = json.loads(neve("cache", "--json").stdout)
    assert [(each["kind"], each["track"], each["name"]) for each in listed["entries"]] == [
        ("apt", "", "apt"),
        ("kernel", "upstream", "a"),
        ("rootfs", "", "b"),
        ("source", "v4.10", "c"),
        ("tree", "v4.10", "c"),
    ]
    kernel = listed["entries"][1]
    age = datetime.now(UTC) - datetime.fromisoformat(kernel["used"])
    assert timedelta(days=39.9) < age < timedelta(days=40.1)
    assert 10_000 <= kernel["size"] < 40_000
    said = neve("cache").stdout
    assert "Linux 7.3.4" in said and "Linux 4.10.0, kernel.org" in said
    assert said.splitlines()[-1].endswith(f"in {cache.root}")


def test_an_empty_cache_is_listed(neve):
    assert neve("cache").stdout.startswith("0 B in ")


def test_a_sparse_file_counts_what_it_takes_and_a_file_with_two_names_once(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with (folder / "sparse").open("wb") as stream:
        stream.truncate(10**9)
    (folder / "one").write_bytes(b"x" * 100_000)
    (folder / "two").hardlink_to(folder / "one")
    assert 100_000 <= size_of(folder) < 150_000


def test_a_use_is_the_last_use_and_one_command_uses_all_at_once(cache):
    paths = [put(cache, "rootfs", key, days=50) for key in "ab"]
    with one_use():
        for path in paths:
            cache.artifact("rootfs", path.name, pytest.fail)
            time.sleep(0.01)
    assert len({path.stat().st_mtime_ns for path in paths}) == 1
    assert time.time() - paths[0].stat().st_mtime < 10


def test_what_was_not_used_for_long_goes(cache, neve):
    old, new = put(cache, "rootfs", "old", days=31), put(cache, "rootfs", "new", days=29)
    said = json.loads(neve("cache", "prune", "--older", "30d", "--json").stdout)
    assert [each["name"] for each in said["removed"]] == ["old"]
    assert said["freed"] >= 10_000
    assert not old.exists() and new.is_dir()
    assert list(old.parent.iterdir()) == [new]


def test_what_the_last_command_used_of_each_kind_and_track_stays(cache):
    before = [put(cache, "l1-initramfs", key, days=3) for key in "ab"]
    tracks = {"upstream": 5, "v4.10": 2}
    for track, days in tracks.items():
        put(cache, "kernel", f"{track}-last", days=days, record={"version": "1", "track": track})
        put(cache, "kernel", f"{track}-old", days=9, record={"version": "1", "track": track})
    last = ["l0", "l1"]
    with one_use():
        for key in last:
            cache.artifact("l1-initramfs", key, lambda folder: None)
    gone, kept = prune(cache, older=None, keep_last=True)
    assert {entry.name for entry in gone} == {"a", "b", "upstream-old", "v4.10-old"}
    assert kept == []
    assert {path.name for path in before[0].parent.iterdir()} == set(last)


def test_both_conditions_must_hold(cache):
    for key, days in (("a", 40), ("b", 20), ("c", 60)):
        put(cache, "rootfs", key, days=days)
    put(cache, "tools", "alone", days=90)
    gone, _ = prune(cache, older=timedelta(days=30), keep_last=True)
    assert {entry.name for entry in gone} == {"a", "c"}


def test_what_another_process_uses_stays_until_it_ends_however_it_does(cache, neve):
    path = put(cache, "rootfs", "key", days=50)
    put(cache, "rootfs", "other", days=50)
    with another_process(cache, "rootfs", "key") as process:
        then = time.time() - 50 * 86400
        os.utime(path, (then, then))
        assert [entry.name for entry in entries(cache) if entry.held] == ["key"]
        said = json.loads(neve("cache", "prune", "--older", "1d", "--json").stdout)
        assert [each["name"] for each in said["in_use"]] == ["key"]
        assert [each["name"] for each in said["removed"]] == ["other"]
        assert (path / "file").is_file()
        process.send_signal(signal.SIGKILL)
        process.wait()
    said = neve("cache", "prune", "--older", "1d").stdout
    assert "removed rootfs" in said and not path.exists()
    assert "in use" not in said


def test_what_another_process_makes_stays_and_what_a_killed_one_left_goes(cache):
    with another_process(cache, "rootfs", "key", SLOWLY):
        prune(cache, older=timedelta(0), keep_last=False)
        assert len(list((cache.artifacts / "rootfs").glob(".key-*"))) == 1
    prune(cache, older=timedelta(days=1), keep_last=False)
    assert list((cache.artifacts / "rootfs").iterdir()) == []


def test_what_is_made_is_held_before_it_can_be_seen(cache, tmp_path, monkeypatch):
    """Somebody removes what is new at the first moment that it has its name."""
    seen, replace = [], Path.replace

    def watched(source, target):
        done = replace(source, target)
        if done.is_dir():
            seen.append((remove(done), done.is_dir()))
        return done

    tree = tmp_path / "linux"
    (tree / "arch" / "arm64").mkdir(parents=True)
    (tree / "Makefile").write_text("VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\n")
    monkeypatch.setattr(Path, "replace", watched)
    with one_use():
        cache.artifact("kind", "key", lambda folder: (folder / "file").touch())
        import_source(cache, Track.load("upstream"), tree)
    assert seen == [(False, True)] * 2


def test_what_was_removed_under_way_is_made_again(cache):
    """Users and removers by turns: whoever has an artifact has it whole."""
    program = """
import sys, time
from pathlib import Path
from harness.cache import Cache
from harness.holding import one_use
def make(folder):
    (folder / "file").write_text("whole")
end = time.monotonic() + 1
while time.monotonic() < end:
    with one_use():
        folder = Cache(Path(sys.argv[1])).artifact("kind", "key", make)
        for _ in range(5):
            assert (folder / "file").read_text() == "whole"
"""
    users = [
        subprocess.Popen([sys.executable, "-c", program, str(cache.root)], cwd=ROOT)
        for _ in range(2)
    ]
    removed = 0
    while any(user.poll() is None for user in users):
        removed += len(prune(cache, older=timedelta(0), keep_last=False)[0])
    assert [user.returncode for user in users] == [0, 0]
    assert removed


def test_a_source_that_was_found_is_held(cache):
    track = Track.load("upstream")
    folder = cache.trees / "sources" / "upstream" / "key"
    folder.mkdir(parents=True)
    record = {"track": "upstream", "version": "7.3.4", "sha256": "0", "origin": "", "archive": "a"}
    write_atomically(folder / "source.json", json.dumps(record))
    with one_use():
        find(cache, track)
        assert prune(cache, older=timedelta(0), keep_last=False)[0] == []
    assert len(prune(cache, older=timedelta(0), keep_last=False)[0]) == 1


def test_a_source_that_is_being_imported_is_none_yet(cache):
    staged = cache.trees / "sources" / "upstream" / ".import-abc" / "staged"
    staged.mkdir(parents=True)
    write_atomically(staged / "source.json", json.dumps({"version": "7.3.4", "origin": ""}))
    assert entries(cache) == []
    prune(cache, older=timedelta(0), keep_last=False)
    assert staged.is_dir()


def test_a_tree_in_which_somebody_builds_stays(cache):
    tree = cache.trees / "upstream-key"
    (tree / "src").mkdir(parents=True)
    with cache.lock("tree-upstream-key"):
        gone, kept = prune(cache, older=timedelta(0), keep_last=False)
    assert (gone, [entry.path for entry in kept]) == ([], [tree])
    assert [entry.path for entry in prune(cache, older=timedelta(0), keep_last=False)[0]] == [tree]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "say what to remove"),
        (["--older", "30"], "not a span of time: 12h, 30d or 2w"),
        (["--older", "-1d"], "not a span of time"),
        (["--older", "99999999999d"], "too long"),
    ],
)
def test_what_may_go_has_to_be_said(neve, words, complaint):
    done = neve("cache", "prune", *words)
    assert done.returncode == 2
    assert complaint in done.stderr


def run_folder(tmp_path, name):
    return RunFolder.create(tmp_path / "runs", name, {}).path


def test_runs_are_deleted_and_latest_is_one_that_is_left(tmp_path, neve):
    (tmp_path / "runs").mkdir()
    paths = [run_folder(tmp_path, name) for name in "abc"]
    paths[0].rename(paths[0].with_name("20990101-newest"))
    done = neve("runs", "--delete", "latest", "--delete", f"runs/{paths[1].name}")
    assert done.returncode == 0, done.stderr
    assert not paths[1].exists() and not paths[2].exists()
    assert str((tmp_path / "runs" / "latest").readlink()) == "20990101-newest"
    neve("runs", "--delete", "20990101-newest")
    assert list((tmp_path / "runs").iterdir()) == []


def test_no_run_is_deleted_if_one_is_none(tmp_path, neve):
    (tmp_path / "runs").mkdir()
    path = run_folder(tmp_path, "a")
    done = neve("runs", "--delete", path.name, "--delete", "nosuch")
    assert done.returncode == 2 and "no run 'nosuch'" in done.stderr
    assert path.is_dir()


def test_a_damaged_run_is_deleted(tmp_path, neve):
    (tmp_path / "runs").mkdir()
    path = run_folder(tmp_path, "a")
    (path / "metadata.json").write_text("{", encoding="utf-8")
    assert neve("runs", "--delete", path.name).returncode == 0
    assert not path.exists()


def test_a_run_under_way_is_not_deleted(tmp_path, neve):
    (tmp_path / "runs").mkdir()
    path = run_folder(tmp_path, "a")
    with one_use():
        hold(path)
        done = neve("runs", "--delete", path.name)
    assert done.returncode == 75
    assert "is under way" in done.stderr and path.is_dir()


def test_what_ab_bisect_and_matrix_left_is_deleted_but_not_under_way(tmp_path, neve):
    (tmp_path / "runs").mkdir()
    left = Experiment.create(tmp_path / "runs", "ab", "fallback", {})
    with one_use(), left.kept():
        assert neve("runs", "--delete", left.name).returncode == 75
    assert neve("runs", "--delete", f"runs/{left.name}").returncode == 0
    assert not left.path.exists()
