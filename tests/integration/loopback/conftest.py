# SPDX-License-Identifier: MIT
"""The server is started once; each test finds it as it was before any run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.paths import ROOT
from tests.integration.loopback import client
from tests.integration.loopback.server import PASSWORD, running


@pytest.fixture(scope="session")
def loopback(tmp_path_factory):
    with running(tmp_path_factory.mktemp("loopback")) as server:
        yield server


@pytest.fixture
def server(loopback, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NEVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAB_SUDO", PASSWORD)
    loopback.clean()
    yield loopback
    loopback.clean()


@pytest.fixture
def start(server, tmp_path):
    """Starts a client of the server, which ends with the test."""
    clients = []

    def begin(name, user="root", times=1, seconds=2, wait=0, **changes):
        spec = server.spec(user, **changes)
        text = json.dumps(
            {
                **spec.model_dump(mode="json"),
                "sudo": (spec.sudo.model_dump(exclude_none=True) if spec.sudo else None),
            }
        )
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        clients.append(
            subprocess.Popen(
                [
                    sys.executable,
                    Path(client.__file__),
                    folder,
                    text,
                    name,
                    str(times),
                    str(seconds),
                    str(wait),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        )
        return clients[-1]

    yield begin
    for each in clients:
        each.kill()
        each.wait()
        each.stdout.close()
