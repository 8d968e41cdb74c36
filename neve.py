# SPDX-License-Identifier: MIT
"""The command `neve`: the package beside this file, whatever PYTHONPATH has of the same name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.cli import main

__all__ = ["main"]
