# SPDX-License-Identifier: MIT
"""What the command line refuses before any command looks at it."""

import math
from typing import Any

import click


class Command(click.Command):
    """Takes nothing that is given but empty: a shell variable that is not set would otherwise
    count as the option's default, and run everything."""

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
