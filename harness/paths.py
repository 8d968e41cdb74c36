# SPDX-License-Identifier: MIT
"""Where the project's own data lies: in the checkout that this package belongs to, or, where it is
installed without one, in the package itself."""

from pathlib import Path

from harness.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
CHECKOUT = ROOT if (ROOT / "kernel-patches").is_dir() else None
# A wheel has files below `data`; the links that a checkout has there are for making one.
_DATA = CHECKOUT or Path(__file__).resolve().with_name("data")
IMAGES = _DATA / "images"
KERNEL_PATCHES = _DATA / "kernel-patches"
PLAYBOOKS = _DATA / "playbooks"
PINNED = IMAGES / "pinned"  # starts a VMM with each of its vCPUs on a CPU of its own


def refuse_foreign(program: Path) -> None:
    """Raise UserError if this package is not the one of the checkout whose `program` was called,
    as after the checkout was copied, or if it has lost its data."""
    for lost in (IMAGES, KERNEL_PATCHES, PLAYBOOKS):
        if not lost.is_dir():
            raise UserError(f"{lost} is missing: install neve-harness again")
    folder = program.absolute().parent.parent
    if folder.name != ".venv" or not (folder.parent / "kernel-patches").is_dir():
        return
    if CHECKOUT and folder.parent.resolve() != CHECKOUT:
        raise UserError(
            f"{folder} belongs to {CHECKOUT}: `make venv` in {folder.parent} makes its own"
        )


def expanded(path: Path, what: str) -> Path:
    """`path` with its `~` or `~user` replaced. Raises UserError if there is no such home; `what`
    names it there."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UserError(
            f"{what}: {path} is in no home folder: there is no such user, or HOME is not set"
        ) from error
