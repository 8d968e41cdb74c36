# SPDX-License-Identifier: MIT
"""The README is a product: its commands are ours, its playbook is valid, its links hold."""

import re
import shlex

import click
import pytest
import yaml

from harness import cli
from harness.model import playbook
from harness.model.track import Track
from harness.paths import ROOT

README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


COMMANDS = [
    line.partition("#")[0].strip()
    for block in blocks("sh")
    for line in block.splitlines()
    if line.startswith("neve ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_parses(command):
    arguments = shlex.split(command)[1:]
    found: click.Command = cli.cli
    while isinstance(found, click.Group) and arguments and arguments[0] in found.commands:
        found = found.commands[arguments.pop(0)]
    assert not isinstance(found, click.Group) or found.invoke_without_command
    found.make_context(found.name, arguments)


def test_oldest_kernel_is_told():
    assert f"{Track.load('upstream').origin.example} is the oldest" in README


def test_every_command_of_ours_is_told():
    missing = [name for name in cli.cli.commands if f"neve {name}" not in README]
    missing += [name for name in cli.kernel.commands if f"neve kernel {name}" not in README]
    missing += [name for name in cli.history.commands if f"neve history {name}" not in README]
    assert not missing


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.M)
    assert targets == ["reproduce", "test"]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.M)


def test_the_playbook_is_valid():
    for block in blocks("yaml"):
        assert playbook.plan(playbook.validate(yaml.safe_load(block), "README.md"))


def test_links_and_pictures_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
