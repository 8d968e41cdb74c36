# SPDX-License-Identifier: MIT
"""Where the project's own data lies: the checkout that this package belongs to."""

from pathlib import Path

from harness.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "images"
KERNEL_PATCHES = ROOT / "kernel-patches"
PLAYBOOKS = ROOT / "playbooks"


def expanded(path: Path, what: str) -> Path:
    """`path` with its `~` or `~user` replaced. Raises UserError if there is no such home; `what`
    names it there."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UserError(
            f"{what}: {path} is in no home folder: there is no such user, or HOME is not set"
        ) from error
