# SPDX-License-Identifier: MIT
"""Which harness this is: the release, from git's tags, and in a checkout the commit."""

from importlib.metadata import PackageNotFoundError, version

from harness.errors import HarnessError
from harness.paths import CHECKOUT
from harness.process import run

PACKAGE = "neve-harness"


def release() -> str:
    """`0.1.0`, or `0.2.dev12+g50ed1f3` of what is between releases; of a checkout, when it was
    installed. `unknown` where nothing is installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "unknown"


def harness_version() -> str:
    """`0.1.0`, in a checkout `0.1.0 (50ed1f3a2b4c)`, with a + where files differ from that."""
    if CHECKOUT is None or not (CHECKOUT / ".git").exists():
        return release()
    try:
        said = run(
            [
                "git",
                "-C",
                str(CHECKOUT),
                "describe",
                "--always",
                "--abbrev=12",
                "--exclude=*",
                "--dirty=+",
            ],
            timeout=60,
        )
    except (HarnessError, OSError):  # no git, or a checkout of somebody else's
        return release()
    return f"{release().partition('+')[0]} ({said.strip()})"
