# SPDX-License-Identifier: MIT
"""Every command of neve with its arguments and options, as click knows them."""

import inspect
import re
from collections.abc import Iterator

import click

from docs.generate.tables import code, table
from harness import cli
from harness.paths import PLAYBOOKS

COMMON = {"verbose", "quiet"}  # all commands have them: the page says so once


def every(
    command: click.Command = cli.cli, parent: click.Context | None = None
) -> Iterator[tuple[click.Context, click.Command]]:
    """All commands below `command`, each before its own."""
    context = click.Context(command, info_name=command.name if parent else "neve", parent=parent)
    if parent:
        yield context, command
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from every(each, context)


def commands() -> str:
    """A section for each."""
    return "\n".join(_section(context, command) for context, command in every())


def _section(context: click.Context, command: click.Command) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [
        f"## {context.command_path}\n",
        f"```text\n{usage}\n```\n",
        _prose(command.help or ""),
        _options(context, command),
        _prose(command.epilog or ""),
    ]
    return "\n".join(part for part in parts if part)


def _prose(text: str) -> str:
    """click's text as Markdown: a paragraph behind a backspace keeps its lines."""
    text = inspect.cleandoc(text).replace(str(PLAYBOOKS), "playbooks/")
    parts = (
        f"```text\n{part.lstrip(chr(8)).strip()}\n```" if part.startswith("\b") else _escaped(part)
        for part in re.split(r"\n\s*\n", text)
    )
    return "\n\n".join(parts) + "\n" if text else ""


def _options(context: click.Context, command: click.Command) -> str:
    rows = [
        (code(record[0]), _escaped(record[1]))
        for option in command.get_params(context)
        if isinstance(option, click.Option)
        and option.name not in COMMON
        and "--help" not in option.opts
        if (record := option.get_help_record(context))
    ]
    return table(["option", "meaning"], rows) if rows else ""


def _escaped(text: str) -> str:
    """Without what Markdown would read as HTML or emphasis."""
    return re.sub(r"([<*$])", r"\\\1", text)
