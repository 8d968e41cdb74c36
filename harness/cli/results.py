# SPDX-License-Identifier: MIT
"""`neve report`, `compare`, `runs` and `history`."""

import json
import sys
from pathlib import Path

import click

from harness.cache import is_special
from harness.cli import words
from harness.cli.options import (
    AS_JSON,
    DATABASE,
    FILE,
    PARTS,
    RUNS,
    Command,
    Group,
    Inches,
    Origin,
    print_json,
)
from harness.errors import HarnessError, UserError


@click.command(cls=Command)
@click.argument("names", metavar="[RUN]…", nargs=-1, shell_complete=words.runs)
@click.option(
    "--table", type=click.Choice(["markdown", "csv", "latex"]), help="Print only the table."
)
@click.option("--figure", type=click.Choice(["svg", "pdf", "png"]), help="Write only the figure.")
@click.option(
    "--panel", type=click.Choice(["cost", "traps"]), help="Only this panel of the figure."
)
@click.option(
    "--width",
    type=Inches(),
    metavar="LENGTH",
    help="Width of the figure: 3.3in, 84mm; default 10in.",
)
@click.option(
    "--output",
    type=FILE,
    metavar="PATH",
    help="The figure's file, or the folder of a report of several runs; default in ./runs.",
)
@AS_JSON
def report(
    names: tuple[str, ...],
    table: str | None,
    figure: str | None,
    panel: str | None,
    width: float | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write the report of RUN (default latest) again from its cells, and print it. With several
    runs, write one report of them all; LABEL=RUN says what it calls a run."""
    from harness.commands import report as commands

    if figure:
        if table or as_json:
            raise UserError("--figure can't be combined with --table or --json")
        click.echo(commands.drawn(RUNS, names, figure, width, panel, output))
    elif panel or width:
        raise UserError(f"{'--panel' if panel else '--width'} needs --figure")
    elif table:
        click.echo(commands.tabulated(RUNS, names, table))
    elif len(names) > 1:
        found = commands.together(RUNS, names, output)
        if as_json:
            print_json(found.data)
        else:
            click.echo(found.text)
            click.echo(f"report: {found.page}")
    elif output:
        raise UserError("--output is for --figure, and for a report of several runs")
    else:
        _report(names[0] if names else "latest", as_json)


def _report(name: str, as_json: bool) -> None:
    from harness.commands.report import reported
    from harness.results.report import told

    with reported(RUNS, name) as (folder, table):
        if as_json:
            print_json(json.loads(table.to_json(orient="records")))
        else:
            click.echo(told(folder.path))
    if not folder.path.exists():
        click.echo("neve: the run's folder can only be read, so nothing was written", err=True)


@click.command(cls=Command)
@click.argument("before", metavar="RUN", shell_complete=words.runs)
@click.argument("after", metavar="[RUN]", required=False, shell_complete=words.runs)
@AS_JSON
def compare(before: str, after: str | None, as_json: bool) -> None:
    """Compare two runs: medians in per cent, exact figures by equality, with what is new and what
    is gone in their trap sequences. With one run, compare the trap sequences of the CPU's own
    virtual EL2 with those of its emulation."""
    from harness.commands.compare import compared, side_by_side

    if after is None:
        emulation = side_by_side(RUNS, before)
        if as_json:
            print_json(emulation.data())
        else:
            click.echo(emulation.text())
        return
    comparison = compared(RUNS, before, after)
    if as_json:
        print_json(
            {
                "cells": json.loads(comparison.table.to_json(orient="records")),
                "only": comparison.only,
                "causes": comparison.causes,
            }
        )
    else:
        click.echo(comparison.readable())


@click.command(cls=Command)
@click.option(
    "--delete",
    "doomed",
    multiple=True,
    metavar="RUN",
    shell_complete=words.runs,
    help="Remove its folder; may be given more than once. The history keeps its figures.",
)
@AS_JSON
def runs(doomed: tuple[str, ...], as_json: bool) -> None:
    """List the runs in ./runs, oldest first."""
    from harness.commands.runs import deleted, listed

    if doomed:
        removed = [str(path) for path in deleted(RUNS, doomed)]
        if as_json:
            print_json({"removed": removed})
        else:
            click.echo("\n".join(f"removed {path}" for path in removed))
        return
    entries = listed(RUNS)
    if as_json:
        print_json(entries)
        return
    for entry in entries:
        of = f"track {entry['track']}" if "track" in entry else f"neve {entry.get('kind')}"
        told = entry.get("error") or f"{entry['standing']}  ({of})"
        click.echo(f"{entry['run']}  {told}")


@click.group(cls=Group, invoke_without_command=True)
@DATABASE
@click.option("--only", **PARTS, help="Only the series that match: host=…,benchmark=…,metric=cost")
@click.option(
    "--export",
    type=click.Choice(["otava", "kcidb"]),
    help="Write it for Apache Otava (a folder of CSV files) or KCIDB (JSON) instead.",
)
@click.option(
    "--output",
    type=FILE,
    metavar="PATH",
    help="Where to write the export; default runs/otava or runs/kcidb.json.",
)
@click.option(
    "--origin",
    type=Origin(),
    default="neve",
    show_default=True,
    metavar="NAME",
    help="The name under which to report to KCIDB.",
)
@AS_JSON
@click.pass_context
def history(
    context: click.Context,
    database: str | None,
    only: str | None,
    export: str | None,
    output: Path | None,
    origin: str,
    as_json: bool,
) -> None:
    """Show every series: its last value, its noise, and whether it has changed."""
    context.obj = database
    if context.invoked_subcommand:
        return
    from harness.commands import history as commands

    if export:
        written = commands.export(database, RUNS, export, only, origin, output)
        if as_json:
            print_json({"written": str(written)})
        elif written.is_dir() or not is_special(written):
            click.echo(written)
        return
    if output:
        raise UserError("--output needs --export")
    table = commands.table(database, RUNS, only)
    if as_json:
        print_json(json.loads(table.to_json(orient="records")))
    else:
        click.echo(commands.readable(table))


@history.command("import")
@click.argument("runs", nargs=-1, type=FILE)
@AS_JSON
@click.pass_obj
def history_import(database: str | None, runs: tuple[Path, ...], as_json: bool) -> None:
    """Import run folders, or all in a folder (default ./runs), into the history."""
    from harness.commands import history as commands

    entries, refused = [], False
    for folder, outcome in commands.import_runs(database, RUNS, runs or (RUNS,)):
        if isinstance(outcome, HarnessError):
            refused = True
            click.echo(f"neve: {outcome}", err=True)
            entries.append({"run": folder.name, "error": str(outcome)})
        else:
            entries.append({"run": folder.name, "outcome": str(outcome)})
            if not as_json:
                click.echo(f"{folder.name}  {outcome}")
    if as_json:
        print_json(entries)
    if refused:
        sys.exit(UserError.exit_code)


@history.command("acknowledge")
@click.option("--only", **PARTS, help="Only the series that match: benchmark=…,metric=cost")
@click.option("--why", required=True, metavar="TEXT", help="The reason; it is kept, and shown.")
@click.option(
    "--by", metavar="WHO", help="Who acknowledges it; default your name in git, or your login."
)
@AS_JSON
@click.pass_obj
def history_acknowledge(
    database: str | None, only: str | None, why: str, by: str | None, as_json: bool
) -> None:
    """Acknowledge regressions: they are the new normal, and no longer fail a run. Until then every
    checked run fails."""
    from harness.commands import history as commands
    from harness.commands.person import myself

    by = by or myself()
    rows = commands.acknowledge(database, RUNS, only, by, why)
    if as_json:
        print_json([{**row, "by": by, "why": why} for row in rows])
        return
    for row in rows:
        click.echo(
            f"{row['host']}, {row['benchmark']}, {row['configuration']}: {row['metric']} "
            f"{row['median']:,.6g} {row['unit']} is acknowledged by {by}"
        )


@history.command("report")
@click.option("--output", type=FILE, default=RUNS / "history.html", show_default=True)
@AS_JSON
@click.pass_obj
def history_report(database: str | None, output: Path, as_json: bool) -> None:
    """Write the history page: charts by host, benchmark and configuration."""
    from harness.commands import history as commands

    written = commands.write_page(database, RUNS, output)
    if is_special(output):  # /dev/stdout has the page
        return
    if as_json:
        print_json({"written": str(written)})
    else:
        click.echo(written)


@click.command(cls=Command)
@click.argument("name", type=click.Choice(["playbook", "inventory", "config", "metadata", "cell"]))
def schema(name: str) -> None:
    """Print the JSON Schema of playbooks, inventories, a user's config.yaml, a run's metadata.json,
    or a line (a cell) of its cells.jsonl."""
    from harness.model import schema as schemas

    click.echo(schemas.text(name), nl=False)
