# SPDX-License-Identifier: MIT
"""Consoles: the only package that imports pexpect."""

from harness.machine.console.console import Console
from harness.machine.console.shell import Place, Program, Shelf, Shell

__all__ = ["Console", "Place", "Program", "Shelf", "Shell"]
