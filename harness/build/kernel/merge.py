# SPDX-License-Identifier: MIT
"""Brings a change of rendered text into the template that it is rendered from."""

import tempfile
from pathlib import Path

from harness.errors import UserError
from harness.process import ProcessError, require, run

_MOST_CONFLICTS = 127  # git-merge-file(1): a higher status is an error


def merged(template: str, before: str, after: str, file: str, what: str) -> str:
    """`template`, which renders to `before`, with the changes that make it render to `after`.

    Raises UserError naming the line of `file` at which `what`, the change, meets a template's own
    text.
    """
    if template == before:
        return after
    with tempfile.TemporaryDirectory(prefix="neve-merge-") as folder:
        paths = [Path(folder, name) for name in ("template", "before", "after")]
        for path, text in zip(paths, (template, before, after), strict=True):
            path.write_text(text, encoding="utf-8")
        try:
            run([require("git", "git"), "merge-file", "--diff3", *map(str, paths)])
        except ProcessError as error:
            if not 0 < error.status <= _MOST_CONFLICTS:
                raise
            marked = paths[0].read_text(encoding="utf-8")
            line = _line_of_conflict(template.split("\n"), marked.split("\n"))
            raise UserError(
                f"{file}:{line}: {what} changes what the template makes here of parameters or "
                "tables: make that change in the template, then save again; nothing was saved"
            ) from error
        return paths[0].read_text(encoding="utf-8")


def _line_of_conflict(template: list[str], marked: list[str]) -> int:
    """The line of the template, from 1, at which the first conflict in `marked` begins."""
    start = next(n for n, line in enumerate(marked) if line.startswith("<<<<<<< "))
    end = next(n for n, line in enumerate(marked) if line.startswith("||||||| "))
    ours = marked[start + 1 : end]
    places = [n for n in range(len(template)) if template[n : n + len(ours)] == ours]
    return min(places, key=lambda n: abs(n - start), default=start) + 1
