# SPDX-License-Identifier: MIT
import io
import os
import resource
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.build.image import cpio
from harness.build.image.emulator import Emulator
from harness.cache import Cache, content_key, write_atomically
from harness.errors import UserError
from harness.machine.guest.vmm import vmm_argv
from harness.machine.host.board import machine_argv
from harness.model.guest import Guest
from harness.model.machine import TcgMachine
from harness.paths import ROOT


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


@pytest.mark.parametrize("name", [".", "folder"])
def test_a_folder_is_no_place_to_write(tmp_path, monkeypatch, name):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is a folder"):
        write_atomically(Path(name), "new")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_link_still_leads_where_it_led(tmp_path):
    (tmp_path / "web").mkdir()
    target, link = tmp_path / "web" / "page", tmp_path / "page"
    target.write_text("old", encoding="utf-8")
    link.symlink_to("web/page")
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"
    dangling = tmp_path / "dangling"
    dangling.symlink_to("web/later")
    write_atomically(dangling, "new")
    assert (tmp_path / "web" / "later").read_text(encoding="utf-8") == "new"


def test_devices_and_pipes_are_written_to(tmp_path):
    own_null = tmp_path / "null"
    try:
        os.mknod(own_null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")
    write_atomically(own_null, "new")
    assert stat.S_ISCHR(own_null.stat().st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "new")
    assert os.read(reader, 100) == b"new"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("where", ["a pipe", "a file"])
def test_standard_output_is_written_to(tmp_path, where):
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")  # as /dev/stdout is
    program = (
        "from pathlib import Path; from harness.cache import write_atomically; "
        f"write_atomically(Path({str(tmp_path / 'stdout')!r}), 'new')"
    )
    target = tmp_path / "out"
    with target.open("wb") as stream:
        inode = target.stat().st_ino
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE if where == "a pipe" else stream,
        )
    assert (done.stdout or target.read_bytes()) == b"new"
    assert target.stat().st_ino == inode


def test_many_write_the_same_file_at_once(tmp_path):
    file, start = tmp_path / "f", threading.Barrier(6)

    def write(text):
        start.wait()
        for _ in range(20):
            write_atomically(file, text * 1000)

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(write, text) for text in "abcdef"]:
            done.result()
    assert len(set(file.read_text(encoding="utf-8"))) == 1
    assert not list(tmp_path.glob(".*"))


def test_what_fails_leaves_nothing(tmp_path):
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_atomically(tmp_path / "f", "x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_names_of_files_in_no_encoding_are_written(tmp_path):
    write_atomically(tmp_path / "f", f"repeat: {os.fsdecode(b'p' + bytes([255]))}")
    assert (tmp_path / "f").read_text(encoding="utf-8") == "repeat: p\\udcff"


@pytest.mark.parametrize(
    "name", ["a b", "a:b", "a'b", 'a"b', "a$b", "a#b", "a\nb", "a;b", "a\\b", "a%b"]
)
def test_a_cache_where_nothing_can_be_built_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv("NEVE_CACHE", str(tmp_path / name))
    with pytest.raises(UserError, match=r"no kernel can be built below a path with .*NEVE_CACHE"):
        Cache.default()


@pytest.mark.parametrize("name", ["a,b", "ä", "a+b@c=d~"])
def test_other_caches_are_taken(tmp_path, monkeypatch, name):
    monkeypatch.setenv("NEVE_CACHE", str(tmp_path / name))
    assert Cache.default().root == tmp_path / name


def test_a_home_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setenv("NEVE_CACHE", "~nosuchuser/x")
    with pytest.raises(UserError, match="no such user, or HOME is not set"):
        Cache.default()


def test_a_comma_in_a_path_reaches_qemu_as_one(tmp_path):
    machine = TcgMachine("max", 3, 4, 1024, (), "k", "i")
    argv = machine_argv(Emulator(("qemu",), ""), machine, share=Path("/a,b"), initrd="i", port=1)
    assert "local,id=images,path=/a,,b,security_model=none,readonly=on" in argv
    guest = Guest("k", 2, 512, 3, disk="/mnt/a,b/disk")
    assert any(word.endswith(",file=/mnt/a,,b/disk") for word in vmm_argv(guest))


def test_cpio_reads_our_archives(tmp_path):
    tree = tmp_path / "tree"
    (tree / "dir").mkdir(parents=True)
    (tree / "dir" / "file").write_text("hello")
    (tree / "dir" / "file").chmod(0o600)
    (tree / "link").symlink_to("dir/file")
    archive = tmp_path / "a.cpio"
    with archive.open("wb") as stream:
        cpio.write(stream, cpio.tree_entries(tree))
        cpio.write(stream, iter([cpio.ArchiveMember("late", stat.S_IFREG | 0o644, b"appended")]))
    assert archive.stat().st_size % 512 == 0
    out = tmp_path / "out"
    out.mkdir()
    first = subprocess.run(
        ["cpio", "-idm", "--quiet"],
        cwd=out,
        stdin=archive.open("rb"),
        capture_output=True,
        check=True,
    )
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
