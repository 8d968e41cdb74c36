# SPDX-License-Identifier: MIT
"""What a level says that it has booted, and what is made of it."""

import base64
import hashlib
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from harness.bench import proof
from harness.bench.outcome import Outcome
from harness.bench.proof import Booted
from harness.build.kernel.build import Kernel
from harness.errors import GuestError

BANNER = "Linux version 7.3.4 (neve@neve) (gcc) #1 SMP 1970-01-01\n"


def note(digit):
    return struct.pack("<III4s", 4, 20, 3, b"GNU") + bytes.fromhex(digit * 40)


@pytest.fixture
def kernel(tmp_path):
    """One whose image has the note of its vDSO, too."""
    (tmp_path / "Image").write_bytes(b"MZ" + note("a") + b"code" + note("b") + b"end")
    (tmp_path / "config").write_text("CONFIG_KVM=y\n")
    return Kernel("7.3.4", "key", "here", tmp_path / "Image")


def line(level="l1", digit="b", arguments="neve.level=l1 quiet", config=proof._NOTHING):
    packed = (BANNER.encode(), arguments.encode(), note(digit) if digit else b"")
    words = [base64.b64encode(each).decode() for each in packed]
    return " ".join([f"{proof.LINE}{level}", *words, config])


def test_the_kernel_that_was_built_is_the_one_that_booted(kernel):
    booted = Booted.of(line())
    booted.verify(kernel)
    assert booted.record(kernel) == {
        "version": BANNER.strip(),
        "arguments": "neve.level=l1 quiet",
        "build_id": "b" * 40,
        "config": hashlib.sha256(b"CONFIG_KVM=y\n").hexdigest(),
    }


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (line(digit="c"), r"l1 booted another kernel than here \(key\): build ID cccc"),
        (line(digit=""), "build ID unknown"),
        (line(arguments="neve.level=l0"), "l1 did not boot as l1"),
        (line(arguments="quiet"), "l1 did not boot as l1"),
    ],
)
def test_another_kernel_fails_the_cell(kernel, said, complaint):
    with pytest.raises(GuestError, match=complaint):
        Booted.of(said).verify(kernel)


@pytest.mark.parametrize(
    "text", ["", "@NEVE kernel l0", line() + " more", line().replace("=", "!")]
)
def test_damaged_line_is_a_guests_error(text):
    with pytest.raises(GuestError, match="damaged"):
        Booted.of(text)


def test_each_level_must_tell(kernel):
    l0 = Booted.of(line("l0", arguments="root=/dev/sda", config="f" * 64))
    l1 = Booted.of(line())
    found = proof.verify([l0, l1], {"l0": None, "l1": kernel})
    assert found["l0"]["config"] == "f" * 64, "a server's own kernel is what it says"
    for said in ([l0], [l1, l0], []):
        with pytest.raises(GuestError, match="said which kernel it booted; expected: "):
            proof.verify(said, {"l0": None, "l1": kernel})
    stamped = proof.stamped(Outcome([], [{"benchmark": "x"}]), found)
    assert stamped.samples == [{"benchmark": "x", "booted": found}]


@pytest.mark.parametrize("shell", ["sh", "busybox sh"])
def test_script_tells_of_this_machine(shell):
    argv = shell.split()
    if shutil.which(argv[0]) is None:
        pytest.skip(f"no {argv[0]}")

    def run(text):
        return subprocess.run(
            [*argv, "-c", text], capture_output=True, text=True, check=True
        ).stdout

    booted = proof.asked("l0", lambda text: f"noise\n{run(text)}")
    assert booted.version == Path("/proc/version").read_text().strip()
    assert booted.arguments == Path("/proc/cmdline").read_text().strip()
    with pytest.raises(GuestError, match="damaged"):
        proof.asked("l0", lambda _: "")
