# SPDX-License-Identifier: MIT
"""What is said of this machine, and of a server that is not ours from what its kernel says."""

import ast
import json
import os
import subprocess
import sys

import pytest

from harness.build.programs import (
    COMPILERS,
    CROSS_COMPILERS,
    CROSS_FILES,
    ESSENTIAL,
    FILES,
    PROGRAMS,
)
from harness.machine.host.examination import _nesting
from harness.paths import ROOT

NEVE = (sys.executable, "-m", "harness")
VHE = "VHE mode initialized successfully"
MIDR = "0x00000000410fd490"


@pytest.mark.parametrize(
    ("log", "good", "found"),
    [
        ("VHE+NV2 mode initialized successfully", True, "VHE+NV2 mode initialized successfully"),
        (VHE, False, f"{VHE}; processor {MIDR}: FEAT_NV2 is not told"),
        (
            f"{VHE}\nCPU features: unavailable: Nested Virtualization Support",
            False,
            f"{VHE}; processor {MIDR}: no FEAT_NV2, says the kernel",
        ),
        ("", False, f"the kernel's log does not say; processor {MIDR}: FEAT_NV2 is not told"),
    ],
)
def test_nesting_is_told_from_the_log_alone(log, good, found):
    def ask(command):
        if "midr_el1" in command:
            return MIDR
        if "mode initialized" in command:
            return log.partition("\n")[0]
        return log.partition("\n")[2]

    finding = _nesting(ask, True)
    assert (finding.good, finding.found) == (good, found)


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_make_installs_what_a_run_calls(tmp_path, architecture):
    (tmp_path / "dpkg").write_text(f"#!/bin/sh\necho {architecture}\n", encoding="utf-8")
    (tmp_path / "dpkg").chmod(0o755)
    installed = subprocess.run(
        ["make", "--silent", "--eval", "shown:; @echo $(PACKAGES)", "shown"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        encoding="utf-8",
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    ).stdout.split()
    wanted = {*PROGRAMS.values(), *COMPILERS.values(), *FILES} - set(ESSENTIAL)
    if architecture != "arm64":
        wanted |= {*CROSS_COMPILERS.values(), *CROSS_FILES}
    assert sorted(installed) == sorted(wanted)


def test_what_the_code_asks_for_is_looked_at():
    named = set()
    for file in (ROOT / "harness").rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "require":
                named |= {word.value for word in call.args[:1] if isinstance(word, ast.Constant)}
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "run":
                argv = call.args[0] if call.args else None
                first = argv.elts[0] if isinstance(argv, ast.List) and argv.elts else None
                named |= {first.value} if isinstance(first, ast.Constant) else set()
    # git and gpg are asked for only where the user names a repository or has the signer's key,
    # OpenSSH's client only where there is a server
    named -= {"git", "gpg", "ssh", "ssh-keygen"}
    assert named <= {*PROGRAMS, *COMPILERS, *CROSS_COMPILERS}


def read(done):
    """What `neve doctor --json` found, by what it looked at, and its status."""
    assert "Traceback" not in done.stderr, done.stderr
    return {finding["what"]: finding for finding in json.loads(done.stdout)}, done.returncode


def test_without_programs_each_is_named_once(neve, tmp_path):
    findings, status = read(neve("doctor", "--json", PATH=str(tmp_path)))
    assert status == 2
    missing = {name for name in PROGRAMS if name != "mke2fs"}  # found in /usr/sbin, too
    assert {name for name in missing if findings[name]["good"]} == set()
    assert not findings["C compiler for arm64"]["good"]
    assert "apt-get install mmdebstrap" in findings["mmdebstrap"]["found"]
    assert all(finding["found"] != finding["fix"] for finding in findings.values())


def test_nothing_is_downloaded(neve, tmp_path):
    nowhere = {"NEVE_CACHE": str(tmp_path / "cache"), "http_proxy": "http://127.0.0.1:9"}
    findings, _ = read(neve("doctor", "--json", **nowhere))
    assert findings["emulator"]["found"] == "not in the cache: it is downloaded when needed"
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*")) == []


@pytest.mark.parametrize(
    ("cache", "said"),
    [
        ("~nosuchuser/x", "no such user, or HOME is not set"),
        ("/proc/nothing", "/proc/nothing: "),
        ("/dev/null", "a file is where a folder is needed"),
        ("/tmp/a b", "no kernel can be built below a path with ' '"),
    ],
)
def test_a_cache_that_can_not_be_is_one_finding(neve, cache, said):
    findings, status = read(neve("doctor", "--json", NEVE_CACHE=cache))
    assert status == 2
    assert said in findings["cache"]["found"]
    assert "memory" in findings


def test_a_cache_whose_programs_can_not_run_is_found(tmp_path):
    program = f'mount -t tmpfs -o noexec tmpfs {tmp_path} && exec "$@"'
    try:
        subprocess.run(["unshare", "-rm", "sh", "-c", program, "sh", "true"], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounts in a name space of our own are not allowed here")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", program, "sh", *NEVE, "doctor", "--json"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "NEVE_CACHE": str(tmp_path / "cache")},
    )
    findings, status = read(done)
    assert status == 2
    assert "mounted with noexec" in findings["cache"]["found"]
    assert findings["disk"]["found"]
