# SPDX-License-Identifier: MIT
"""Processes beside us, and what is made in one."""

import time

import psutil
import pytest

from harness.build.beside import beside
from harness.errors import UserError
from harness.worker import Worker


def fail_to_clean_up(line):
    """As a job does, an error of which takes the place of the interruption."""
    try:
        line.send("begun")
        time.sleep(600)
    except KeyboardInterrupt:
        line.send("an error")
    line.recv()


def test_a_worker_that_is_told_to_end_does_not_wait_for_us():
    worker = Worker(fail_to_clean_up)
    assert worker.line.recv() == "begun"
    started = time.monotonic()
    worker.end()
    assert worker.gone() == 0
    assert time.monotonic() - started < 30


def touch(folder, seconds):
    """As `make` of an artifact does."""
    (folder / "begun").touch()
    try:
        time.sleep(seconds)
        (folder / "made").touch()
    finally:
        (folder / "cleaned up").touch()


def fail(folder):
    (folder / "begun").touch()
    raise UserError("no such thing")


def begun(folder):
    end = time.monotonic() + 30
    while not (folder / "begun").exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_is_made_beside_is_made_at_the_end(tmp_path):
    with beside(touch, tmp_path, 0.2):
        begun(tmp_path)
        assert not (tmp_path / "made").exists()
    assert (tmp_path / "made").exists()


def test_an_error_ends_what_is_made_beside(tmp_path):
    with pytest.raises(KeyboardInterrupt), beside(touch, tmp_path, 600):
        begun(tmp_path)
        raise KeyboardInterrupt
    assert (tmp_path / "cleaned up").exists() and not (tmp_path / "made").exists()
    assert not [each for each in psutil.Process().children() if "spawn_main" in each.cmdline()]


def test_its_errors_are_none_of_ours(tmp_path, capfd):
    with beside(fail, tmp_path):
        pass
    assert (tmp_path / "begun").exists()
    assert capfd.readouterr() == ("", "")
