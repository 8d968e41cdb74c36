# SPDX-License-Identifier: MIT
"""A rented machine is given back, however the run on it ends: the real script, with an `aws` that
only takes notes."""

import os
import signal
import subprocess
import time

import pytest

from harness.model.inventory import Inventory
from harness.paths import PLAYBOOKS
from tests.documents import blocks, text_of

SCRIPT = PLAYBOOKS / "templates" / "metal.sh"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBn0+/x="
AWS = f"""#!/bin/sh
echo "$2 $3 $4" >> notes
case $2 in
run-instances) test -z "$NO_CAPACITY" || exit 254; echo i-0abc ;;
describe-instances) echo 192.0.2.7 ;;
get-console-output)
	test -e booted || {{ touch booted; exit 0; }}
	printf '%s\\r\\n' x '-----BEGIN SSH HOST KEY KEYS-----' '[12.3] {KEY} root@ip' \\
		'-----END SSH HOST KEY KEYS-----' ;;
terminate-instances) test -z "$DEAF" -o -e tried || {{ touch tried; exit 255; }} ;;
esac
"""
GIVEN_BACK = "terminate-instances --instance-ids i-0abc"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "aws").write_text(AWS, encoding="utf-8")
    (tmp_path / "aws").chmod(0o755)
    (block,) = blocks(text_of("docs/how-to/metal.md"), "yaml")
    (tmp_path / "lab.yaml").write_text(block, encoding="utf-8")
    return tmp_path


def rent(folder, *command, wait=True, **env):
    process = subprocess.Popen(
        [SCRIPT, "--template", "lt-1", "--minutes", "5", "--", *command],
        cwd=folder,
        env={"PATH": f"{folder}:{os.environ['PATH']}", "METAL_POLL": "0", **env},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return (process, process.communicate(timeout=30)[1]) if wait else process


def notes(folder):
    return (folder / "notes").read_text(encoding="utf-8").splitlines()


def test_the_command_runs_with_an_inventory_that_knows_the_machine(folder):
    process, said = rent(folder, "test", "-s", "metal.user-data")
    assert process.returncode == 0, said
    (host,) = Inventory.load(folder / "metal.yaml").hosts
    assert (host.address, host.known_hosts) == ("192.0.2.7", folder / "metal.known_hosts")
    assert host.known_hosts.read_text(encoding="utf-8") == f"192.0.2.7 {KEY}\n"
    assert notes(folder)[0] == "run-instances --launch-template LaunchTemplateId=lt-1"
    assert notes(folder)[-1] == GIVEN_BACK and "is given back" in said


def test_the_machine_ends_itself_if_nobody_else_does(folder):
    rent(folder, "cp", "metal.user-data", "kept")
    text = (folder / "kept").read_text(encoding="utf-8")
    subprocess.run(["sh", "-n", folder / "kept"], check=True)
    assert "systemctl poweroff" in text and "OnCalendar=2" in text
    assert "--instance-initiated-shutdown-behavior terminate" in SCRIPT.read_text(encoding="utf-8")


@pytest.mark.parametrize("status", [1, 2, 75])
def test_given_back_after_a_failure_whose_status_is_kept(folder, status):
    process, _ = rent(folder, "sh", "-c", f"exit {status}")
    assert process.returncode == status
    assert notes(folder)[-1] == GIVEN_BACK


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_given_back_when_interrupted(folder, number):
    process = rent(folder, "sh", "-c", "touch running; exec sleep 60", wait=False)
    deadline = time.monotonic() + 30
    while not (folder / "running").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, number)
    process.communicate(timeout=30)
    assert process.returncode in {130, 143}
    assert notes(folder)[-1] == GIVEN_BACK


def test_given_back_at_the_second_try(folder):
    _, said = rent(folder, "true", DEAF="1")
    assert notes(folder)[-2:] == [GIVEN_BACK] * 2 and "trying again" in said


def test_nothing_to_give_back(folder):
    process, _ = rent(folder, "touch", "run", NO_CAPACITY="1")
    assert process.returncode == 254
    assert not (folder / "run").exists()
    assert not [line for line in notes(folder) if line.startswith("terminate")]


@pytest.mark.parametrize("words", [[], ["--template", "lt-1"], ["--nonsense"]])
def test_wrong_words_rent_nothing(folder, words):
    done = subprocess.run([SCRIPT, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "usage: metal.sh" in done.stderr
    assert not (folder / "notes").exists()
