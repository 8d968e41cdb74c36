# SPDX-License-Identifier: MIT
import io
import stat
import subprocess
import threading

import pytest

from harness.cache import Cache, content_key, write_atomically
from harness.image import cpio


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path)


def test_artifact_is_made_once(cache):
    made = []

    def make(folder):
        made.append(folder)
        (folder / "file").write_text("x")

    first = cache.artifact("kind", "key", make)
    assert cache.artifact("kind", "key", make) == first
    assert len(made) == 1
    assert (first / "file").read_text() == "x"


def test_failed_artifact_leaves_nothing(cache):
    def make(folder):
        (folder / "half").write_text("x")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cache.artifact("kind", "key", make)
    assert list((cache.artifacts / "kind").iterdir()) == []


def test_leftovers_of_a_killed_process_are_swept(cache):
    stale = cache.artifacts / "kind" / ".key-abc"
    stale.mkdir(parents=True)
    cache.artifact("kind", "key", lambda folder: None)
    assert not stale.exists()


def test_two_at_once_make_one(cache):
    made = []
    barrier = threading.Barrier(2)

    def work():
        barrier.wait()
        cache.artifact("kind", "key", made.append)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_key_does_not_depend_on_order():
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert content_key(["a"]) != content_key(["b"])


def test_write_atomically_replaces(tmp_path):
    file = tmp_path / "f"
    write_atomically(file, "old")
    write_atomically(file, "new")
    assert file.read_text() == "new"
    assert not list(tmp_path.glob(".*"))


def test_cpio_reads_our_archives(tmp_path):
    tree = tmp_path / "tree"
    (tree / "dir").mkdir(parents=True)
    (tree / "dir" / "file").write_text("hello")
    (tree / "dir" / "file").chmod(0o600)
    (tree / "link").symlink_to("dir/file")
    archive = tmp_path / "a.cpio"
    with archive.open("wb") as stream:
        cpio.write(stream, cpio.tree_entries(tree))
        cpio.write(stream, iter([cpio.Entry("late", stat.S_IFREG | 0o644, b"appended")]))
    assert archive.stat().st_size % 512 == 0
    out = tmp_path / "out"
    out.mkdir()
    first = subprocess.run(["cpio", "-idm", "--quiet"], cwd=out, stdin=archive.open("rb"),
                           capture_output=True, check=True)
    assert first.returncode == 0
    assert (out / "dir" / "file").read_text() == "hello"
    assert stat.S_IMODE((out / "dir" / "file").stat().st_mode) == 0o600
    assert (out / "link").readlink().name == "file"


def test_cpio_is_reproducible(tmp_path):
    (tmp_path / "a").write_text("1")
    archives = []
    for _ in range(2):
        stream = io.BytesIO()
        cpio.write(stream, cpio.tree_entries(tmp_path))
        archives.append(stream.getvalue())
        (tmp_path / "a").touch()
    assert archives[0] == archives[1]
