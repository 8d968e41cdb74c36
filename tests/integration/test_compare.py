# SPDX-License-Identifier: MIT
"""A repository of Debian's source and twelve commits: one plants an access that traps, one does not
build, one hangs L2. The first kernel of the repository takes minutes, each further one seconds."""

import json
import re
import subprocess
import time

import pytest

from harness.build.kernel.source import extracted, find
from harness.cache import Cache
from harness.model.track import Track
from tests.integration.conftest import FALLBACK, finish, neve

KVM = "arch/arm64/kvm"
CELL = "configuration=nested-neve-vhe,benchmark=hypercall"
PLANTED = (
    f"{KVM}/hyp/vhe/switch.c",
    r"(static void __activate_traps\(struct kvm_vcpu \*vcpu\)\n\{\n\tu64 val;\n\n)",
    r"\1\tval = read_sysreg_s(SYS_ICH_MISR_EL2);\n\n",
)
BROKEN = (f"{KVM}/handle_exit.c", r"hvc_exit_stat\+\+", "no_such_counter++")
MENDED = (f"{KVM}/handle_exit.c", r"no_such_counter\+\+", "hvc_exit_stat++")
HANGS = (
    f"{KVM}/handle_exit.c",
    r"(\treturn kvm_smccc_call_handler\(vcpu\);\n\}\n\nstatic int handle_smc)",
    r"\t*vcpu_pc(vcpu) -= 4;\n\1",
)
EDITS = {5: PLANTED, 7: BROKEN, 8: MENDED, 11: HANGS}
_SETTINGS = ("user.name=A", "user.email=a@example.org", "gc.auto=0", "core.compression=1")


def git(folder, *words):
    options = [word for setting in _SETTINGS for word in ("-c", setting)]
    done = subprocess.run(
        ["git", *options, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def linux(tmp_path_factory):
    """Tags c0 to c12."""
    parent = tmp_path_factory.mktemp("repository")
    source = find(Cache.default(), Track.load("upstream"))
    with extracted(source, parent, ".linux-") as tree:
        folder = tree.rename(parent / "linux")
    git(folder, "init", "-q", "-b", "main")
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
    return folder


def bisected(linux, cwd, good, bad, expected):
    words = (f"{linux}@{good}", bad, FALLBACK, "--level", "l1", "--expect", expected, "--json")
    done = finish(neve("bisect", *words, cwd=cwd), cwd)
    assert done.status == 0, done.output
    return json.loads(done.output[done.output.index("{\n") :])


@pytest.mark.stress
def test_planted_access_is_found_and_compared(linux, tmp_path):
    before = git(linux, "status", "--porcelain"), git(linux, "rev-parse", "HEAD")
    found = bisected(linux, tmp_path, "c0", "c10", "hypercall/nested-neve-vhe/traps <= 8")
    assert found["first_bad"] == git(linux, "rev-parse", "c5")
    assert len(found["steps"]) <= 6
    assert any("ICH_MISR_EL2" in line for line in found["difference"])
    assert (git(linux, "status", "--porcelain"), git(linux, "rev-parse", "HEAD")) == before
    later = [step["seconds"] for step in found["steps"][1:]]
    assert max(later) < 90, "a change of KVM alone"
    for good, bad, status, answer in (("c4", "c5", 1, "slower"), ("c5", "c6", 0, "same")):
        sides = [f"{linux}@{good}", f"{linux}@{bad}"]
        words = (*sides, FALLBACK, "--vary", "l1", "--only", CELL)
        done = finish(neve("ab", *words, cwd=tmp_path), tmp_path)
        assert done.status == status, done.output
        assert f"{answer}: 1 {answer}" in done.output
        assert ("+ vEL2 MRS ICH_MISR_EL2 after" in done.output) is (answer == "slower")


@pytest.mark.stress
def test_hang_is_found(linux, tmp_path):
    found = bisected(linux, tmp_path, "c8", "c12", "hypercall/nested-neve-vhe passes")
    assert found["first_bad"] == git(linux, "rev-parse", "c11")


@pytest.mark.stress
def test_identical_kernels_of_different_places_are_the_same(linux, tmp_path):
    version = find(Cache.default(), Track.load("upstream")).version
    started = time.monotonic()
    words = (version, f"{linux}@c0", FALLBACK, "--vary", "l1", "--only", CELL)
    done = finish(neve("ab", *words, cwd=tmp_path), tmp_path)
    assert done.status == 0, done.output
    assert "one image" in done.output and done.output.count("equal") == 2
    assert time.monotonic() - started < 600
