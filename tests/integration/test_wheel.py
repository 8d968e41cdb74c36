# SPDX-License-Identifier: MIT
"""What `pipx install` gives: the wheel that is made out of the source package, in an environment of
its own, outside of any checkout. `make dist` has both made before, and everything that the wheel
needs installed, too."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.build.artifacts import build_all
from harness.cache import Cache
from harness.model.playbook import load
from harness.model.setup import Setup
from harness.paths import ROOT
from harness.progress import Progress
from tests.integration.conftest import FALLBACK, finish
from tests.integration.conftest import neve as of_the_checkout
from tests.repositories import git

SOURCES = ("harness", "images", "kernel-patches", "playbooks", "LICENSES")
MADE = os.environ.get("NEVE_DIST")


@dataclass
class Installed:
    """A user's home, with the program in it; kernels and images are the cache's."""

    home: Path

    @property
    def package(self):
        return next(self.home.glob("venv/lib/python*/site-packages"))

    @property
    def version(self):
        (about,) = self.package.glob("neve_harness-*.dist-info")
        return about.name.removeprefix("neve_harness-").removesuffix(".dist-info")

    @property
    def environment(self):
        names = ("PATH", "NEVE_DEBIAN_MIRROR", "NEVE_QEMU")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        return {**kept, "HOME": str(self.home), "NEVE_CACHE": str(Cache.default().root)}

    def start(self, *words):
        return subprocess.Popen(
            [self.home / "venv/bin/neve", *words],
            cwd=self.home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
        )

    def neve(self, *words):
        """Status and output."""
        with self.start(*words) as process:
            said, _ = process.communicate(timeout=300)
        return process.returncode, said

    def same_as_the_checkout(self, *words):
        """What both print, but for the hour."""
        with of_the_checkout(*words, cwd=self.home, **self.environment) as process:
            wanted, _ = process.communicate(timeout=300)
        assert process.returncode == 0, wanted
        status, said = self.neve(*words)
        assert status == 0, said
        assert timeless(said) == timeless(wanted)
        return said


def timeless(mails):
    return re.sub("^Date: .*$", "", mails, flags=re.M)


def tracked(*folders):
    """The files of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with the source package and the wheel: those of `make dist`, or else made of a
    clone that has the files as they are here, also those that nobody has committed."""
    if MADE:
        return Path(MADE)
    source, packages = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("packages")
    subprocess.run(["git", "clone", "--quiet", ROOT, source], check=True)
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    subprocess.run(["git", "add", "--all"], cwd=source, check=True)
    build = ("build", "--no-isolation", "--outdir", packages, source)
    subprocess.run([sys.executable, "-m", *build], check=True, stdout=subprocess.DEVNULL)
    return packages


@pytest.fixture(scope="module")
def installed(packages, tmp_path_factory):
    found = Installed(tmp_path_factory.mktemp("home"))
    subprocess.run([sys.executable, "-m", "venv", found.home / "venv"], check=True)
    (wheel,) = packages.glob("*.whl")
    needed = () if MADE else ("--no-deps", "--no-index")
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install", *needed, wheel)
    subprocess.run([found.home / "venv/bin/python", *pip], check=True)
    (found.home / ".gitconfig").write_text("[user]\nname = Me\nemail = me@example\n")
    if not MADE:
        # All that it needs is here already; a path alone, so that our own installation is not seen.
        (found.package / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return found


def test_versions_come_from_git(packages, installed):
    """From a tag, v0.1.0, or what comes after it; a source package knows its own."""
    (source,) = packages.glob("neve_harness-*.tar.gz")
    assert source.name == f"neve_harness-{installed.version}.tar.gz"
    commit = git(ROOT, "rev-parse", "--short=7", "HEAD")
    assert re.fullmatch(rf"\d+\.\d+(\.\d+)?(\.dev\d+\+g{commit}\w*(\.d\d+)?)?", installed.version)


def test_the_source_package_is_the_repository(packages):
    (source,) = packages.glob("neve_harness-*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    links = ("harness/data/images", "harness/data/kernel-patches", "harness/data/playbooks")
    assert set(tracked()) - names <= set(links)


def test_everything_is_in_it(installed):
    data, package = Path("harness/data"), installed.package
    for name in tracked(*SOURCES):
        file = ROOT / name
        if file.is_symlink() or file.suffix == ".svg" or name.startswith("LICENSES"):
            continue
        there = package / (name if name.startswith("harness/") else data / name)
        assert there.read_bytes() == file.read_bytes()
    (about,) = package.glob("neve_harness-*.dist-info")
    kept = {path.name for path in (about / "licenses" / "LICENSES").iterdir()}
    assert kept == {path.name for path in (ROOT / "LICENSES").iterdir()}


def test_it_says_what_the_checkout_says(installed):
    assert installed.neve("--version") == (0, f"neve, version {installed.version}\n")
    assert "tcg/vm/1/hypercall" in installed.same_as_the_checkout("plan", "fallback")
    installed.same_as_the_checkout("plan", "paper.yaml", "--json")
    for track in ("upstream", "v4.10"):
        installed.same_as_the_checkout("kernel", "patches", track)
    installed.same_as_the_checkout("kernel", "list")


def test_doctor_finds_the_machine_in_order(installed):
    _, said = installed.neve("doctor", "--json")
    assert [each["what"] for each in json.loads(said) if each["needed"] and not each["good"]] == []


def test_patches_are_not_saved_into_the_package(installed):
    status, said = installed.neve("kernel", "save", "v4.10", ".")
    assert status == 2
    assert "site-packages/harness/data/kernel-patches is a part of the installed program" in said
    assert len(said.splitlines()) == 1


def test_it_runs_the_fallback(installed):
    only = "configuration=vm,benchmark=hypercall"
    done = finish(installed.start("run", "fallback", "--only", only), installed.home)
    assert done.status == 0, done.output
    metadata = json.loads((done.folder / "metadata.json").read_text())
    assert metadata["harness"] == installed.version
    ours = build_all(Cache.default(), Progress(), Setup.of(load(FALLBACK)))
    assert metadata["kernels"]["l0"]["key"] == ours.kernels["l0"].key
    assert "| hypercall" in (done.folder / "report.md").read_text()
