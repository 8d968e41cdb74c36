# SPDX-License-Identifier: MIT
"""The C compiler for arm64."""

import platform
from dataclasses import dataclass

from harness.process import require, run


@dataclass(frozen=True)
class Toolchain:
    """The C compiler for arm64: a cross compiler, or the native one on an ARM host."""

    prefix: str
    version: str

    @classmethod
    def find(cls) -> "Toolchain":
        prefix = "" if platform.machine() == "aarch64" else "aarch64-linux-gnu-"
        package = f"gcc-{prefix.rstrip('-')}" if prefix else "gcc"
        compiler = require(f"{prefix}gcc", package)
        return cls(prefix, run([compiler, "--version"]).splitlines()[0])
