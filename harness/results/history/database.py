# SPDX-License-Identifier: MIT
"""The history's database: SQLite in one file, or PostgreSQL by URL.

SQLite runs in WAL mode with full synchronization: what was committed outlives a kill -9 and a
power cut, and readers never wait for a writer.

Only who writes makes, sets up or upgrades a database. Reading changes nothing: a colleague's
history can be read, and a newer harness that reads locks no older one out.
"""

import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from harness.deadline import Deadline
from harness.errors import HarnessError, InfrastructureError, UserError
from harness.process import explain

VARIABLE = "NEVE_DATABASE"
_FILE = "history.sqlite"
_BUSY_SECONDS = 30
_CONNECT_SECONDS = 10
_WRITERS = 0x4E455645  # the lock's number, any of our own: "NEVE"
_MIGRATIONS = Path(__file__).with_name("migrations")
# What a server says that answers but will never let us in, however often we try.
_REFUSALS = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password supplied",
    "permission denied",
    "invalid dsn",
    "invalid connection",
)


def locate(database: str | None, runs: Path) -> str:
    """`database`, else $NEVE_DATABASE, else the file beside the runs in `runs`."""
    return database or os.environ.get(VARIABLE) or str(runs / _FILE)


@dataclass(frozen=True)
class Database:
    """An open database. `columns` are those of its tables: an older schema has fewer."""

    engine: Engine
    columns: Mapping[str, frozenset[str]]

    @classmethod
    @contextmanager
    def open(cls, place: str, *, writable: bool = True) -> Iterator["Database"]:
        """The database at `place`, a URL or the name of an SQLite file.

        One that is `writable` is made if it is missing, and an older schema is upgraded. Raises
        UserError for a place that can't be one, nothing to read, a newer schema;
        InfrastructureError for a server that is away.
        """
        url = parse(place)
        if url.get_backend_name() == "sqlite" and url.database and writable:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        elif url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise _nothing(url)
        with _explained(url):
            engine = _engine(url, writable)
            try:
                if writable:
                    _migrate(engine, url)
                elif _found(engine, url) is None:
                    raise _nothing(url)
                yield cls(engine, _columns(engine))
            finally:
                engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed as a whole, or not at all."""
        with _writing(self.engine) as connection:
            yield connection


def _nothing(url: URL) -> UserError:
    return UserError(f"no history in {_shown(url)}: neve history import RUNS makes one")


def _columns(engine: Engine) -> dict[str, frozenset[str]]:
    inspected = sa.inspect(engine)
    return {
        table: frozenset(column["name"] for column in inspected.get_columns(table))
        for table in inspected.get_table_names()
    }


def parse(place: str) -> URL:
    """The URL that `place` means. Raises UserError with one line, without a password."""
    if "://" not in place:
        return URL.create("sqlite", database=str(Path(place).expanduser()))
    try:
        url = make_url(place)
    except (ArgumentError, ValueError) as error:
        raise UserError("the database's URL is damaged: " + _EXPECTED) from error
    backend = url.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return url.set(drivername="sqlite")
    raise UserError(f"no database of kind {backend!r}: " + _EXPECTED)


_TRANSIENT = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_PROTOCOL")
_EXPECTED = "expected a file, sqlite:///FILE or postgresql://USER@HOST/NAME"


def _engine(url: URL, writable: bool) -> Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, connect_args={"connect_timeout": _CONNECT_SECONDS})
    if writable:
        engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    name = _read_only(Path(url.database or ""))
    return sa.create_engine(
        url,
        creator=lambda: sqlite3.connect(
            name, uri=True, timeout=_BUSY_SECONDS, check_same_thread=False
        ),
    )


def _read_only(file: Path) -> str:
    """A URI that reads `file`. In WAL mode SQLite makes files beside it even then; where we may
    make none, nobody is writing as long as there is no log."""
    logged = file.with_name(f"{file.name}-wal").exists()
    immutable = not logged and not os.access(file.parent, os.W_OK)
    return f"{file.resolve().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: `_begin_sqlite` does
    _log_ahead(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _log_ahead(connection: Any) -> None:
    """Switch to WAL. Where several do so at once with a new file, SQLite refuses without a wait."""
    deadline = Deadline(_BUSY_SECONDS, "the others")
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or deadline.passed:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can't wait for another's: it would fail.
    writes = connection.get_execution_options().get("neve_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _writing(engine: Engine) -> Iterator[Connection]:
    """One writer at a time, on PostgreSQL too: whoever replaces a run must not meet another."""
    with engine.connect().execution_options(neve_writes=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS)))
        yield connection


def _migrate(engine: Engine, url: URL) -> None:
    """Bring the schema to the newest revision; several processes may open at once."""
    if _found(engine, url) == _known(_MIGRATIONS)[0]:
        return
    with _writing(engine) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _found(engine: Engine, url: URL) -> str | None:
    """The revision of the schema; None where there is none. Raises UserError for a newer one."""
    with engine.connect() as connection:
        found = _revision(connection)
    known = _known(_MIGRATIONS)
    if found is not None and found not in known:
        raise UserError(
            f"{_shown(url)} was made by a newer harness (its schema is {found!r}, "
            f"ours {known[0]!r}): upgrade this one"
        )
    return found


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


@cache
def _known(migrations: Path) -> list[str]:
    """All revisions, newest first."""
    scripts = ScriptDirectory(migrations)
    return [script.revision for script in scripts.walk_revisions()]


def _revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found


@contextmanager
def _explained(url: URL) -> Iterator[None]:
    """Errors of the driver as one line of ours."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if getattr(cause, "sqlite_errorname", None) == "SQLITE_FULL":
            raise explain(OSError(errno.ENOSPC, "", url.database)) from error
        line = " ".join(str(cause).split("\n\n")[0].split())
        if url.password:
            line = line.replace(str(url.password), "***")
        if getattr(cause, "sqlite_errorname", "") in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
            line += "; move it away, and neve history import RUNS makes a new one"
        raise _meaning(url, line, cause)(f"database {_shown(url)}: {line}") from error


def _meaning(url: URL, line: str, cause: object) -> type[HarnessError]:
    if url.get_backend_name() == "sqlite":
        name = getattr(cause, "sqlite_errorname", None) or ""
        return InfrastructureError if name.startswith(_TRANSIENT) else UserError
    state = str(getattr(cause, "sqlstate", None) or "")
    refused = any(words in line for words in _REFUSALS) or state[:2] in ("28", "3D", "42")
    return UserError if refused else InfrastructureError


def _shown(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return url.database or "in memory"
    return url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
