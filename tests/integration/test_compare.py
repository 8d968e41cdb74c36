# SPDX-License-Identifier: MIT
"""Two sides of an experiment on one machine; and a repository of Debian's source with twelve
commits: one plants an access that traps, one does not build, one hangs L2. The first kernel of the
repository takes minutes, each further one seconds."""

import json
import os
import re
import shutil
import signal
import time

import pytest

from harness.build.kernel.revision import find_revision
from harness.build.kernel.source import extracted, find
from harness.cache import Cache
from harness.model.track import Track
from tests.integration.conftest import FALLBACK, finish, neve
from tests.repositories import git

KVM = "arch/arm64/kvm"
ONLY = ("--only", "configuration=nested-neve-vhe,benchmark=hypercall")
PLANTED = (
    f"{KVM}/hyp/vhe/switch.c",
    r"(static void __activate_traps\(struct kvm_vcpu \*vcpu\)\n\{\n\tu64 val;\n\n)",
    r"\1\tval = read_sysreg_s(SYS_ICH_MISR_EL2);\n\n",
)
BROKEN = (f"{KVM}/handle_exit.c", r"hvc_exit_stat\+\+", "no_such_counter++")
BUILDS = (f"{KVM}/handle_exit.c", r"no_such_counter\+\+", "hvc_exit_stat++")
AGAIN = "\t*vcpu_pc(vcpu) -= 4;\n"  # the same hypercall, for ever
HANGS = (
    f"{KVM}/handle_exit.c",
    r"(?<=\n\t}\n\n)(\treturn kvm_smccc_call_handler\(vcpu\);\n)",
    rf"{AGAIN}\1",
)
RETURNS = (f"{KVM}/handle_exit.c", re.escape(AGAIN), "")
# The one in the middle, where git looks first, does not build.
EDITS = {5: PLANTED, 6: BROKEN, 7: BUILDS, 9: HANGS, 10: RETURNS}


@pytest.fixture(scope="module")
def linux(tmp_path_factory):
    """Tags c0 to c12; what was built of them goes with the repository."""
    parent = tmp_path_factory.mktemp("repository")
    source = find(Cache.default(), Track.load("upstream"))
    with extracted(source, parent, ".linux-") as tree:
        folder = tree.rename(parent / "linux")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "gc.auto", "0")
    git(folder, "config", "core.compression", "1")
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-q", "-m", f"Linux {source.version}")
    git(folder, "tag", "c0")
    for number in range(1, 13):
        if edit := EDITS.get(number):
            name, pattern, new = edit
            text, count = re.subn(pattern, new, (folder / name).read_text(), count=1)
            assert count == 1, f"{name} has no {pattern}"
        else:
            name = f"{KVM}/mmu.c"
            text = (folder / name).read_text() + f"/* {number} */\n"
        (folder / name).write_text(text)
        git(folder, "commit", "-q", "-a", "-m", f"commit {number}")
        git(folder, "tag", f"c{number}")
    yield folder
    built = find_revision(Track.load("upstream"), folder, "c0").tree_name
    shutil.rmtree(Cache.default().trees / built, ignore_errors=True)


def bisected(linux, cwd, *words):
    done = finish(neve("bisect", *words, "--json", cwd=cwd), cwd)
    assert done.status == 0, done.output
    return json.loads(done.output[done.output.index("{\n") :])


def asked(linux, good, bad, expected):
    return (f"{linux}@{good}", bad, FALLBACK, "--level", "l1", "--expect", expected)


def state(linux):
    """What a user sees of the repository, and what git has noted in it."""
    files = [path for path in (linux / ".git").iterdir() if path.name != "objects"]
    return git(linux, "status", "--porcelain"), sorted(
        (str(path), path.read_bytes())
        for file in files
        for path in (file.rglob("*") if file.is_dir() else [file])
        if path.is_file()
    )


def compared(cwd, before, after, vary, only):
    done = finish(neve("ab", before, after, FALLBACK, "--vary", vary, *only, cwd=cwd), cwd)
    assert "Traceback" not in done.output
    return done


def test_one_kernel_is_the_same_as_itself(artifacts, tmp_path):
    """Every figure is equal, and `neve runs` says so."""
    version = artifacts.kernels["l1"].version
    done = compared(tmp_path, version, version, "l1", ONLY)
    assert done.status == 0, done.output
    assert "same: 1 same" in done.output and done.output.count("| equal ") == 2
    (listed,) = json.loads(finish(neve("runs", "--json", cwd=tmp_path), tmp_path).output)
    assert (listed["kind"], listed["standing"]) == ("ab", "finished: same: 1 same")


def test_another_interrupt_controller_is_told_by_register(artifacts, tmp_path):
    """An interrupt to another CPU is a write to memory for the one, to a register for the other."""
    only = ("--only", "configuration=vm,benchmark=virtual-ipi")
    done = compared(tmp_path, "2", "3", "gic", only)
    assert done.status in (0, 1), done.output
    assert "- DABT first" in done.output and "+ MSR ICC_SGI1R_EL1 first" in done.output


@pytest.mark.stress
def test_planted_access_is_found_and_compared(linux, tmp_path):
    """Cut off by Ctrl-C while a kernel is built, and resumed."""
    before = state(linux)
    words = asked(linux, "c0", "c12", "hypercall/nested-neve-vhe/traps <= 8")
    process = neve("bisect", *words, cwd=tmp_path, start_new_session=True)
    time.sleep(20)
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert state(linux) == before
    resume = re.findall(r"go on: neve bisect (--resume \S+)", output)[-1]
    found = bisected(linux, tmp_path, *resume.split())
    assert found["first_bad"] == git(linux, "rev-parse", "c5")
    by_commit = {step["commit"]: step for step in found["steps"]}
    assert len(by_commit) - 2 <= 6, "beside both ends"
    assert by_commit[git(linux, "rev-parse", "c6")]["mark"] == "skip"
    assert any("ICH_MISR_EL2" in line for line in found["difference"])
    assert state(linux) == before
    later = [step["seconds"] for step in found["steps"][1:]]
    assert max(later) < 90, "a change of KVM alone"
    for good, bad, status, answer in (("c4", "c5", 1, "slower"), ("c5", "c7", 0, "same")):
        sides = [f"{linux}@{good}", f"{linux}@{bad}"]
        done = finish(neve("ab", *sides, FALLBACK, "--vary", "l1", *ONLY, cwd=tmp_path), tmp_path)
        assert done.status == status, done.output
        assert f"{answer}: 1 {answer}" in done.output
        assert ("+ vEL2 MRS ICH_MISR_EL2 after" in done.output) is (answer == "slower")


@pytest.mark.stress
def test_hang_is_found(linux, tmp_path):
    words = asked(linux, "c0", "c9", "hypercall/nested-neve-vhe passes")
    assert bisected(linux, tmp_path, *words)["first_bad"] == git(linux, "rev-parse", "c9")


@pytest.mark.stress
def test_identical_kernels_of_different_places_are_the_same(linux, tmp_path):
    version = find(Cache.default(), Track.load("upstream")).version
    started = time.monotonic()
    words = (version, f"{linux}@c0", FALLBACK, "--vary", "l1", *ONLY)
    done = finish(neve("ab", *words, cwd=tmp_path), tmp_path)
    assert done.status == 0, done.output
    assert "one image" in done.output and done.output.count("equal") == 2
    assert time.monotonic() - started < 600
