# SPDX-License-Identifier: MIT
"""`neve deploy`, `undeploy` and `doctor`."""

import sys
from pathlib import Path

import click

from harness.cli import words
from harness.cli.options import (
    AS_JSON,
    FILE,
    HOST,
    HOSTS,
    INVENTORY,
    WAIT,
    Command,
    print_json,
)
from harness.errors import together


@click.command(cls=Command)
@click.argument("inventory", type=FILE)
@HOSTS
@click.option(
    "--playbook",
    "playbooks",
    type=FILE,
    shell_complete=words.playbooks,
    multiple=True,
    help="Send what this one boots; may be given more than once.",
)
@WAIT
@AS_JSON
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
        print_json(
            {name: [finding.as_dict() for finding in findings] for name, findings in said.items()}
        )
    else:
        for name, findings in said.items():
            click.echo("\n".join([f"{name}:", *(finding.as_text() for finding in findings)]))
    if errors:
        raise together(errors)


@click.command(cls=Command)
@click.argument("inventory", type=FILE, required=False)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="H",
    help="Only this host; without INVENTORY also user@address[:port].",
)
@WAIT
@AS_JSON
def undeploy(inventory: Path | None, hosts: tuple[str, ...], wait: float, as_json: bool) -> None:
    """Remove all that is ours from the servers of INVENTORY (default ./lab.yaml), or from a host at
    an address."""
    from harness.commands import deploy as commands

    errors = commands.undeploy_all(inventory, hosts, wait)
    if as_json:
        print_json({"errors": [str(error) for error in errors]})
    if errors:
        raise together(errors)


@click.command(cls=Command)
@HOST
@INVENTORY
@AS_JSON
def doctor(host: str | None, inventory: Path | None, as_json: bool) -> None:
    """Check what this machine, or a host, can and can't do, and say how to fix it."""
    from harness.commands import doctor as checks

    findings = checks.examine(host, inventory)
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        for finding in findings:
            click.echo(finding.as_text())
    if not all(finding.good for finding in findings if finding.needed):
        sys.exit(2)
