# SPDX-License-Identifier: MIT
"""`neve cache`."""

from datetime import timedelta

import click

from harness.amounts import size
from harness.cli.options import AS_JSON, Age, Command, Group, print_json
from harness.errors import UserError


@click.group(cls=Group, invoke_without_command=True)
@AS_JSON
@click.pass_context
def cache(context: click.Context, as_json: bool) -> None:
    """List what is in the cache, with sizes and last use; the most recently used is last."""
    if context.invoked_subcommand:
        return
    from harness.commands import cache as commands

    listed = commands.listed()
    if as_json:
        print_json(listed)
    else:
        click.echo(commands.readable(listed))


@cache.command("prune", cls=Command)
@click.option(
    "--older", type=Age(), metavar="AGE", help="Remove what was not used for 12h, 30d, 2w."
)
@click.option(
    "--keep-last",
    is_flag=True,
    help="Keep what the last command used, by kind and track.",
)
@AS_JSON
def cache_prune(older: timedelta | None, keep_last: bool, as_json: bool) -> None:
    """Remove old entries from the cache, but nothing that a running neve uses. What is needed later
    is downloaded and built again; a source that you imported has to be imported again."""
    from harness.commands import cache as commands

    if older is None and not keep_last:
        raise UserError(
            "say what to remove: --older 30d, --keep-last, or both (then what both would remove)"
        )
    pruned = commands.pruned(older, keep_last)
    if as_json:
        print_json(pruned)
        return
    for entry in pruned["removed"]:
        click.echo(f"removed {commands.line(entry)}")
    for entry in pruned["in_use"]:
        click.echo(f"in use, so it stays: {commands.line(entry)}")
    click.echo(f"{size(pruned['freed'])} freed")
