# SPDX-License-Identifier: MIT
"""The command, and databases to test with."""

import signal
import subprocess
import sys

import psycopg
import pytest

from harness import cli
from tests import postgresql
from tests.loopback import client  # noqa: F401


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


@pytest.fixture(scope="session")
def postgresql_server():
    programs = postgresql.binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server on this machine: apt-get install postgresql")
    with postgresql.server(programs) as folder:
        yield folder


@pytest.fixture
def postgresql_url(postgresql_server):
    """A database that is empty for every test."""
    with psycopg.connect(host=str(postgresql_server), user="neve", dbname="postgres") as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return f"postgresql://neve@/postgres?host={postgresql_server}"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Where a history may be: every test that asks for this runs once on each."""
    if request.param == "sqlite":
        return str(tmp_path / "history.sqlite")
    return request.getfixturevalue("postgresql_url")
