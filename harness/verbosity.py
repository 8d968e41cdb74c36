# SPDX-License-Identifier: MIT
"""How much the harness says on standard error: -q nothing but errors, -v also the programs that it
runs, -vv also the commands that it gives to hosts.

The environment has it ($NEVE_VERBOSITY), so that our child processes say as much.
"""

import os
import sys

VARIABLE = "NEVE_VERBOSITY"
QUIET, PROGRAMS, COMMANDS = -1, 1, 2


def verbosity() -> int:
    """From -1 (quiet) to 2."""
    try:
        return int(os.environ.get(VARIABLE) or 0)
    except ValueError:
        return 0


def set_verbosity(level: int) -> None:
    """For this process and those that it starts."""
    os.environ[VARIABLE] = str(max(QUIET, min(level, COMMANDS)))


def tell(text: str, level: int) -> None:
    """A line, if as much is to be said."""
    if verbosity() >= level:
        sys.stderr.write(f"+ {text}\n")
