# SPDX-License-Identifier: MIT
"""The Fabric tasks are the command's own, exit codes too."""

import subprocess
import sys

from harness.paths import PLAYBOOKS


def fab(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fabric", "--search-root", str(PLAYBOOKS), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_tasks_are_listed():
    listed = fab("--list").stdout
    assert all(name in listed for name in ("deploy", "undeploy", "run"))


def test_task_ends_as_the_command_does():
    done = fab("deploy", "nowhere.yaml")
    assert done.returncode == 2
    assert done.stderr == "neve: nowhere.yaml: no such inventory\n"
