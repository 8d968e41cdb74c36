# SPDX-License-Identifier: MIT
"""The README's quick commands, with a real cache."""

import json
import shlex

import pytest

from tests.integration.conftest import finish, neve
from tests.unit.test_readme import COMMANDS

QUICK = ("neve doctor", "neve plan", "neve runs", "neve kernel list", "neve kernel patches")


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if each.startswith(QUICK) and "@" not in each])
def test_quick_command_of_the_readme(artifacts, command, tmp_path):
    arguments = [word.replace("playbooks/", f"{tmp_path}/") for word in shlex.split(command)[1:]]
    (tmp_path / "fallback.yaml").write_text("configurations: [vm]\nbenchmarks: [hypercall]\n")
    done = finish(neve(*arguments, cwd=tmp_path), tmp_path)
    assert done.status == 0, done.output


def test_runs_report_and_compare(fallback_runs):
    runs = fallback_runs[0].folder.parent
    names = [run.folder.name for run in fallback_runs]

    def ask(*arguments):
        done = finish(neve(*arguments, "--json", cwd=runs.parent), runs.parent)
        assert done.status == 0, done.output
        return json.loads(done.output)

    assert [entry["run"] for entry in ask("runs")] == names
    assert len(ask("report", names[0])) == 12
    changes = [row["change"] for row in ask("compare", *names) if row["metric"] == "cost"]
    assert max(map(abs, changes)) < 0.02
