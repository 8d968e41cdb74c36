# SPDX-License-Identifier: MIT
"""The architecture of this machine."""

import platform

_DEBIAN = {"aarch64": "arm64", "ppc64le": "ppc64el", "x86_64": "amd64"}


def architecture() -> str:
    """What Debian calls it: amd64, arm64, …"""
    machine = platform.machine()
    return _DEBIAN.get(machine, machine)
