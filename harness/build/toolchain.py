# SPDX-License-Identifier: MIT
"""The C compiler for arm64."""

from dataclasses import dataclass

from harness.build.architecture import architecture
from harness.process import require, run


@dataclass(frozen=True)
class Toolchain:
    """The C compiler for arm64: a cross compiler, or the native one on an ARM host."""

    prefix: str
    version: str

    @classmethod
    def find(cls) -> "Toolchain":
        prefix = "" if architecture() == "arm64" else "aarch64-linux-gnu-"
        package = f"gcc-{prefix.rstrip('-')}" if prefix else "gcc"
        compiler = require(f"{prefix}gcc", package)
        return cls(prefix, run([compiler, "--version"]).splitlines()[0])
