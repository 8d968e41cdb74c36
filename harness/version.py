# SPDX-License-Identifier: MIT
"""Which harness this is: the release and, in a checkout, the commit."""

from pathlib import Path

from harness import __version__
from harness.errors import HarnessError
from harness.process import run

_CHECKOUT = Path(__file__).resolve().parents[1]


def harness_version() -> str:
    """`0.1.0`, in a checkout `0.1.0 (50ed1f3a2b4c)`, with a + where files differ from that."""
    if not (_CHECKOUT / ".git").exists():
        return __version__
    try:
        said = run(
            [
                "git",
                "-C",
                str(_CHECKOUT),
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
