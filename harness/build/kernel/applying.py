# SPDX-License-Identifier: MIT
"""Switches a kernel tree from one variant of a series to another, by GNU patch with fuzz 0."""

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.build.kernel.patches import Patch
from harness.errors import UserError
from harness.process import ProcessError, require, run


class DoesNotApplyError(UserError):
    """A patch does not apply, `patch` is its name. Exit code 2."""

    def __init__(self, patch: str, message: str) -> None:
        self.patch = patch
        super().__init__(message)


def apply_series(tree: Path, version: str, patches: Sequence[Patch]) -> None:
    """Make `tree` the pristine source with `patches`, whatever it was patched with before.

    Only files whose contents change are written, so make rebuilds only what follows from them.
    The originals of touched files are kept beside the tree, in `pristine/`.

    Raises UserError naming the patch, file and hunk that does not apply with fuzz 0; the tree is
    unchanged then.
    """
    originals = tree.parent / "pristine"
    originals.mkdir(exist_ok=True)
    for name in {file for patch in patches for file in patch.files}:
        _keep_original(tree / name, originals / name)
    with tempfile.TemporaryDirectory(prefix=".patch-", dir=tree.parent) as temporary:
        patched = Path(temporary)
        shutil.copytree(originals, patched, dirs_exist_ok=True)
        for absent in patched.rglob("*.absent"):
            absent.unlink()
        for patch in patches:
            apply_patch(patch, patched, version)
        _synchronize(originals, patched, tree)


def _keep_original(file: Path, kept: Path) -> None:
    absent = kept.with_name(f"{kept.name}.absent")
    if kept.exists() or absent.exists():
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        shutil.copy2(file, kept)
    else:
        absent.touch()


def apply_patch(patch: Patch, folder: Path, version: str) -> None:
    """Apply `patch` to the files in `folder`. Raises UserError naming patch, file and hunk."""
    try:
        run(
            [
                require("patch", "patch"),
                "-p1",
                "-F0",
                "--no-backup-if-mismatch",
                "--force",
                "--reject-file=-",
                "-d",
                str(folder),
            ],
            stdin=patch.text.encode(),
        )
    except ProcessError as error:
        said = " ".join(
            line
            for line in error.tail.splitlines()
            if re.search(r"^patching file|FAILED|can't find|malformed", line)
        )
        raise DoesNotApplyError(
            patch.name,
            f"{patch.name}.patch does not apply to Linux {version}: {said or error.tail}",
        ) from error


def _synchronize(originals: Path, patched: Path, tree: Path) -> None:
    for kept in sorted(path for path in originals.rglob("*") if path.is_file()):
        name = str(kept.relative_to(originals)).removesuffix(".absent")
        wanted, present = patched / name, tree / name
        if not wanted.exists():
            present.unlink(missing_ok=True)
        elif not present.exists() or wanted.read_bytes() != present.read_bytes():
            present.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(wanted, present)
