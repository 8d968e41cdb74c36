# SPDX-License-Identifier: MIT
"""The README is a product: its commands are ours, its playbook is valid, its links hold."""

import pytest
import yaml

from harness import cli
from harness.model import playbook
from harness.model.track import Track
from tests.documents import (
    blocks,
    commands,
    make_targets,
    missing_links,
    missing_targets,
    parse,
    text_of,
)

README = text_of("README.md")


@pytest.mark.parametrize("command", commands(README))
def test_every_command_parses(command):
    parse(command)


def test_oldest_kernel_is_told():
    assert f"{Track.load('upstream').origin.example} is the oldest" in README


def test_every_command_of_ours_is_told():
    missing = [name for name in cli.cli.commands if f"neve {name}" not in README]
    missing += [name for name in cli.kernel.commands if f"neve kernel {name}" not in README]
    missing += [name for name in cli.history.commands if f"neve history {name}" not in README]
    assert not missing


def test_make_targets_exist():
    assert make_targets(README) == ["reproduce", "test"]
    assert not missing_targets(make_targets(README))


def test_the_playbook_is_valid():
    for block in blocks(README, "yaml"):
        assert playbook.plan(playbook.validate(yaml.safe_load(block), "README.md"))


def test_links_and_pictures_exist():
    assert not missing_links(README)
