# SPDX-License-Identifier: MIT
"""The self-test of `images/selftest/`: a program, and a root file system that is nothing else."""

import stat
from pathlib import Path

from harness.build.image import cpio
from harness.build.image.hostile import operations_header
from harness.build.image.program import program
from harness.cache import Cache, content_key, file_sha256


def selftest(cache: Cache) -> Path:
    """The static program."""
    return program(cache, "selftest", "selftest", headers={"pv-ops.h": operations_header()})


def selftest_initramfs(cache: Cache) -> Path:
    """An initramfs whose first process is the program: a guest that boots in no time."""
    executable = selftest(cache)

    def make(folder: Path) -> None:
        with (folder / "selftest.cpio").open("wb") as stream:
            cpio.write(
                stream,
                iter([cpio.ArchiveMember("init", stat.S_IFREG | 0o755, executable.read_bytes())]),
            )

    key = content_key(["initramfs", file_sha256(executable)])
    return cache.artifact("selftest", key, make) / "selftest.cpio"
