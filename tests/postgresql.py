# SPDX-License-Identifier: MIT
"""A PostgreSQL server of our own: below a temporary folder, on a socket there, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from harness.process import mortal

_START_SECONDS = 60.0


def binaries() -> Path | None:
    """Where the server's programs lie; Debian keeps them out of $PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").is_file()), None)


@contextmanager
def server(programs: Path) -> Iterator[Path]:
    """A running server; its socket lies in the folder. PostgreSQL refuses root: it is nobody's
    then."""
    with tempfile.TemporaryDirectory(prefix="neve-pg-", dir="/tmp") as name:
        folder, unprivileged = Path(name), []
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            unprivileged = [
                "setpriv",
                "--reuid",
                str(nobody.pw_uid),
                "--regid",
                str(nobody.pw_gid),
                "--clear-groups",
                "--",
            ]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        data = folder / "data"
        subprocess.run(
            [
                *unprivileged,
                programs / "initdb",
                "--pgdata",
                data,
                "--username",
                "neve",
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            env=environment,
            cwd=folder,
        )
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(
                [
                    *unprivileged,
                    *mortal(
                        [
                            str(programs / "postgres"),
                            "-D",
                            str(data),
                            "-k",
                            str(folder),
                            "-c",
                            "listen_addresses=",
                            "-c",
                            "fsync=off",
                        ],
                        "INT",
                    ),
                ],
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=log,
            ) as process,
        ):
            try:
                _wait(folder, process)
                yield folder
            finally:
                process.terminate()  # waits for no client longer than for its transaction
                process.send_signal(2)
                process.wait(_START_SECONDS)


def _wait(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(host=str(folder), user="neve", dbname="postgres").close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "log").read_text()) from None
            time.sleep(0.05)
        else:
            return
