# SPDX-License-Identifier: MIT
"""What the documents of the repository show: their code, and that its commands are ours."""

import re
import shlex

import click

from harness import cli
from harness.paths import ROOT


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text, language):
    """The code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def lines(text):
    """Those of shell blocks, without their comments."""
    return [
        line.partition("#")[0].strip()
        for block in blocks(text, "sh")
        for line in block.splitlines()
        if line.partition("#")[0].strip()
    ]


def commands(text):
    """The lines that call neve."""
    return [line for line in lines(text) if line.startswith("neve ")]


def parse(command):
    """Raise if it is no command of neve's, or has options that this does not have."""
    arguments = shlex.split(command)[1:]
    found: click.Command = cli.cli
    while isinstance(found, click.Group) and arguments and arguments[0] in found.commands:
        found = found.commands[arguments.pop(0)]
    assert not isinstance(found, click.Group) or found.invoke_without_command
    found.make_context(found.name, arguments)


def make_targets(text):
    """Those that the shell blocks call."""
    return [line.split()[1] for line in lines(text) if re.match(r"make [a-z]", line)]


def missing_targets(targets):
    """Those that the Makefile does not have."""
    makefile = text_of("Makefile")
    return [name for name in targets if not re.search(rf"^{name}:", makefile, re.M)]


def missing_links(text):
    """What the text links to within the repository and what is not there."""
    targets = re.findall(r"\]\(([^)#:]+)\)", text)
    return [target for target in targets if not (ROOT / target).exists()]
