# SPDX-License-Identifier: MIT
"""What Kernbench compiles: files of the kernel, preprocessed."""

import shutil
import tempfile
import tomllib
from pathlib import Path

from harness.build.kernel.applying import apply_series
from harness.build.kernel.build import kbuild
from harness.build.kernel.source import Source, unpack
from harness.build.toolchain import Toolchain
from harness.cache import Cache, content_key
from harness.errors import InfrastructureError
from harness.paths import IMAGES
from harness.process import ProcessError


def kernbench(cache: Cache, source: Source) -> Path:
    """Folder with the preprocessed files of `source`, and the compiler's `options` for them."""
    recipe = tomllib.loads((IMAGES / "kernbench.toml").read_text(encoding="utf-8"))
    toolchain = Toolchain.find()

    def make(folder: Path) -> None:
        log = cache.log("kernbench")
        with (
            cache.lock(f"tree-{source.track}-{source.key}"),
            tempfile.TemporaryDirectory(prefix="neve-kernbench-", dir=cache.trees) as objects,
        ):
            tree = unpack(cache, source)
            apply_series(tree, source.version, [])
            goals = [str(Path(name).with_suffix(".i")) for name in recipe["sources"]]
            try:
                kbuild(tree, Path(objects), toolchain, log, ["allnoconfig"])
                kbuild(tree, Path(objects), toolchain, log, goals)
            except ProcessError as error:
                raise InfrastructureError(
                    f"the files of Kernbench could not be made: {error.tail}\nlog: {log}"
                ) from error
            for goal in goals:
                shutil.copy(Path(objects) / goal, folder / goal.replace("/", "-"))
        (folder / "options").write_text(" ".join(recipe["options"]) + "\n", encoding="utf-8")

    key = content_key([recipe, source.sha256, toolchain.version])
    return cache.artifact("kernbench", key, make)
