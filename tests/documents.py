# SPDX-License-Identifier: MIT
"""What the documents of the repository show: their code, and that its commands are ours."""

import re
import shlex

import click

from harness import cli
from harness.paths import ROOT

DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
]


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text, language):
    """The code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def prose(text):
    """All but the code blocks."""
    return re.sub(r"```.*?```", "", text, flags=re.S)


def lines(text):
    """Those of shell blocks, without their comments."""
    return [
        line.partition("#")[0].strip()
        for block in blocks(text, "sh")
        for line in block.splitlines()
        if line.partition("#")[0].strip()
    ]


def commands(text):
    """The calls of neve, also those behind another command's `--`."""
    found = (re.search(r"(?:^|-- )(neve .*)", line) for line in lines(text))
    return [call[1] for call in found if call]


def parse(command):
    """Raise if it is no command of neve's, or has options that this does not have."""
    found, arguments = _found(shlex.split(command)[1:])
    if set(arguments) & {"--help", "--version"}:
        return
    assert not isinstance(found, click.Group) or found.invoke_without_command
    found.make_context(found.name, arguments)


def _found(arguments):
    """The command, and what is left for it."""
    found: click.Command = cli.cli
    while isinstance(found, click.Group) and arguments and arguments[0] in found.commands:
        found = found.commands[arguments.pop(0)]
    return found, arguments


def spoken(text):
    """What running text calls a command of ours, with or without its arguments."""
    return re.findall(r"`(neve [^`\n]+)`", prose(text))


def unknown(call):
    """The words of `call` that are neither a command nor an option of it, and might be one."""
    found, rest = _found(call.split()[1:])
    options = {word for option in found.params for word in option.opts + option.secondary_opts}
    known = {*options, "--help", "--version", *(["…"] if isinstance(found, click.Group) else [])}
    flags = [word for word in rest if word.startswith("-") and word not in known]
    if isinstance(found, click.Group) and not found.invoke_without_command:
        return [word for word in rest if word not in known]
    return flags


def make_targets(text):
    """Those that the shell blocks call."""
    return [line.split()[1] for line in lines(text) if re.match(r"make [a-z]", line)]


def missing_targets(targets):
    """Those that the Makefile does not have."""
    makefile = text_of("Makefile")
    return [name for name in targets if not re.search(rf"^{name}:", makefile, re.M)]


def slug(heading):
    """What GitHub and Sphinx call a heading in links."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def missing_links(name):
    """What the document links to within the repository and what is not there."""
    targets = re.findall(r"\]\(([^)\s:]+)\)", prose(text_of(name)))
    return [target for target in targets if not _is_there(ROOT / name, target)]


def _is_there(document, target):
    file, _, anchor = target.partition("#")
    path = document.parent / file if file else document
    if not path.is_file():
        return False
    headings = re.findall(r"^#+ (.*)$", prose(path.read_text(encoding="utf-8")), re.M)
    return not anchor or anchor in map(slug, headings)
