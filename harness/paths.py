# SPDX-License-Identifier: MIT
"""Where the project's own data lies: the checkout that this package belongs to."""

from pathlib import Path

from harness.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "images"
KERNEL_PATCHES = ROOT / "kernel-patches"
PLAYBOOKS = ROOT / "playbooks"
PINNED = IMAGES / "pinned"  # starts a VMM with each of its vCPUs on a CPU of its own


def refuse_foreign(program: Path) -> None:
    """Raise UserError if this package is not the one of the checkout whose `program` was called,
    as after the checkout was copied, or if it is in no checkout at all."""
    if not IMAGES.is_dir() or not KERNEL_PATCHES.is_dir():
        raise UserError(
            f"{ROOT} lacks images/ and kernel-patches/: neve runs from a checkout of its "
            "repository, where `make venv` installs it"
        )
    folder = program.absolute().parent.parent
    if folder.name == ".venv" and folder.parent.resolve() != ROOT:
        raise UserError(f"{folder} belongs to {ROOT}: `make venv` in {folder.parent} makes its own")


def expanded(path: Path, what: str) -> Path:
    """`path` with its `~` or `~user` replaced. Raises UserError if there is no such home; `what`
    names it there."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UserError(
            f"{what}: {path} is in no home folder: there is no such user, or HOME is not set"
        ) from error
