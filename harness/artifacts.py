# SPDX-License-Identifier: MIT
"""Everything that boots, found or built before a run starts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cache import Cache, file_sha256
from harness.debian import Debian
from harness.image.microbench import microbench
from harness.image.rootfs import Roots, l1_initramfs, rootfs
from harness.kernel.build import Kernel, build
from harness.kernel.source import find
from harness.kernel.track import Track
from harness.progress import Progress


@dataclass(frozen=True)
class Artifacts:
    """Local files. `nested` is what L1 finds below /images, by name."""

    kernel: Kernel
    roots: Roots
    l1_initramfs: Path
    microbench: Path
    nested: dict[str, Path]

    def describe(self) -> dict[str, Any]:
        """Versions and hashes, for the metadata."""
        return {
            "kernel": {"version": self.kernel.version, "key": self.kernel.key,
                       "sha256": file_sha256(self.kernel.image)},
            "rootfs": {"sha256": file_sha256(self.roots.hypervisor),
                       "packages": self.roots.packages},
            "microbench": {"sha256": file_sha256(self.microbench)},
        }


def prepare(
    cache: Cache, progress: Progress, *, track: str, kernel: str | None = None,
    payload: Path | None = None,
) -> Artifacts:
    """Find or build what track `track` boots; `payload` is a guest image of the user's own."""
    line = Track.load(track)
    with progress.stage("kernel source"):
        source = find(cache, line, wanted=kernel)
    with progress.stage(f"kernel {source.version}"):
        built = build(cache, source, line)
    with progress.stage("images"):
        roots = rootfs(cache, Debian.load())
        guest = microbench(cache)
        nested = {"microbench.bin": guest, "Image": built.image, "guest.cpio": roots.guest}
        if payload:
            nested["payload"] = payload
        initramfs = l1_initramfs(cache, roots.hypervisor, nested)
    return Artifacts(built, roots, initramfs, guest, nested)
