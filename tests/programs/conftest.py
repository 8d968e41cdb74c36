# SPDX-License-Identifier: MIT
"""Servers to test with."""

import psycopg
import pytest

from tests import postgresql
from tests.loopback import client  # noqa: F401


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
