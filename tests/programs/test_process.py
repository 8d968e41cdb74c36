# SPDX-License-Identifier: MIT
"""Children of the harness: they end with it, and may clean up when they are given up."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from harness.errors import InfrastructureError
from harness.machine.host.sudo import Sudo
from harness.model.inventory import SshHostSpec, SudoPassword
from harness.process import ProcessError, lab_environment, run

CHILD = "trap 'echo cleaned >> {log}; exit 1' TERM; echo ready >> {log}; while :; do sleep .1; done"
HARNESS = "from harness.process import mortal, run; run(mortal(['sh', '-c', {child!r}]))"


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def wait_for(log, text):
    end = time.monotonic() + 20
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_child_ends_with_the_harness_and_cleans_up(log, number):
    program = HARNESS.format(child=CHILD.format(log=log))
    harness = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    wait_for(log, "ready")
    children = psutil.Process(harness.pid).children(recursive=True)
    harness.send_signal(number)
    harness.wait(20)
    wait_for(log, "cleaned")
    assert not psutil.wait_procs(children, timeout=10)[1]


def test_command_that_takes_too_long_cleans_up(log):
    with pytest.raises(InfrastructureError, match="did not end within 1 s"):
        run(["sh", "-c", CHILD.format(log=log)], timeout=1)
    assert log.read_text() == "ready\ncleaned\n"


def test_error_carries_the_status_the_complaint_and_the_last_lines():
    with pytest.raises(ProcessError) as caught:
        run(["sh", "-c", "echo out; echo first >&2; echo last >&2; exit 3"])
    error = caught.value
    assert (error.status, error.complaint, error.tail) == (3, "first", "out\nfirst\nlast")


def test_agents_and_keyrings_are_for_commands_of_an_inventory_alone(monkeypatch):
    """`pass`, `secret-tool` and ssh find them by these."""
    for name in (
        "DBUS_SESSION_BUS_ADDRESS",
        "XDG_RUNTIME_DIR",
        "GNUPGHOME",
        "PASSWORD_STORE_DIR",
        "SSH_AUTH_SOCK",
    ):
        monkeypatch.setenv(name, f"the {name}")
        show = ["sh", "-c", f"echo ${name}"]
        assert run(show) == "\n"
        assert run(show, env=lab_environment()) == f"the {name}\n"
        command = SudoPassword(command=f"sh -c 'echo ${name}'")
        spec = SshHostSpec(name=name, address="b", sudo=command)
        assert Sudo.of(spec, "me").password == f"the {name}"
