# SPDX-License-Identifier: MIT
"""What users copy: it parses, and names commands, files and targets that exist."""

import configparser
import re
import shlex
import shutil
import subprocess

import click
import pytest
import yaml

from harness import cli
from harness.paths import PLAYBOOKS, ROOT

TEMPLATES = PLAYBOOKS / "templates"
UNITS = sorted(TEMPLATES.glob("neve-nightly.*"))
GITHUB = yaml.safe_load((TEMPLATES / "github-actions.yaml").read_text())
GITLAB = yaml.safe_load((TEMPLATES / "gitlab-ci.yaml").read_text())


def unit(name):
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(TEMPLATES / name)
    return parser


def commands():
    (job,) = GITHUB["jobs"].values()
    yield from (step["run"] for step in job["steps"] if "run" in step)
    for key in ("before_script", "script", "after_script"):
        yield from GITLAB["fallback"][key]
    service = unit("neve-nightly.service")["Service"]
    yield from (service[key].replace("%h/neve/", "") for key in ("ExecStart", "ExecStopPost"))


@pytest.mark.parametrize("command", [line for line in commands() if "neve " in line])
def test_every_command_of_ours_exists(command):
    program, name, *arguments = shlex.split(command)
    assert program == ".venv/bin/neve"
    found = cli.cli.commands[name]
    if isinstance(found, click.Group):
        name, *arguments = arguments
        found = found.commands[name]
    context = found.make_context(name, arguments)
    if "playbook" in context.params:
        assert (ROOT / context.params["playbook"]).exists()


def test_every_night_draws_the_history():
    drawn = [line for line in commands() if line == ".venv/bin/neve history report"]
    assert len(drawn) == 3


def test_a_night_that_failed_is_remembered():
    """The history of a regression is kept, or the next night would find it anew."""
    (job,) = GITHUB["jobs"].values()
    restore, save = (
        next(step for step in job["steps"] if what in step.get("uses", ""))
        for what in ("cache/restore@", "cache/save@")
    )
    assert save["if"] == "always()"
    assert save["with"]["path"] == restore["with"]["path"]
    assert "runs/history.sqlite" in save["with"]["path"]
    assert GITLAB["fallback"]["cache"]["when"] == "always"


def test_every_target_of_make_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = [line.split()[1] for line in commands() if line.startswith("make ")]
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.M)


def test_only_the_infrastructure_is_tried_again():
    service = unit("neve-nightly.service")["Service"]
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"].split() == ["1", "2", "130"]
    assert GITLAB["fallback"]["retry"]["exit_codes"] == 75
    assert unit("neve-nightly.timer")["Install"]["WantedBy"] == "timers.target"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_takes_the_units(tmp_path):
    for file in UNITS:
        (tmp_path / file.name).write_text(
            re.sub(r"^(Exec\w+)=.*", r"\1=/bin/true", file.read_text(), flags=re.M)
        )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / file.name for file in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "neve-nightly" in line]
    assert not said
