# SPDX-License-Identifier: MIT
"""Kernels of revisions of git repositories, with real git and a small kernel that make builds."""

import os
import shutil
import subprocess
import tarfile
from dataclasses import replace

import pytest

from harness.build.kernel import build as builds
from harness.build.kernel.applying import DoesNotApplyError
from harness.build.kernel.build import DoesNotBuildError, build, build_what_applies
from harness.build.kernel.choice import chosen
from harness.build.kernel.revision import Revision
from harness.build.kernel.source import sources
from harness.cache import Cache
from harness.errors import UserError
from harness.model.kernel_choice import Level, choices_of, repository_and_revision
from harness.model.origin import DebianOrigin
from harness.model.playbook import with_kernels
from harness.model.series import Parameter, PatchEntry, PatchSeries
from harness.model.setup import Setup
from harness.model.track import Fragment, Track
from harness.process import explain
from tests.repositories import FILES, SmallKernel, fake_compiler

SWITCH = "arch/arm64/kvm/switch.c"
PATCH = f"""\
Subject: Trace

Because.
---
diff --git a/{SWITCH} b/{SWITCH}
--- a/{SWITCH}
+++ b/{SWITCH}
@@ -1,5 +1,6 @@
 int a;
 int b;
+int trace;
 int c;
 int d;
 int e;
"""


@pytest.fixture
def track(tmp_path):
    fragment = tmp_path / "kernel.config"
    fragment.write_text("CONFIG_KVM=y\n")
    series = tmp_path / "series"
    series.mkdir()
    (series / "0001-trace.patch").write_text(PATCH)
    return Track(
        "upstream",
        DebianOrigin("linux-source-.*", (7, 2)),
        (Fragment(fragment),),
        PatchSeries(
            series,
            (PatchEntry("0001-trace", when={"accounting": True}),),
            (Parameter("accounting", (False, True), True, spare="no traps"),),
        ),
    )


@pytest.fixture
def linux(tmp_path, monkeypatch):
    fake_compiler(monkeypatch)
    return SmallKernel(tmp_path / "linux")


def compiled(cache, source):
    """What was compiled since the last time it was asked."""
    file = cache.trees / source.tree_name / "obj" / "compiled"
    lines = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return sorted(line.rpartition("/")[2] for line in lines)


def test_next_revision_builds_what_changed(cache, track, linux):
    first = chosen(cache, track, f"{linux.path}@main")
    kernel = build(cache, first, track)
    assert "int trace;" in kernel.image.read_text()
    assert (kernel.version, kernel.commit) == ("7.3.4", linux.git("rev-parse", "main"))
    assert compiled(cache, first) == ["mmu.c", "switch.c"]
    linux.commit("mmu", {"arch/arm64/kvm/mmu.c": "int other;\n"})
    second = chosen(cache, track, f"{linux.path}@main")
    assert "int other;" in build(cache, second, track).image.read_text()
    assert compiled(cache, second) == ["mmu.c"]
    assert build(cache, chosen(cache, track, f"{linux.path}@main~1"), track) == kernel
    assert compiled(cache, second) == [], "it is in the cache"


def test_file_that_a_later_revision_adds_is_not_left(cache, track, linux):
    linux.commit("new", {"arch/arm64/kvm/new.c": "int new;\n"})
    for revision, there in (("main", True), ("main~1", False)):
        source = chosen(cache, track, f"{linux.path}@{revision}")
        assert ("int new;" in build(cache, source, track).image.read_text()) is there


def test_what_a_killed_build_left_in_the_tree_is_not_built(cache, track, linux):
    source = chosen(cache, track, f"{linux.path}@main")
    folder = cache.trees / source.tree_name
    kernel = build(cache, source, track)
    shutil.rmtree(kernel.folder)
    (folder / "src" / SWITCH).write_text("half wr")
    (folder / "src" / "arch/arm64/kvm/stray.c").write_text("int stray;\n")
    (folder / "repository.git" / "index.lock").touch()
    again = build(cache, source, track).image.read_text()
    assert "int e;" in again and "stray" not in again


def test_same_files_are_the_same_kernel_wherever_they_are(cache, track, linux, tmp_path):
    other = SmallKernel(tmp_path / "elsewhere" / "linux", {"README": "other"})
    other.commit("all at once", FILES)
    other.git("rm", "-q", "README")
    other.commit("without", {})
    sources = [chosen(cache, track, f"{each.path}@main") for each in (linux, other)]
    assert sources[0].commit != sources[1].commit
    kernels = [build(cache, source, track) for source in sources]
    assert kernels[0].key == kernels[1].key
    assert compiled(cache, sources[1]) == []


def test_users_repository_stays_as_it_is(cache, track, linux):
    (linux.path / SWITCH).write_text("int being_edited;\n")
    before = linux.state()
    source = chosen(cache, track, f"{linux.path}@main")
    assert "being_edited" not in build(cache, source, track).image.read_text()
    assert linux.state() == before


@pytest.mark.parametrize("where", [".", ".git", "worktree", "bare"])
def test_repositories_of_all_sorts(cache, track, linux, tmp_path, where):
    if where == "worktree":
        linux.git("worktree", "add", "-q", "--detach", str(tmp_path / "worktree"))
        path = tmp_path / "worktree"
    elif where == "bare":
        linux.git("clone", "-q", "--bare", str(linux.path), str(tmp_path / "bare"))
        path = tmp_path / "bare"
    else:
        path = linux.path / where
    source = chosen(cache, track, f"{path}@HEAD")
    assert "int e;" in build(cache, source, track).image.read_text()


def test_tree_of_git_without_changes_is_its_head(cache, track, linux):
    assert isinstance(chosen(cache, track, str(linux.path)), Revision)
    (linux.path / SWITCH).write_text("int being_edited;\n")
    with pytest.raises(UserError, match=r"not committed \(arch/.*switch.c\): .*@HEAD$"):
        chosen(cache, track, str(linux.path))


def test_tarball_and_tree_are_kernels(cache, track, linux, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(linux.path, tree, ignore=shutil.ignore_patterns(".git"))
    with tarfile.open(tmp_path / "linux.tar", "w") as archive:
        archive.add(tree, "linux")
    shutil.copy(tmp_path / "linux.tar", tmp_path / "copy.tar")
    found = []
    for path in (tree, tmp_path / "linux.tar", tmp_path / "copy.tar"):
        source = chosen(cache, track, str(path))
        assert source.origin == f"imported from {path}"
        assert "int trace;" in build(cache, source, track).image.read_text()
        found.append(source)
    assert found[1].key == found[2].key, "by content, not by name"
    assert compiled(cache, found[1]) == ["mmu.c", "switch.c"], "once"
    assert sources(cache, track) == [], "what is named once is no later run's kernel"


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("{}@nope", "has no commit 'nope'"),
        ("{}@--help", "has no commit '--help'"),
        ("{}@main:Makefile", "has no commit"),
        ("{}/arch/none@main", "no such file or directory"),
        ("{}/../series@main", "is not a git repository"),
        ("{}/../none", "no such file or directory, and neither a version"),
        ("{}@old", "is Linux 6.1.0; track upstream needs 7.2 or newer"),
        ("{}@empty", "is no kernel source"),
    ],
)
def test_wrong_choices_are_one_line(cache, track, linux, choice, said):
    linux.git("checkout", "-q", "-b", "old")
    old = FILES["Makefile"].replace(
        "7\nPATCHLEVEL = 3\nSUBLEVEL = 4", "6\nPATCHLEVEL = 1\nSUBLEVEL = 0"
    )
    linux.commit("old", {"Makefile": old})
    linux.git("checkout", "-q", "--orphan", "empty")
    linux.git("rm", "-q", "-r", "-f", ".")
    linux.commit("empty", {})
    with pytest.raises(UserError) as caught:
        chosen(cache, track, choice.format(linux.path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_repository_without_the_object_is_refused(cache, track, linux):
    tree = linux.git("rev-parse", "main:arch")
    (linux.path / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(UserError, match="lacks its objects"):
        chosen(cache, track, f"{linux.path}@main")
    (linux.path / ".git" / "objects").rename(linux.path / "gone")
    with pytest.raises(UserError, match=r"is not a git repository"):
        chosen(cache, track, f"{linux.path}@main")


def test_partial_clone_is_told(cache, track, linux):
    source = chosen(cache, track, f"{linux.path}@main")
    blob = linux.git("rev-parse", "main:arch/arm64/kvm/mmu.c")
    (linux.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(
        UserError, match=r"lacks objects of .* a partial or a damaged clone"
    ) as error:
        build(cache, source, track)
    assert "\n" not in str(error.value)


def test_full_disk_is_told_as_such(track, linux, tmp_path):
    """git says that it is unable to write, but not why."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", small]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        noise = os.urandom(3 << 20).hex()
        linux.commit("big", {"Documentation/big": noise, "Documentation/next": noise})
        cache = Cache(small / "cache")
        with pytest.raises(OSError, match="No space left on device") as caught:
            build(cache, chosen(cache, track, f"{linux.path}@main"), track)
        assert explain(caught.value).exit_code == 2
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)


def test_bare_repository_is_its_head(cache, track, linux, tmp_path):
    linux.git("clone", "-q", "--bare", str(linux.path), str(tmp_path / "linux.git"))
    source = chosen(cache, track, str(tmp_path / "linux.git"))
    assert source.commit == linux.git("rev-parse", "HEAD")


def test_patch_that_does_not_apply_is_left_out_where_nobody_needs_it(cache, track, linux):
    linux.commit("other", {SWITCH: "int quite;\nint different;\n"})
    source = chosen(cache, track, f"{linux.path}@main")
    with pytest.raises(DoesNotApplyError, match=r"0001-trace\.patch does not apply"):
        build_what_applies(cache, source, track, {}, spare=())
    kernel = build_what_applies(cache, source, track, {}, spare={"accounting"})
    assert kernel.without == ("accounting",)
    assert "different" in kernel.image.read_text()
    applies = chosen(cache, track, f"{linux.path}@main~1")
    assert build_what_applies(cache, applies, track, {}, {"accounting"}).without == ()


def test_revision_that_does_not_build_says_so(cache, track, linux):
    linux.commit("bad", {"arch/arm64/kvm/mmu.c": "broken\n"})
    with pytest.raises(
        DoesNotBuildError, match=r"^Linux 7\.3\.4 did not build: \S+mmu.c:1: error:"
    ):
        build(cache, chosen(cache, track, f"{linux.path}@main"), track)
    build(cache, chosen(cache, track, f"{linux.path}@main~1"), track)


def test_ccache_is_used_if_it_is_there(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(builds, "run", lambda argv, **_: seen.extend(argv))
    monkeypatch.setattr(builds.shutil, "which", lambda name: f"/usr/bin/{name}")
    builds.kbuild(tmp_path, tmp_path, builds.Toolchain("arm-", "1"), tmp_path / "log", ["Image"])
    assert "CC=ccache arm-gcc" in seen


def test_choices_of_levels():
    assert choices_of(["l1=a@b", "l0=7.3"]) == {Level.L1: "a@b", Level.L0: "7.3"}
    assert set(choices_of(["7.3"]).values()) == {"7.3"}
    assert choices_of(["x=y@z"])[Level.L2] == "x=y@z"
    with pytest.raises(UserError, match=r"l1 has a kernel already, 7\.2"):
        choices_of(["7.2", "l1=7.3"])
    assert repository_and_revision("/src/linux@main@{yesterday}") == (
        "/src/linux",
        "main@{yesterday}",
    )


def test_setup_says_what_each_kernel_is_made_of():
    from harness.model.playbook import load
    from harness.paths import PLAYBOOKS

    playbook = load(PLAYBOOKS / "fallback.yaml")
    setup = Setup.of(with_kernels(playbook, {Level.L1: "~/linux@main"}))
    assert {name: setup.choice(name) for name in setup.kernels} == {
        "l0": None,
        "l1": "~/linux@main",
        "l2": None,
    }
    assert setup.spare("l1") == {"accounting", "nv_without_nv2", "skip_holes"}
    assert setup.spare("l0") == {"accounting", "skip_holes"}
    few = playbook.model_copy(update={"configurations": ("vm", "nested-neve-vhe")})
    assert Setup.of(few).spare("l0") == {"accounting", "nv_without_nv2", "skip_holes"}
    assert Setup.of(load(PLAYBOOKS / "paper.yaml")).spare("l1-neve") == {"accounting"}
    with pytest.raises(UserError, match=r"kernels.*6\.1.*upstream needs"):
        with_kernels(playbook, {Level.L0: "6.1"})
    assert replace(setup, playbook=playbook).choice("l1") is None


def test_a_run_may_be_resumed_by_what_its_metadata_say(cache, track, linux, tmp_path):
    """What is written is what is compared, as JSON has it."""
    from harness.build.artifacts import Artifacts
    from harness.commands.session import facts_in_common
    from harness.model.guest import File
    from harness.model.playbook import validate
    from harness.results.store import RunFolder

    source = chosen(cache, track, f"{linux.path}@main")
    kernel = build_what_applies(cache, source, track, {}, {"accounting"})
    setup = Setup.of(validate({"configurations": ["vm"], "benchmarks": ["hypercall"]}, "p"))
    files = {File.INITRAMFS: linux.path / "Makefile", File.MICROBENCH: linux.path / "Makefile"}
    facts = Artifacts(setup, {"l0": kernel}, files, {}, []).describe()
    folder = RunFolder.create(tmp_path / "runs", "p", facts)
    known = RunFolder.open(tmp_path / "runs", folder.id).metadata.written()
    assert facts_in_common(known, facts) is None
    assert known["kernels"]["l0"]["commit"] == linux.git("rev-parse", "main")
