# SPDX-License-Identifier: MIT
"""The command starts quickly: what is slow to load is loaded by those who use it."""

import subprocess
import sys

import pytest

from harness.paths import ROOT

SLOW = {
    "alembic",
    "asyncio",
    "cryptography",
    "dask",
    "distributed",
    "elftools",
    "fabric",
    "invoke",
    "jinja2",
    "junitparser",
    "matplotlib",
    "numpy",
    "pandas",
    "paramiko",
    "pexpect",
    "psycopg",
    "scipy",
    "sqlalchemy",
    "unidiff",
}
DISPLAY = {"rich"}  # needed by what shows its progress
MODEL = {"pydantic", "yaml"}  # needed by what reads a playbook or a run
START = f"""
import sys
from harness.cli import main
try:
    main(sys.argv[1:])
finally:
    loaded = {{name.partition(".")[0] for name in sys.modules}}
    sys.stderr.write(" ".join(sorted(loaded & {SLOW | DISPLAY | MODEL!r})))
"""


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("--help", set()),
        ("--version", set()),
        ("run --help", set()),
        ("history --help", set()),
        ("plan playbooks/fallback.yaml", MODEL),
        ("runs", MODEL),
        ("schema playbook", MODEL),
        ("cache", {"rich"}),
    ],
)
def test_quick_commands_load_nothing_slow(command, allowed):
    done = subprocess.run(
        [sys.executable, "-c", START, *command.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stderr.split()) <= allowed
