# SPDX-License-Identifier: MIT
"""Finds what users name as a kernel; `harness.model.kernel_choice` says how they name it."""

from pathlib import Path

from harness.build.kernel.revision import Revision, asked, find_revision, refuse_dirty
from harness.build.kernel.source import Source, find, import_source
from harness.cache import Cache
from harness.errors import HarnessError, UserError
from harness.model.kernel_choice import is_release, repository_and_revision
from harness.model.track import Track
from harness.paths import expanded

AnySource = Source | Revision


def chosen(cache: Cache, track: Track, choice: str | None) -> AnySource:
    """The source that `choice` names; the track's newest if that is None.

    Raises UserError if there is none such, or if it is no kernel of the track.
    """
    if choice is None or is_release(choice):
        return find(cache, track, wanted=choice)
    found = looked_up(track, choice)
    return import_source(cache, track, found, named=True) if isinstance(found, Path) else found


def looked_up(track: Track, choice: str) -> Path | Revision:
    """The file or the folder that `choice`, which is no release, names, or the revision; nothing is
    read but a repository. Raises UserError if there is none such."""
    path = expanded(Path(choice), "kernel")
    if path.exists():
        return _revision_of_tree(track, path) if path.is_dir() else path
    named = repository_and_revision(choice)
    if named is None:
        raise UserError(
            f"kernel {choice!r}: no such file or directory, and neither a version of Linux "
            "(7.3, 7.3.4) nor repository@revision"
        )
    return find_revision(track, expanded(Path(named[0]), "kernel"), named[1])


def _revision_of_tree(track: Track, path: Path) -> Path | Revision:
    """HEAD of a bare repository, or of a work tree without changes; a tree that is none of git's as
    it is."""
    if (path / "objects").is_dir():
        return find_revision(track, path, "HEAD")
    try:
        top = Path(asked(path, "rev-parse", "--show-toplevel"))
    except HarnessError:
        return path
    if top.resolve() != path.resolve():
        return path
    refuse_dirty(path)
    return find_revision(track, path, "HEAD")
