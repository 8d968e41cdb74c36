# SPDX-License-Identifier: MIT
"""Options that several commands share, and checks of what every command is given."""

import json
import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from harness.cli import words
from harness.verbosity import QUIET, set_verbosity


def _loudness(_context: click.Context, option: click.Parameter, times: int) -> None:
    if times:
        set_verbosity(QUIET if option.name == "quiet" else times)


def _verbosity() -> list[click.Option]:
    """Each command has them, and each group."""
    return [
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_loudness,
            help="Show which programs are run; twice: also which commands on hosts.",
        ),
        click.Option(
            ["-q", "--quiet"],
            count=True,
            expose_value=False,
            callback=_loudness,
            help="Print only results and errors.",
        ),
    ]


class Command(click.Command):
    """Refuses empty values: a shell variable that is not set would otherwise count as the option's
    default, and run everything."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.params += _verbosity()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given, _, _ = self.make_parser(ctx).parse_args(list(args))
        for parameter in self.get_params(ctx):
            value = given.get(str(parameter.name))
            values = value if isinstance(value, list | tuple) else [value]
            if "" in values and parameter.default != "":
                raise click.BadParameter("is empty: is a variable not set?", ctx, parameter)
        return super().parse_args(ctx, args)


class Group(Command, click.Group):
    """Of such commands."""

    command_class = Command
    group_class = type


class Seconds(click.FloatRange):
    """A time, in seconds, from `min` on."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a time", param, ctx)
        return seconds


class Age(click.ParamType[timedelta]):
    """A span of time: 30d, 12h, 2w."""

    name = "age"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        units = {"h": "hours", "d": "days", "w": "weeks"}
        number, unit = str(value)[:-1], units.get(str(value)[-1:])
        if unit is None or not number.isascii() or not number.isdecimal():
            self.fail(f"{value!r} is not a span of time: 12h, 30d or 2w", param, ctx)
        try:
            return timedelta(**{unit: int(number)})
        except OverflowError:
            self.fail(f"{value!r} is too long", param, ctx)


class Inches(click.ParamType[float]):
    """A length on paper, in inches: 3.3in, 84mm, 8.4cm, 240pt."""

    name = "length"
    least, most = 1.5, 40.0

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        units = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72}
        text, factor = str(value)[:-2], units.get(str(value)[-2:])
        if factor is None or not re.fullmatch(r"\d{1,4}(\.\d{1,4})?", text, re.ASCII):
            self.fail(f"{value!r} is not a length: 3.3in, 84mm, 8.4cm or 240pt", param, ctx)
        inches = float(text) * factor
        if not self.least <= inches <= self.most:
            self.fail(f"{value} is not between {self.least:g}in and {self.most:g}in", param, ctx)
        return inches


class Origin(click.ParamType[str]):
    """A name as KCIDB gives it to those who report."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch("[a-z0-9_]+", str(value)):
            self.fail(f"{value!r} is not a name of lower-case letters, digits and _", param, ctx)
        return str(value)


RUNS = Path("runs")

# The shell completes files; whoever reads one says whether it is there.
FILE = click.Path(path_type=Path, readable=False)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
PARTS: dict[str, Any] = {  # given more than once, what each names belongs to the part
    "metavar": "K=V,…",
    "multiple": True,
    "callback": lambda _context, _option, parts: ",".join(parts) or None,
}
ONLY = click.option(
    "--only",
    **PARTS,
    help="Only the cells that match: configuration=vm,benchmark=…",
    shell_complete=words.parts,
)
PLAYBOOK = click.argument("playbook", type=FILE, shell_complete=words.playbooks)
PLAYBOOK_OR_FALLBACK = click.argument(
    "playbook", type=FILE, shell_complete=words.playbooks, default=Path("fallback.yaml")
)
RESUME = click.option(
    "--resume",
    metavar="RUN",
    shell_complete=words.runs,
    help="Continue a run that was cut off.",
)
DATABASE = click.option(
    "--database",
    metavar="URL",
    help=("The history: a file or postgresql://…; default $NEVE_DATABASE, or runs/history.sqlite."),
)
HOST = click.option(
    "--host",
    metavar="H",
    help="A host of the playbook or of the inventory, or user@address[:port].",
    shell_complete=words.hosts,
)
HOSTS = click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="H",
    help="Only this host; may be given more than once.",
    shell_complete=words.hosts,
)
INVENTORY = click.option(
    "--inventory",
    type=FILE,
    is_eager=True,  # so that hosts of it can be completed
    metavar="FILE",
    help="Servers by name; default ./lab.yaml, if it is there.",
)
KERNELS = click.option(
    "--kernel",
    "kernels",
    multiple=True,
    metavar="[LEVEL=]K",
    help=(
        "The kernel of l0, l1 or l2, or of all: a version, a package, a tarball, a tree, or "
        "repository@revision."
    ),
)
WAIT = click.option(
    "--wait",
    type=Seconds(min=0),
    default=0.0,
    metavar="SECONDS",
    help="How long to wait for a server that another run uses.",
)


def print_json(data: Any) -> None:
    """For programs."""
    click.echo(json.dumps(data, indent=2, default=str))
