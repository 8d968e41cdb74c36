# SPDX-License-Identifier: MIT
"""Hosts: where L0 runs. Nothing above this package knows which kind it is."""

from harness.machine.host.protocol import Completed, Host

__all__ = ["Completed", "Host"]
