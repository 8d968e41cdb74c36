# SPDX-License-Identifier: MIT
"""`neve plan`, `run` and `shell`."""

import shlex
import sys
from pathlib import Path

import click

from harness.cli import words
from harness.cli.options import (
    AS_JSON,
    DATABASE,
    FILE,
    HOST,
    INVENTORY,
    KERNELS,
    ONLY,
    PLAYBOOK,
    RESUME,
    RUNS,
    WAIT,
    Command,
    Seconds,
    print_json,
)
from harness.errors import UserError
from harness.model.shipped import shipped
from harness.paths import PLAYBOOKS

_PLAYBOOK = (
    f"PLAYBOOK is a file, or one that comes with neve: {', '.join(shipped())}. They are in\n\n"
    f"\b\n{PLAYBOOKS}"
)


@click.command(cls=Command, epilog=_PLAYBOOK)
@PLAYBOOK
@ONLY
@HOST
@INVENTORY
@KERNELS
@AS_JSON
def plan(
    playbook: Path,
    only: str | None,
    host: str | None,
    inventory: Path | None,
    kernels: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print the matrix and the command lines of PLAYBOOK, with the expected time and disk space,
    and run nothing."""
    from harness.commands.setup import read_setup

    setup = read_setup(playbook, only, host, inventory, kernels=kernels)
    from harness.commands.plan import describe, expectation

    described = describe(setup)
    if as_json:
        print_json(described)
        return
    for cell in described["cells"]:
        click.echo(cell)
    for line in described["skipped"]:
        click.echo(f"skipped: {line}")
    for name, argv in described["commands"].items():
        click.echo(f"\n{name}:\n  {shlex.join(argv)}")
    click.echo(f"\n{expectation(described['expected'])}")


@click.command(cls=Command, epilog=_PLAYBOOK)
@PLAYBOOK
@ONLY
@HOST
@INVENTORY
@KERNELS
@WAIT
@RESUME
@click.option("--scheduler", metavar="URL", help="Run on the Dask workers of this scheduler.")
@click.option(
    "--check/--no-check",
    default=None,
    help=(
        "Judge by the history: repeat what looks changed, fail if it got worse. Default: the "
        "playbook's."
    ),
)
@DATABASE
@click.option(
    "--payload", type=FILE, help="Boot this flat arm64 image, or readback, in place of benchmarks."
)
@click.option("--payload-arguments", default="", help="The image's command line.")
@click.option(
    "--payload-seconds",
    type=Seconds(min=1),
    metavar="SECONDS",
    help="How long the image may run; default 600.",
)
@AS_JSON
def run(
    playbook: Path,
    only: str | None,
    host: str | None,
    inventory: Path | None,
    kernels: tuple[str, ...],
    wait: float,
    resume: str | None,
    scheduler: str | None,
    check: bool | None,
    database: str | None,
    payload: Path | None,
    payload_arguments: str,
    payload_seconds: float | None,
    as_json: bool,
) -> None:
    """Run PLAYBOOK and report; results are in runs/latest."""
    from harness.commands.setup import read_setup
    from harness.model.playbook import Payload

    image = None
    if payload:
        image = Payload(
            image=payload, arguments=payload_arguments, seconds=payload_seconds or 600.0
        )
    elif payload_arguments or payload_seconds:
        option = "--payload-arguments" if payload_arguments else "--payload-seconds"
        raise UserError(f"{option} needs --payload")
    setup = read_setup(
        playbook, only, host, inventory, kernels=kernels, payload=image, here=scheduler is None
    )
    from harness.commands.run import conclusion, require_success
    from harness.commands.run import run as run_setup
    from harness.results.report import told

    folder = run_setup(RUNS, setup, resume, scheduler, check=check, database=database, wait=wait)
    if as_json:
        print_json(conclusion(folder))
    else:
        click.echo(told(folder.path))
        click.echo(f"report: {folder.path / 'report.html'}")
    require_success(folder)


@click.command(cls=Command)
@click.option("--level", type=click.Choice(["l0", "l1", "l2"]), required=True)
@click.option("--command", "-c", help="Run this command and exit with its status.")
@click.option(
    "--playbook",
    type=FILE,
    shell_complete=words.playbooks,
    help="The playbook whose host and kernels to use.",
)
@ONLY
@HOST
@INVENTORY
@KERNELS
@WAIT
def shell(
    level: str,
    command: str | None,
    playbook: Path | None,
    only: str | None,
    host: str | None,
    inventory: Path | None,
    kernels: tuple[str, ...],
    wait: float,
) -> None:
    """Boot up to a level and hand over its prompt (Ctrl-] leaves)."""
    from harness.commands.setup import read_setup
    from harness.commands.shell import shell as open_shell
    from harness.model.setup import Workload

    setup = read_setup(
        playbook or PLAYBOOKS / "fallback.yaml",
        only,
        host,
        inventory,
        kernels=kernels,
        workload=Workload.LINUX,
    )
    sys.exit(open_shell(setup, level, command, wait))
