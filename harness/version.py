# SPDX-License-Identifier: MIT
"""Which harness this is: the release and, in a checkout, the commit."""

from harness import __version__
from harness.errors import HarnessError
from harness.paths import CHECKOUT
from harness.process import run


def harness_version() -> str:
    """`0.1.0`, in a checkout `0.1.0 (50ed1f3a2b4c)`, with a + where files differ from that."""
    if CHECKOUT is None or not (CHECKOUT / ".git").exists():
        return __version__
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
        return __version__
    return f"{__version__} ({said.strip()})"
