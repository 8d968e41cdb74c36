# SPDX-License-Identifier: MIT
"""Tests see a home of their own, but for integration tests, which share the user's cache; and what
many of them begin with."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.cache import Cache

# A script that starts the tests in the background has them ignore it, and their children, too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--debug-l0",
        action="store_true",
        help="the correctness suite's L0 checks itself: lockdep, kmemleak and more",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "integration" in Path(item.fspath).parts:
            item.add_marker(pytest.mark.integration)
    # The quick ones first: a mistake shows before anything boots.
    items.sort(key=lambda item: item.get_closest_marker("integration") is not None)


@pytest.fixture(autouse=True)
def _own_home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if request.node.get_closest_marker("integration") is None:
        (tmp_path / "home").mkdir()
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("NEVE_CACHE", str(tmp_path / "cache"))
        for name in ("NEVE_QEMU", "NEVE_CONFIG", "XDG_CONFIG_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NEVE_VERBOSITY", "")  # which -v sets: it is as it was afterwards
    yield


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The folder that commands find runs in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.fixture
def neve(tmp_path, monkeypatch, capfd):
    """The command with `arguments`, in `tmp_path` and in this process: an interpreter of its own
    takes a second to start. Tests of the start itself have one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["neve"])
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def call(*arguments, **env):
        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            status = 0
            try:
                cli.main([str(word) for word in arguments])
            except SystemExit as ended:
                status = ended.code
        said = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, status, said.out, said.err)

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)
