# SPDX-License-Identifier: MIT
"""Kernel configuration from fragments, with every requested option verified."""

import re
from collections.abc import Iterable
from pathlib import Path

from harness.errors import UserError

_LINE = re.compile(r"^(?:# )?(CONFIG_\w+)(?:=(\S+)| is not set)$")


class LostOptionsError(UserError):
    """Kconfig did not take options over. Exit code 2."""


def options(text: str) -> dict[str, str]:
    """{option: value} of a fragment or a .config; `n` where it says "is not set"."""
    matches = (_LINE.match(line.strip()) for line in text.splitlines())
    return {match[1]: match[2] or "n" for match in matches if match}


def merge(fragments: Iterable[Path]) -> dict[str, str]:
    """The options of all fragments; a later fragment overrides an earlier one."""
    merged: dict[str, str] = {}
    for fragment in fragments:
        merged.update(options(fragment.read_text(encoding="utf-8")))
    return merged


def render(wanted: dict[str, str]) -> str:
    """The text that Kconfig reads."""
    return "".join(
        f"# {name} is not set\n" if value == "n" else f"{name}={value}\n"
        for name, value in sorted(wanted.items())
    )


def verify(wanted: dict[str, str], config: str) -> None:
    """Raise LostOptionsError naming every option that Kconfig dropped or changed.

    allnoconfig with a fragment drops an option silently when its menu or a dependency is off.
    """
    got = options(config)
    lost = [
        f"{name}={value} (became {got.get(name, 'n')})"
        for name, value in wanted.items()
        if got.get(name, "n") != value
    ]
    if lost:
        raise LostOptionsError(
            "kernel options were not taken over, is a menu or a dependency off? " + ", ".join(lost)
        )
