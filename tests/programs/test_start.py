# SPDX-License-Identifier: MIT
"""The command starts quickly: what is slow to load is loaded by those who use it. What it draws
does not depend on the process."""

import os
import subprocess
import sys

import pytest

from harness.paths import ROOT
from tests.synthetic import write_run
from tests.unit.test_figures import write_run as write_operations

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


def loaded(command, folder):
    """What of the above `command`, run in `folder`, loads."""
    done = subprocess.run(
        [sys.executable, "-c", START, *command.split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


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
        ("cache", set()),
    ],
)
def test_quick_commands_load_nothing_slow(command, allowed):
    assert loaded(command, ROOT) <= allowed


def test_a_report_loads_no_more_than_it_draws_with(tmp_path):
    write_run(tmp_path / "runs", 1, {"hypercall": 1000.0})
    assert not loaded("report night-001", tmp_path) & {"asyncio", "paramiko", "scipy", "sqlalchemy"}


def test_pictures_are_the_same_in_every_process(tmp_path):
    write_operations(tmp_path / "runs", "one")
    script = (
        "import sys; from harness.cli import main; "
        "main(['report', 'one', '--figure', 'svg', '--output', sys.argv[1]])"
    )
    for seed, name in (("1", "a.svg"), ("2", "b.svg")):
        subprocess.run(
            [sys.executable, "-c", script, name],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            check=True,
        )
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
