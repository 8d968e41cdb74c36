# SPDX-License-Identifier: MIT
"""Sources from kernel.org: a real HTTP server, a real curl, git and gpg, a small kernel tree."""

import hashlib
import http.server
import re
import shutil
import subprocess
import tarfile
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest

from harness.build.kernel import source
from harness.build.kernel.manifest import Manifest
from harness.build.kernel.patches import changed_files
from harness.cache import file_sha256
from harness.errors import InfrastructureError, UserError
from harness.model.origin import ReleaseOrigin
from harness.model.series import PatchSeries
from harness.model.track import Track
from harness.paths import KERNEL_PATCHES

KVM_C = "int kvm;\n"


class _Server(http.server.ThreadingHTTPServer):
    """Serves `files`; of a name in `cut`, the first answer ends after so many bytes."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.cut, self.ranges, self.asked = {}, {}, True, []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.lstrip("/")
        wanted = self.headers.get("Range")
        self.server.asked.append((name, wanted))
        data = self.server.files.get(name)
        if data is None:
            self.send_error(404)
            return
        start = 0
        if wanted and self.server.ranges:
            start = int(re.match(r"bytes=(\d+)-", wanted)[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : self.server.cut.pop(name, len(data))])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with _Server() as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield serving
        serving.shutdown()


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "linux-4.10"
    (folder / "arch" / "arm64").mkdir(parents=True)
    (folder / "scripts").mkdir()
    (folder / "Makefile").write_text("VERSION = 4\nPATCHLEVEL = 10\nSUBLEVEL = 0\nEXTRAVERSION =\n")
    (folder / "arch" / "arm64" / "kvm.c").write_text(KVM_C)
    (folder / "scripts" / "run.sh").write_text("#!/bin/sh\n")
    return folder


@pytest.fixture
def tarball(tree, tmp_path):
    path = tmp_path / "linux-4.10.tar.xz"
    with tarfile.open(path, "w:xz") as stream:
        stream.add(tree, "linux-4.10")
    return path


@pytest.fixture
def track(server, tarball, tmp_path):
    server.files["linux-4.10.tar.xz"] = tarball.read_bytes()
    origin = ReleaseOrigin(
        "4.10.0",
        file_sha256(tarball),
        (f"{server.url}/linux-4.10.tar.xz",),
        f"{server.url}/linux-4.10.tar.sign",
        "nobody@example.org",
    )
    manifest = tmp_path / "manifest.sha256"
    manifest.write_text(f"{hashlib.sha256(KVM_C.encode()).hexdigest()}  arch/arm64/kvm.c\n")
    return Track("v4.10", origin, (), PatchSeries(tmp_path / "series", (), ()), manifest=manifest)


@contextmanager
def refused(kind, complaint):
    with pytest.raises(kind, match=complaint) as caught:
        yield
    assert len(str(caught.value).splitlines()) == 1


def test_release_is_downloaded_once(cache, track, server):
    found = source.find(cache, track)
    assert found.version == "4.10.0"
    assert found.origin == f"{server.url}/linux-4.10.tar.xz"
    assert source.find(cache, track) == found
    assert server.asked == [("linux-4.10.tar.xz", None)]


@pytest.mark.parametrize("ranges", [True, False])
def test_download_goes_on_where_it_was_cut_off(cache, track, server, ranges):
    server.cut["linux-4.10.tar.xz"] = 100
    with refused(InfrastructureError, "neve kernel import --track v4.10 linux-4.10.tar.xz"):
        source.find(cache, track)
    server.ranges = ranges
    assert source.find(cache, track).version == "4.10.0"
    assert server.asked[1] == ("linux-4.10.tar.xz", "bytes=100-")


def test_mirrors_are_asked_in_turn(cache, track, server, monkeypatch):
    monkeypatch.setenv("NEVE_KERNEL_MIRROR", f"{server.url}/mirror/")
    gone = replace(
        track,
        origin=replace(
            track.origin, urls=(f"{server.url}/gone/linux-4.10.tar.xz", *track.origin.urls)
        ),
    )
    source.find(cache, gone)
    assert [name for name, _ in server.asked] == [
        "mirror/linux-4.10.tar.xz",
        "gone/linux-4.10.tar.xz",
        "linux-4.10.tar.xz",
    ]


def test_another_file_is_refused_and_not_kept(cache, track, server):
    good = server.files["linux-4.10.tar.xz"]
    server.files["linux-4.10.tar.xz"] = b"hello"
    with refused(UserError, "another SHA-256"):
        source.find(cache, track)
    server.files["linux-4.10.tar.xz"] = good
    assert source.find(cache, track).version == "4.10.0"


def test_signature_is_looked_at_where_gpg_has_the_key(cache, track, server, tmp_path, monkeypatch):
    if not all(map(shutil.which, ("gpg", "gpg-agent", "gpgconf"))):
        pytest.skip("no gpg that can sign")
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gnupg").symlink_to(home)
    signer = track.origin.signer
    subprocess.run(
        ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", signer],
        check=True,
        capture_output=True,
    )
    plain = tmp_path / "linux.tar"
    plain.write_bytes(
        subprocess.run(
            ["xz", "-dc"], input=server.files["linux-4.10.tar.xz"], check=True, capture_output=True
        ).stdout
    )
    signature = subprocess.run(
        ["gpg", "--batch", "--detach-sign", "--output", "-", plain], check=True, capture_output=True
    ).stdout
    server.files["linux-4.10.tar.sign"] = signature
    assert source.find(cache, track).origin.endswith(f"signed by {signer}")
    server.files["linux-4.10.tar.sign"] = signature[:-4] + b"\0\0\0\0"
    with refused(UserError, "signature does not hold"):
        source.find(cache, track, update=True)
    del server.files["linux-4.10.tar.sign"]
    assert source.find(cache, track, update=True).origin.endswith(
        "its signature could not be downloaded (curl: (22) The requested URL returned error: 404)"
    )
    subprocess.run(["gpgconf", "--kill", "all"], check=True)


def test_tree_is_imported_with_its_execute_bits_mended(cache, track, tree):
    taken = source.import_source(cache, track, tree)
    assert taken.origin == f"imported from {tree}"
    script = source.unpack(cache, taken) / "scripts" / "run.sh"
    assert script.stat().st_mode & 0o111 == 0o111
    assert not (source.unpack(cache, taken) / "Makefile").stat().st_mode & 0o111


@pytest.mark.parametrize("bare", [True, False])
def test_git_repository_is_imported_at_a_revision(cache, track, tree, tmp_path, bare):
    def git(*arguments):
        subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=e", "-C", tree, *arguments],
            check=True,
            capture_output=True,
        )

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "v4.10")
    git("tag", "v4.10")
    repository = tree
    if bare:
        repository = tmp_path / "linux.git"
        git("clone", "-q", "--bare", ".", repository)
    else:
        (tree / "arch" / "arm64" / "kvm.c").write_text("int mine;\n")
    taken = source.import_source(cache, track, repository, revision=None if bare else "v4.10")
    assert (source.unpack(cache, taken) / "arch" / "arm64" / "kvm.c").read_text() == KVM_C
    with refused(UserError, "git has no archive of v9"):
        source.import_source(cache, track, repository, revision="v9")


def test_what_is_not_the_release_is_refused(cache, track, tree, tarball, tmp_path):
    torn = tmp_path / "torn.tar.xz"
    torn.write_bytes(tarball.read_bytes()[:-40])
    with refused(UserError, "not a whole kernel source archive"):
        source.import_source(cache, track, torn)
    (tree / "arch" / "arm64" / "kvm.c").write_text("int mine;\n")
    with refused(UserError, r"not the untouched release.*missing: arch/arm64/kvm\.c$"):
        source.import_source(cache, track, tree)
    (tree / ".config").touch()
    with refused(UserError, "was built in: `make mrproper`"):
        source.import_source(cache, track, tree)
    (tree / ".config").unlink()
    for text, version in (("PATCHLEVEL = 9", r"4\.9\.0"), ("EXTRAVERSION = -rc8", r"4\.10\.0-rc8")):
        key = text.split(" =")[0]
        changed = tmp_path / key
        shutil.copytree(tree, changed)
        makefile = (changed / "Makefile").read_text()
        (changed / "Makefile").write_text(re.sub(rf"{key} =.*", text, makefile))
        with refused(UserError, rf"is Linux {version}; track v4\.10 needs the release 4\.10\.0"):
            source.import_source(cache, track, changed)
    assert source.sources(cache, track) == []


@pytest.mark.parametrize(
    "name", [path.parent.name for path in sorted(KERNEL_PATCHES.glob("*/manifest.sha256"))]
)
def test_manifest_names_what_the_series_changes(name):
    track = Track.load(name)
    assert sorted(Manifest.load(track.manifest).hashes) == changed_files(
        track.series, track.origin.example
    )
