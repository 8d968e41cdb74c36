# SPDX-License-Identifier: MIT
"""The command `neve`: parse, call, print. No logic."""

import getpass
import io
import os
import signal
import sys
from pathlib import Path

import click

from harness.cli import defaults
from harness.cli.begin import completion, init
from harness.cli.experiments import ab, bisect, matrix
from harness.cli.kernels import kernel
from harness.cli.lab import deploy, doctor, undeploy
from harness.cli.measure import plan, run, shell
from harness.cli.options import Group
from harness.cli.results import compare, history, report, runs, schema
from harness.cli.stock import cache
from harness.errors import HarnessError
from harness.holding import one_use
from harness.paths import refuse_foreign
from harness.process import explain

__all__ = ["cache", "cli", "history", "kernel", "main"]


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neve-harness", prog_name="neve")
@click.pass_context
def cli(context: click.Context) -> None:
    """Measure nested virtualization on ARM: on QEMU TCG, or on a server over SSH.

    Defaults of your own are read from ~/.config/neve/config.yaml, or from $NEVE_CONFIG.
    """
    defaults.apply(context)


for _command in (
    plan,
    run,
    ab,
    bisect,
    matrix,
    report,
    compare,
    runs,
    history,
    kernel,
    cache,
    shell,
    deploy,
    undeploy,
    schema,
    doctor,
    init,
    completion,
):
    cli.add_command(_command)


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
        with one_use():
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
