# SPDX-License-Identifier: MIT
"""Deployment to a lab: what becomes of one server is not the others' matter."""

import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from harness.commands import deploy
from harness.errors import GuestError, InfrastructureError, UserError, together
from harness.paths import ROOT

LAB = """\
hosts:
  - {name: arm1, address: arm1.invalid}
  - {name: arm2, address: arm2.invalid}
  - {name: arm3, address: arm3.invalid}
"""


@pytest.fixture
def lab(tmp_path):
    file = tmp_path / "lab.yaml"
    file.write_text(LAB)
    return file


@pytest.mark.parametrize("command", ["deploy", "undeploy"])
def test_every_server_that_fails_is_named(lab, tmp_path, command):
    done = subprocess.run(
        [sys.executable, "-m", "harness", command, str(lab)],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    last = done.stderr[done.stderr.index("neve: ") :].splitlines()
    assert len(last) == 3
    assert all(f"host arm{number}" in line for number, line in enumerate(last, 1))


def test_one_failure_stops_no_other(lab, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NEVE_CACHE", str(tmp_path))
    done = []

    class Server:
        def __init__(self, spec, _):
            self.name = spec.name

        @contextmanager
        def vendor_kernel(self, _):
            if self.name == "arm1":
                raise InfrastructureError("host arm1: gave up waiting\nits console")
            if self.name == "arm2":
                raise OSError(5, "Input/output error")
            yield SimpleNamespace(name=self.name)

    monkeypatch.setattr(deploy, "Server", Server)
    monkeypatch.setattr(deploy, "undeploy", lambda host: done.append(host.name))
    errors = deploy.undeploy_all(lab, [], 0)
    assert done == ["arm3"]
    assert [type(error) for error in errors] == [InfrastructureError] * 2
    said = capsys.readouterr().err
    assert "arm1: gave up waiting" in said
    assert "arm2: Input/output error" in said


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ([UserError, UserError], 2),
        ([UserError, InfrastructureError], 75),
        ([UserError, GuestError], 1),
        ([GuestError, InfrastructureError], 75),
    ],
)
def test_the_exit_code_of_several_errors(kinds, status):
    error = together([kind(f"host {number}") for number, kind in enumerate(kinds)])
    assert error.exit_code == status
    assert str(error) == "host 0\nhost 1"
