# SPDX-License-Identifier: MIT
"""Whether a run did what its plan said."""

import json
import os
import re
import subprocess
import sys

from harness.paths import ROOT


def planned(*arguments, cwd):
    """What `neve plan` says."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", "plan", *map(str, arguments), "--json"],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def differences(commands, recorded):
    """Of command lines, {name: argv}: those that only one has, and those that are not the planned
    ones with one file for each symbol."""
    found = sorted(set(commands) ^ set(recorded))
    return found + [
        f"{name}: {recorded[name]}"
        for name in commands
        if name in recorded and not _stands_for(commands[name], recorded[name])
    ]


def _stands_for(plan, real):
    pattern = re.sub(r"<[a-z0-9.\\-]+>", r"[^\\s<>]+", re.escape("\n".join(plan)))
    return re.fullmatch(pattern, "\n".join(real)) is not None
