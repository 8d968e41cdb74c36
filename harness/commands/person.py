# SPDX-License-Identifier: MIT
"""The name of the user."""

import getpass

from harness.errors import HarnessError
from harness.process import run


def myself() -> str:
    """The user's name as git knows it, or else the login name."""
    try:
        name = run(["git", "config", "user.name"], timeout=60).strip()
    except (HarnessError, OSError):
        name = ""
    return name or getpass.getuser()
