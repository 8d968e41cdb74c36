# SPDX-License-Identifier: MIT
"""The command `neve`: parse, call, print. No logic."""

import getpass
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.cache import is_special
from harness.commands.options import Group, Seconds
from harness.errors import GuestError, HarnessError, UserError, together
from harness.model.shipped import shipped
from harness.paths import CHECKOUT, PLAYBOOKS, refuse_foreign
from harness.process import explain

RUNS = Path("runs")
_PLAYBOOK = (
    f"PLAYBOOK is a file, or one that comes with neve: {', '.join(shipped())}. They are in\n\n"
    f"\b\n{PLAYBOOKS}"
)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Measure nested virtualization on ARM: on QEMU TCG, or on a server over SSH."""


_json = click.option("--json", "as_json", is_flag=True, help="Print for machines.")
_parts: dict[str, Any] = {  # given more than once, what each names belongs to the part
    "metavar": "K=V,…",
    "multiple": True,
    "callback": lambda _context, _option, parts: ",".join(parts) or None,
}
_only = click.option("--only", **_parts, help="Run a part: configuration=vm,benchmark=…")
_database = click.option(
    "--database",
    metavar="URL",
    help=("The history: a file or postgresql://…; default $NEVE_DATABASE, or runs/history.sqlite."),
)
_host = click.option(
    "--host",
    metavar="H",
    help="A host of the playbook or of the inventory, or user@address[:port].",
)
_hosts = click.option("--host", "hosts", multiple=True, metavar="H", help="Only this one.")
_inventory = click.option(
    "--inventory",
    type=Path,
    metavar="FILE",
    help="Servers by name; default ./lab.yaml, if it is there.",
)
_wait = click.option(
    "--wait",
    type=Seconds(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for a server that another run has.",
)


@cli.command(epilog=_PLAYBOOK)
@click.argument("playbook", type=Path)
@_only
@_host
@_inventory
@_json
def plan(
    playbook: Path, only: str | None, host: str | None, inventory: Path | None, as_json: bool
) -> None:
    """Print the matrix and the command lines of PLAYBOOK, and run nothing."""
    from harness.commands.run import describe

    described = describe(playbook, only, host, inventory)
    if as_json:
        _print_json(described)
        return
    for cell in described["cells"]:
        click.echo(cell)
    for line in described["skipped"]:
        click.echo(f"skipped: {line}")
    for name, argv in described["commands"].items():
        click.echo(f"\n{name}:\n  {' '.join(argv)}")


@cli.command(epilog=_PLAYBOOK)
@click.argument("playbook", type=Path)
@_only
@_host
@_inventory
@_wait
@click.option("--resume", metavar="RUN", help="Go on with a run that was cut off.")
@click.option("--scheduler", metavar="URL", help="Run on the Dask workers of this scheduler.")
@click.option(
    "--check/--no-check",
    default=None,
    help=(
        "Judge by the history: repeat what looks changed, fail if it got worse. Default: the "
        "playbook's."
    ),
)
@_database
@click.option("--payload", type=Path, help="Boot this flat arm64 image in place of benchmarks.")
@click.option("--payload-arguments", default="", help="Its command line.")
@click.option(
    "--payload-seconds",
    type=Seconds(min=1),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it may run.",
)
@_json
def run(
    playbook: Path,
    only: str | None,
    host: str | None,
    inventory: Path | None,
    wait: float,
    resume: str | None,
    scheduler: str | None,
    check: bool | None,
    database: str | None,
    payload: Path | None,
    payload_arguments: str,
    payload_seconds: float,
    as_json: bool,
) -> None:
    """Run PLAYBOOK and report; results are in runs/latest."""
    if payload:
        from harness.commands.payload import run_payload

        for option, value in {
            "resume": resume,
            "scheduler": scheduler,
            "check": check,
            "database": database,
        }.items():
            if value is not None:
                raise UserError(f"--{option} is not for --payload: only a console is kept")
        transcripts = run_payload(
            RUNS, playbook, only, host, payload, payload_arguments, payload_seconds, inventory
        )
        if as_json:
            _print_json(transcripts)
            return
        for name, path in transcripts.items():
            click.echo(f"{name}: {path}")
        return
    if payload_arguments:
        raise UserError("--payload-arguments needs --payload")
    from harness.commands.history import regressions
    from harness.commands.run import run as run_playbook

    folder = run_playbook(
        RUNS,
        playbook,
        only,
        host,
        resume,
        scheduler,
        check=check,
        database=database,
        inventory=inventory,
        wait=wait,
    )
    worse = regressions(folder)
    failed = [record.id for record in folder.records() if not record.passed]
    if as_json:
        _print_json(
            {
                "run": str(folder.path),
                "failed": failed,
                "changes": folder.metadata.get("changes", []),
            }
        )
    else:
        click.echo((folder.path / "report.md").read_text(encoding="utf-8"))
        click.echo(f"picture: {folder.path / 'report.html'}")
    if failed:
        raise GuestError(
            f"{folder.standing()}: {', '.join(failed)}; again: "
            f"neve run {playbook} --resume {folder.id}"
        )
    if worse:
        raise GuestError(f"worse than the history: {'; '.join(worse)}")


@cli.command()
@click.argument("name", metavar="[RUN]", default="latest")
@_json
def report(name: str, as_json: bool) -> None:
    """Write the reports of RUN again from its cells, and print the table."""
    from harness.commands.report import reported
    from harness.results import report as reports

    with reported(RUNS, name) as folder:
        if as_json:
            _print_json(json.loads(reports.summary(folder).to_json(orient="records")))
        else:
            click.echo((folder.path / "report.md").read_text(encoding="utf-8"))
    if not folder.path.exists():
        click.echo("neve: the run's folder can only be read, so nothing was written", err=True)


@cli.command()
@click.argument("before", metavar="RUN")
@click.argument("after", metavar="RUN")
@_json
def compare(before: str, after: str, as_json: bool) -> None:
    """Compare the medians of two runs."""
    from harness.commands.runs import compared

    comparison = compared(RUNS, before, after)
    if as_json:
        _print_json(
            {
                "cells": json.loads(comparison.table.to_json(orient="records")),
                "only": comparison.only,
            }
        )
    else:
        click.echo(comparison.readable())


@cli.command()
@_json
def runs(as_json: bool) -> None:
    """List the runs in ./runs, oldest first."""
    from harness.commands.runs import listed

    entries = listed(RUNS)
    if as_json:
        _print_json(entries)
        return
    for entry in entries:
        told = entry.get("error") or f"{entry['standing']}  (track {entry['track']})"
        click.echo(f"{entry['run']}  {told}")


@cli.group(invoke_without_command=True)
@_database
@click.option("--only", **_parts, help="A part: host=…,benchmark=…,metric=cost")
@_json
@click.pass_context
def history(context: click.Context, database: str | None, only: str | None, as_json: bool) -> None:
    """Show every series: its last value, its noise, and whether it has changed."""
    context.obj = database
    if context.invoked_subcommand:
        return
    from harness.commands import history as commands

    table = commands.table(database, RUNS, only)
    if as_json:
        _print_json(json.loads(table.to_json(orient="records")))
    else:
        click.echo(commands.readable(table))


@history.command("import")
@click.argument("runs", nargs=-1, type=Path)
@click.pass_obj
def history_import(database: str | None, runs: tuple[Path, ...]) -> None:
    """Take run folders, or all in a folder (default ./runs), into the history."""
    from harness.commands import history as commands

    refused = 0
    for folder, outcome in commands.import_runs(database, RUNS, runs or (RUNS,)):
        if isinstance(outcome, HarnessError):
            refused += 1
            click.echo(f"neve: {outcome}", err=True)
        else:
            click.echo(f"{folder.name}  {outcome}")
    if refused:
        sys.exit(UserError.exit_code)


@history.command("accept")
@click.option("--only", **_parts, help="Not all that has regressed: benchmark=…,metric=cost")
@click.option("--note", default="", metavar="TEXT", help="Why; it is kept in the history.")
@click.pass_obj
def history_accept(database: str | None, only: str | None, note: str) -> None:
    """Accept the levels of what has regressed: they are the new normal, and fail no run."""
    from harness.commands import history as commands

    for row in commands.accept(database, RUNS, only, note):
        click.echo(
            f"{row['host']}, {row['benchmark']}, {row['configuration']}: {row['metric']} "
            f"{row['level']:,.6g} {row['unit']} is accepted"
        )


@history.command("report")
@click.option("--output", type=Path, default=RUNS / "history.html", show_default=True)
@click.pass_obj
def history_report(database: str | None, output: Path) -> None:
    """Write the history page: a chart per host, benchmark and configuration."""
    from harness.commands import history as commands

    written = commands.write_page(database, RUNS, output)
    if not is_special(output):  # /dev/stdout has the page
        click.echo(written)


@cli.group()
def kernel() -> None:
    """Kernels: build, import a source, list what is in the cache."""


_track = click.option("--track", default="upstream", show_default=True)
_set = click.option(
    "--set", "settings", multiple=True, metavar="K=V", help="A parameter of the patch series."
)


@kernel.command("build")
@_track
@click.option("--version", "wanted", help="A line (7.2) or a release (7.2.12); default newest.")
@_set
@click.option("--update", is_flag=True, help="Look for a newer source in Debian's archive.")
@_json
def kernel_build(
    track: str, wanted: str | None, settings: tuple[str, ...], update: bool, as_json: bool
) -> None:
    """Build the kernel of a track."""
    from harness.commands import kernel as commands

    built = commands.build_kernel(track, wanted, settings, update)
    if as_json:
        _print_json({"version": built.version, "key": built.key, "image": str(built.image)})
    else:
        click.echo(f"Linux {built.version}: {built.image}")


@kernel.command("patches")
@click.argument("track", default="upstream")
@_set
@click.option("--version", "wanted", help="For this Linux; default the newest in the cache.")
@click.option("--output", type=Path, help="Write the mails into this folder, one a file.")
@click.option("--files", is_flag=True, help="Print the files that the series changes instead.")
def kernel_patches(
    track: str, settings: tuple[str, ...], wanted: str | None, output: Path | None, files: bool
) -> None:
    """Print the rendered series of TRACK as mails for `git am`, or export it, signed off by you."""
    from harness.commands import kernel as commands

    if files:
        click.echo("\n".join(commands.files_that_change(track, wanted)))
        return
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    mails = commands.render_patches(track, settings, wanted, cover=output is not None)
    if output is None:
        click.echo("".join(mails.values()), nl=False)
        return
    for name, text in mails.items():
        (output / name).write_text(text, encoding="utf-8")
        click.echo(output / name)


@kernel.command("edit")
@click.argument("track")
@_set
@click.option("--version", "wanted", help="Of this Linux; default the newest in the cache.")
@click.option("--output", type=Path, help="A new folder; default linux-TRACK.")
def kernel_edit(
    track: str, settings: tuple[str, ...], wanted: str | None, output: Path | None
) -> None:
    """Lay TRACK's series out as a git repository: the release, then a commit for each patch."""
    from harness.commands import kernel as commands

    folder, version, number = commands.edit_series(track, settings, wanted, output)
    then = f"; once its commits are as you want them: neve kernel save {track} {folder}"
    click.echo(f"{folder}: Linux {version} and {number} patches{then if CHECKOUT else ''}")


@kernel.command("save")
@click.argument("track")
@click.argument("folder", type=Path)
def kernel_save(track: str, folder: Path) -> None:
    """Bring the commits of FOLDER, which `neve kernel edit` made, back into TRACK's series."""
    from harness.commands import kernel as commands

    click.echo(str(commands.save_series(track, folder)))


@kernel.command("import")
@click.argument("path", type=Path)
@_track
@click.option("--revision", help="Of a git repository; default HEAD if PATH is a bare one.")
def kernel_import(path: Path, track: str, revision: str | None) -> None:
    """Take a source tree, a tarball, a git repository or a linux-source package into the cache."""
    from harness.commands import kernel as commands

    source = commands.import_kernel(track, path, revision)
    click.echo(f"Linux {source.version}, SHA-256 {source.sha256}")


@kernel.command("list")
@_json
def kernel_list(as_json: bool) -> None:
    """List the kernels and the sources in the cache."""
    from harness.commands import kernel as commands

    listed = commands.list_kernels()
    if as_json:
        _print_json(listed)
        return
    for entry in listed:
        click.echo(f"{entry['what']:<7} {entry['track']:<9} {entry['version']:<10} {entry['key']}")


@cli.command()
@click.option("--level", type=click.Choice(["l0", "l1", "l2"]), required=True)
@click.option("--command", "-c", help="Run this and leave, with its exit status.")
@click.option("--playbook", type=Path, default=None, help="Whose host and kernels to use.")
@_only
@_host
def shell(
    level: str, command: str | None, playbook: Path | None, only: str | None, host: str | None
) -> None:
    """Boot up to a level and hand over its prompt (Ctrl-] leaves)."""
    from harness.commands.shell import shell as open_shell

    sys.exit(open_shell(level, command, playbook, only, host))


@cli.command()
@click.argument("inventory", type=Path)
@_hosts
@click.option(
    "--playbook",
    "playbooks",
    type=Path,
    multiple=True,
    help="Send what this one boots; may be given more than once.",
)
@_wait
@_json
def deploy(
    inventory: Path,
    hosts: tuple[str, ...],
    playbooks: tuple[Path, ...],
    wait: float,
    as_json: bool,
) -> None:
    """Examine the servers of INVENTORY and send them what playbooks boot."""
    from harness.commands import deploy as commands

    said, errors = commands.deploy_all(inventory, hosts, playbooks, wait)
    if as_json:
        _print_json(
            {name: [finding.as_dict() for finding in findings] for name, findings in said.items()}
        )
    else:
        for name, findings in said.items():
            click.echo("\n".join([f"{name}:", *(finding.as_text() for finding in findings)]))
    if errors:
        raise together(errors)


@cli.command()
@click.argument("inventory", type=Path, required=False)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="H",
    help="Only this one; without INVENTORY also user@address[:port].",
)
@_wait
def undeploy(inventory: Path | None, hosts: tuple[str, ...], wait: float) -> None:
    """Remove all that is ours from the servers of INVENTORY (default ./lab.yaml), or from a host at
    an address."""
    from harness.commands import deploy as commands

    errors = commands.undeploy_all(inventory, hosts, wait)
    if errors:
        raise together(errors)


@cli.command()
@_host
@_inventory
@_json
def doctor(host: str | None, inventory: Path | None, as_json: bool) -> None:
    """Say what this machine, or a host, can and can't do, and how to fix it."""
    from harness.commands import doctor as checks

    findings = checks.examine(host, inventory)
    if as_json:
        _print_json([finding.as_dict() for finding in findings])
    else:
        for finding in findings:
            click.echo(finding.as_text())
    if not all(finding.good for finding in findings if finding.needed):
        sys.exit(2)


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, default=str))


def _interrupted(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors are one line (and what they carry), never a traceback."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        getpass.getuser()
    except (KeyError, OSError):  # in a container, say: libraries of ours ask for the name, too
        os.environ["LOGNAME"] = str(os.getuid())
    for stream in (sys.stdout, sys.stderr):  # a terminal's encoding may lack what a report has
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        refuse_foreign(Path(sys.argv[0]))
        cli(arguments, standalone_mode=False)
    except click.exceptions.Abort:
        _leave("interrupted", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (HarnessError, OSError) as error:
        meant = explain(error)
        _leave(str(meant), meant.exit_code)
    except KeyboardInterrupt:
        _leave("interrupted", 130)


def _leave(message: str, status: int) -> None:
    click.echo(f"neve: {message}", err=True)
    sys.exit(status)
