# SPDX-License-Identifier: MIT
"""What a level's kernel is made of, as users name it: a version of Linux, a package, a tarball, a
tree, or a revision of a git repository, `~/linux@v7.3`."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from harness.errors import UserError
from harness.model.document import ONE_LINE, Form
from harness.model.version import VERSION

KernelChoice = Annotated[
    str,
    Field(min_length=1, max_length=4096),
    Form(ONE_LINE, "a version of Linux, a path, or repository@revision"),
]


class Level(StrEnum):
    """The levels that have a kernel."""

    L0 = "l0"
    L1 = "l1"
    L2 = "l2"

    @classmethod
    def of(cls, name: str) -> "Level":
        """That of a kernel which a track calls `name`: l0, l1-nvhe, …"""
        return cls(name[:2])


def is_release(choice: str) -> bool:
    """Whether it is a version of Linux, and no path."""
    return re.fullmatch(VERSION, choice, re.ASCII) is not None


def repository_and_revision(choice: str) -> tuple[str, str] | None:
    """The two parts of `repository@revision`; None if it has no revision. The last @ counts that
    is not one of git's own, as in `linux@main@{yesterday}`."""
    found = re.fullmatch(r"(.+?)@(?!\{)([^@]+(?:@\{[^}]*\})?.*)", choice)
    return (found[1], found[2]) if found else None


def choices_of(words: Sequence[str]) -> dict[Level, str]:
    """Of options `--kernel`: `l1=linux@main`, or without a level for all of them. Raises UserError
    if a level has two."""
    found: dict[Level, str] = {}
    for word in words:
        name, separator, choice = word.partition("=")
        named = bool(separator) and name.lower() in list(Level)
        levels = [Level(name.lower())] if named else list(Level)
        for level in levels:
            if level in found:
                raise UserError(f"--kernel {word}: {level} has a kernel already, {found[level]}")
            found[level] = choice if named else word
    return found
