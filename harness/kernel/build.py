# SPDX-License-Identifier: MIT
"""Builds kernels, once per key: source + configuration + compiler + build settings."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.cache import Cache, content_key, write_atomically
from harness.errors import InfrastructureError
from harness.kernel import config
from harness.kernel.source import Source, unpack
from harness.kernel.track import Track
from harness.process import ProcessError, require, run
from harness.toolchain import Toolchain

# Nothing of the machine, the user or the hour goes into the image.
_REPRODUCIBLE = {
    "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
    "KBUILD_BUILD_USER": "neve",
    "KBUILD_BUILD_HOST": "neve",
    "KBUILD_BUILD_VERSION": "1",
}


@dataclass(frozen=True)
class Kernel:
    """A kernel that is ready to boot."""

    version: str
    key: str
    image: Path

    @property
    def folder(self) -> Path:
        return self.image.parent


def kernel_key(source: Source, track: Track, toolchain: Toolchain) -> str:
    wanted = config.merge(track.fragments)
    return content_key([source.sha256, wanted, toolchain.version, _REPRODUCIBLE])


def build(cache: Cache, source: Source, track: Track) -> Kernel:
    """The kernel of `source`; built unless one with the same key is in the cache.

    Raises InfrastructureError with the compiler's last lines and the path of the build log.
    """
    toolchain = Toolchain.find()
    key = kernel_key(source, track, toolchain)

    def make(folder: Path) -> None:
        with cache.lock(f"tree-{source.track}-{source.key}"):
            _build_in_tree(cache, source, track, toolchain, folder)
        record = {
            "track": track.name, "version": source.version, "key": key,
            "source_sha256": source.sha256, "origin": source.origin,
            "compiler": toolchain.version, "settings": _REPRODUCIBLE,
        }
        write_atomically(folder / "kernel.json", json.dumps(record, indent=2) + "\n")

    folder = cache.artifact("kernel", key, make)
    return Kernel(source.version, key, folder / "Image")


def _build_in_tree(
    cache: Cache, source: Source, track: Track, toolchain: Toolchain, folder: Path
) -> None:
    tree = unpack(cache, source)
    objects = tree.parent / "obj"
    objects.mkdir(exist_ok=True)
    log = cache.log(f"kernel-{track.name}-{source.version}")
    wanted = config.merge(track.fragments)
    fragment = objects / "requested.config"
    fragment.write_text(config.render(wanted))

    def make(*goals: str) -> None:
        run(
            [require("make", "make"), "-s", f"-j{os.cpu_count()}", f"O={objects}", "ARCH=arm64",
             f"CROSS_COMPILE={toolchain.prefix}", *goals],
            cwd=tree, log=log, env={**_REPRODUCIBLE, "KCONFIG_ALLCONFIG": str(fragment)},
        )

    for program in ("flex", "bison", "bc"):
        require(program, program)
    try:
        make("allnoconfig")
        config.verify(wanted, (objects / ".config").read_text())
        make("Image")
    except ProcessError as error:
        raise InfrastructureError(
            f"Linux {source.version} did not build: {error.tail}\nlog: {log}"
        ) from error
    for name, kept in (("arch/arm64/boot/Image", "Image"), (".config", "config"),
                       ("System.map", "System.map")):
        shutil.copy2(objects / name, folder / kept)
    shutil.copy2(log, folder / "build.log")
