# SPDX-License-Identifier: MIT
"""Puts the user's defaults where commands look for them: into the environment and the options."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import verbosity
from harness.paths import expanded

if TYPE_CHECKING:
    from harness.model.defaults import Defaults

_VARIABLES = {
    "cache": "NEVE_CACHE",
    "database": "NEVE_DATABASE",
    "qemu": "NEVE_QEMU",
    "debian_mirror": "NEVE_DEBIAN_MIRROR",
    "kernel_mirror": "NEVE_KERNEL_MIRROR",
    "verbosity": verbosity.VARIABLE,
}
_OPTIONS = ("inventory", "wait", "scheduler", "check")


def apply(context: click.Context) -> None:
    """Give the commands of `context` the user's defaults, if there are any: what the command line
    or the environment says goes before them. Raises UserError if their file is damaged."""
    path = file_of_defaults()
    if path is None:
        return
    from harness.model.defaults import Defaults  # only now: who has none does not wait for it

    known = Defaults.load(path)
    for key, variable in _VARIABLES.items():
        value = getattr(known, key)
        if value is not None and not os.environ.get(variable):
            os.environ[variable] = str(value)
    context.default_map = _of_options(context.command, _values(known))


def file_of_defaults() -> Path | None:
    """The file that $NEVE_CONFIG names, or else the user's, if there is one."""
    if named := os.environ.get("NEVE_CONFIG"):
        return expanded(Path(named), "NEVE_CONFIG")
    try:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    except RuntimeError:  # who has no home has no file there
        return None
    path = folder / "neve" / "config.yaml"
    return path if path.is_file() else None


def _values(known: "Defaults") -> dict[str, Any]:
    found = {key: value for key in _OPTIONS if (value := getattr(known, key)) is not None}
    if Path("lab.yaml").is_file():  # that of this folder is nearer
        found.pop("inventory", None)
    return found


def _of_options(command: click.Command, values: dict[str, Any]) -> dict[str, Any]:
    """click's map of defaults: by the names of commands and of their options."""
    found: dict[str, Any] = {
        str(option.name): values[option.name]
        for option in command.params
        if isinstance(option, click.Option) and option.name in values
    }
    if isinstance(command, click.Group):
        found |= {name: _of_options(each, values) for name, each in command.commands.items()}
    return found
