# SPDX-License-Identifier: MIT
"""The computer that the harness runs on, and with it every emulated machine."""

import os
import platform
import re
from pathlib import Path
from typing import Any

import psutil


def computer() -> dict[str, Any]:
    """As `harness.model.metadata.Computer` has it."""
    return {
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory": psutil.virtual_memory().total,
        "system": f"{_distribution()}, Linux {platform.release()}",
    }


def _processor() -> str:
    """As Linux calls it; on arm64 it tells only numbers."""
    told = dict(
        re.findall(
            r"^([\w ]+?)\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M
        )
    )
    if model := told.get("model name"):
        return " ".join(model.split())
    if part := told.get("CPU part"):
        return f"{platform.machine()}, implementer {told.get('CPU implementer')}, part {part}"
    return platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "an unknown distribution"
