# SPDX-License-Identifier: MIT
"""`neve init` and `completion`: commands to set neve up with."""

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from harness.cli.options import AS_JSON, FILE, Command, print_json
from harness.errors import UserError

_PLACES = {
    "bash": "~/.local/share/bash-completion/completions/neve",
    "zsh": "a folder of $fpath, as _neve",
    "fish": "~/.config/fish/completions/neve.fish",
}


@click.command(cls=Command)
@click.argument("folder", type=FILE, default=Path())
@AS_JSON
def init(folder: Path, as_json: bool) -> None:
    """Write a playbook and an inventory into FOLDER (default here), with a comment for each key."""
    from harness.commands.init import begin

    written = [str(path) for path in begin(folder)]
    if as_json:
        print_json({"written": written})
    else:
        click.echo("\n".join(written))


@click.command(
    cls=Command,
    epilog="\b\n" + "\n".join(f"{shell:<5} {place}" for shell, place in _PLACES.items()),
)
@click.argument("shell", type=click.Choice(list(_PLACES)))
def completion(shell: str) -> None:
    """Print the script by which SHELL completes commands, options, runs, playbooks. Put it in:"""
    from harness.cli import cli

    made = get_completion_class(shell)
    if made is None:
        raise UserError(f"click knows no completion for {shell}")
    click.echo(made(cli, {}, "neve", "_NEVE_COMPLETE").source())
