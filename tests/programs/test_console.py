# SPDX-License-Identifier: MIT
"""The console layer over a real pty, with a scripted program below it."""

import sys
import time

import pytest

from harness.deadline import Deadline
from harness.errors import GuestError
from harness.machine.console import Console, Program, Shell
from harness.machine.console import console as console_module


@pytest.fixture
def scripted(tmp_path):
    """Starts a Python script in a pty and gives its console."""
    opened = []

    def start(script: str) -> Console:
        file = tmp_path / f"script{len(opened)}.py"
        file.write_text("import sys, time\n" + script)
        console = Console.of_process(
            [sys.executable, "-u", str(file)], "guest", tmp_path / "consoles" / "guest.log"
        )
        opened.append(console)
        return console

    yield start
    for console in opened:
        console.close()


@pytest.fixture
def shell(tmp_path):
    console = Console.of_process(
        ["sh", "-c", "stty echo; PS1='l1# ' exec sh -i"], "l1", tmp_path / "l1.log"
    )
    shell = Shell(console, "l1# ")
    shell.ready(Deadline(10, "the shell"))
    yield shell
    console.close()


def test_command_has_output_and_status(shell):
    assert shell.run("echo hello; echo there").output == "hello\nthere\n"
    assert shell.run("exit_with() { return 3; }; exit_with", check=False).status == 3
    with pytest.raises(GuestError, match="status 1"):
        shell.run("false")


def test_echo_of_a_marker_is_not_the_marker(shell):
    # The pty echoes each command; were the marker in it, the sleep would be cut short.
    started = time.monotonic()
    shell.run("sleep 0.4")
    assert time.monotonic() - started >= 0.4


def test_output_that_looks_like_an_old_marker_changes_nothing(shell):
    result = shell.run("echo '@@e00000000:7'; echo done")
    assert (result.status, result.output.splitlines()[-1]) == (0, "done")


def test_program_in_the_foreground_and_its_end(shell):
    program = shell.start(["sh", "-c", "echo up; read line; echo got $line; exit 5"], "p")
    program.expect("up", Deadline(5, "up"))
    program.send("word\n")
    program.expect("got word", Deadline(5, "got"))
    assert program.wait(Deadline(5, "the end")) == 5
    assert shell.run("echo back").output == "back\n"


def test_program_that_ends_early_is_an_error_at_once(shell):
    program = shell.start(["sh", "-c", "exit 1"], "p")
    started = time.monotonic()
    with pytest.raises(GuestError, match="ended early"):
        program.expect("never", Deadline(30, "never"))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("[ 1.0] Kernel panic - not syncing: Attempted to kill init!", "kernel panic"),
        ("Internal error: Oops: 0000000096000004 [#1] SMP", "kernel oops"),
        ("Unable to handle kernel NULL pointer dereference at virtual address 0", "kernel oops"),
        ("VFS: Unable to mount root fs on unknown-block(0,0)", "no root file system"),
        ("(initramfs) ", "initramfs prompt"),
        ("qemu-system-aarch64: -machine foo: unsupported machine type", "VMM error"),
        ("@MB panic esr=0x96000010 elr=0x0 far=0x0 crc=00000000", "benchmark guest exception"),
        (
            "Booting Linux on physical CPU 0x0\\nlater\\nBooting Linux on physical CPU 0x0",
            "reboot loop",
        ),
    ],
)
def test_failures_end_a_wait_at_once(scripted, said, cause):
    console = scripted(f'print("{said}")\nprint("the last line")\ntime.sleep(60)')
    started = time.monotonic()
    with pytest.raises(GuestError) as caught:
        console.expect("login:", Deadline(50, "L1 to boot"))
    assert time.monotonic() - started < 10
    assert cause in str(caught.value)
    assert "waiting for L1 to boot" in str(caught.value)
    assert "the last line" in str(caught.value), "what followed the failure is shown too"
    assert "guest.log" in str(caught.value)


def test_a_look_at_a_console_waits_for_the_cause_of_a_panic(scripted, monkeypatch):
    monkeypatch.setattr(console_module, "_PAUSE", 10.0)  # a busy machine is late
    console = scripted(
        'sys.stdout.write("Kernel panic - not syncing: ")\nsys.stdout.flush()\n'
        'time.sleep(0.1)\nprint("the cause")'
    )
    deadline = time.monotonic() + 10
    with pytest.raises(GuestError, match="the cause"):
        while time.monotonic() < deadline:
            console.check()


def test_a_boot_after_a_panic_does_not_hide_it(scripted):
    console = scripted(
        'print("the line before")\nprint("Kernel panic - not syncing: the cause")\n'
        'for i in range(100): print("boot", i)\ntime.sleep(60)'
    )
    with pytest.raises(GuestError) as caught:
        console.expect("login:", Deadline(10, "L1 to boot"))
    assert "kernel panic: Kernel panic - not syncing: the cause" in str(caught.value)
    assert "the line before" in str(caught.value)
    assert "boot 9\n" in str(caught.value)
    assert "boot 10\n" not in str(caught.value)


def test_the_last_words_of_a_program_that_ends_are_told(scripted):
    console = scripted('print("first")\nprint("qemu: no such machine")\nsys.exit(1)')
    with pytest.raises(GuestError) as caught:
        console.expect("login:", Deadline(20, "L1 to boot"))
    assert "the console ended: qemu: no such machine (waiting for L1 to boot)" in str(caught.value)
    assert "first\n" in str(caught.value)


def test_failed_console_keeps_its_first_cause(scripted):
    console = scripted('print("Kernel panic - not syncing: first")\ntime.sleep(60)')
    for _ in range(2):
        with pytest.raises(GuestError, match="kernel panic"):
            console.expect("x", Deadline(5, "x"))


def test_deadline_says_what_it_waited_for_and_shows_the_tail(scripted):
    console = scripted('print("only this")\ntime.sleep(60)')
    with pytest.raises(GuestError) as caught:
        console.expect("prompt", Deadline(1.2, "L2 to boot"))
    assert "within 1 s (waiting for L2 to boot)" in str(caught.value)
    assert "only this" in str(caught.value)


def test_health_of_the_machine_below_is_asked_while_waiting(scripted, tmp_path):
    console = scripted("time.sleep(60)")

    def dead() -> None:
        raise GuestError("l0: kernel panic")

    console._healthy = dead
    with pytest.raises(GuestError, match="l0: kernel panic"):
        console.expect("x", Deadline(30, "x"))


def test_end_of_stream_and_exit_status(scripted):
    console = scripted('print("bye")\nsys.exit(4)')
    assert Program(console).wait(Deadline(10, "the end")) == 4
    other = scripted('print("bye")')
    with pytest.raises(GuestError, match="console ended"):
        other.expect("more", Deadline(10, "more"))


def test_transcript_holds_everything(scripted, tmp_path):
    console = scripted('print("one")\nprint("two")')
    Program(console).wait(Deadline(10, "the end"))
    console.close()
    assert (tmp_path / "consoles" / "guest.log").read_text().split() == ["one", "two"]


def test_prompts_of_levels_are_told_apart(scripted):
    console = scripted(
        'print("l0# ", end="")\ntime.sleep(0.3)\nprint("l1# ", end="")\ntime.sleep(60)'
    )
    Shell(console, "l1# ").ready(Deadline(10, "l1"))
