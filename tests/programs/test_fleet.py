# SPDX-License-Identifier: MIT
"""Schedulers of a lab: who may be trusted with what."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.model.inventory import SshHostSpec
from harness.paths import ROOT
from harness.run import fleet
from harness.run.job import Job


def job(**changes):
    return Job("run", SshHostSpec(name="arm1", address="b", **changes), None, Path(), ())


def test_an_answered_prompt_does_not_go_in_the_clear():
    asked = job(user="me", sudo={"prompt": True})
    with pytest.raises(UserError, match=r"arm1 would go there in the clear: use a tls://"):
        fleet.execute([asked], None, "tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    "address",
    [
        "tcp://lab.example:8786",
        "tcp://192.0.2.1:8786",
        "tcp://[2001:db8::1]:1",
        "ws://lab.example:1",
        "tcp://localhost.example:1",
    ],
)
def test_root_is_not_offered_to_a_network(address):
    with pytest.raises(UserError, match=r"could run commands as root .* use a tls://"):
        fleet.execute([], None, address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tcp://[::1]:9", "tcp://localhost:9"])
def test_this_machine_is_no_network(address, monkeypatch):
    monkeypatch.setattr(fleet, "_CONNECT_SECONDS", 0.3)
    with pytest.raises(UserError, match="can't be reached"):
        fleet.execute([], None, address)


@pytest.fixture
def lab(tmp_path):
    """A scheduler as the page about labs starts it, with TLS and the configuration there."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    page = (ROOT / "docs" / "how-to" / "lab.md").read_text()
    command = re.search(r"^openssl req .*$", page, re.M)[0].replace("lab.example", "127.0.0.1")
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True)
    settings = re.search(r"^ *distributed:\n(?: .*\n)+", page, re.M)[0]
    text = textwrap.dedent(settings).replace("/etc/neve/", f"{tmp_path}/")
    (tmp_path / "dask.yaml").write_text(text)
    environment = {**os.environ, "DASK_CONFIG": str(tmp_path), "PYTHONPATH": str(ROOT)}
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "distributed.cli.dask_scheduler",
            "--host",
            "tls://127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
        ],
        env=environment,
        stdout=log,
        stderr=log,
    )
    try:
        end = time.monotonic() + 30
        while not (found := re.search(r"tls://127.0.0.1:\d+", (tmp_path / "log").read_text())):
            assert process.poll() is None and time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.1)
        yield found[0], environment
    finally:
        process.terminate()
        process.wait()
        log.close()


def test_scheduler_with_tls(lab, monkeypatch):
    """Who has the lab's certificate gets through to the question of workers, others do not."""
    address, environment = lab
    known = (
        "import sys; from harness.run import fleet; from harness.errors import UserError; "
        "from tests.programs.test_fleet import job\n"
        "try: fleet.execute([job()], None, sys.argv[1])\n"
        "except UserError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", known, address],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert "no worker has arm1" in done.stdout, done.stderr
    monkeypatch.setattr(fleet, "_CONNECT_SECONDS", 1)
    with pytest.raises(UserError, match="can't be reached"):
        fleet.execute([job()], None, address)
