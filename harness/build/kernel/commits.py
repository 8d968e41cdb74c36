# SPDX-License-Identifier: MIT
"""The commits of a repository that `harness.build.kernel.edit` laid out, as patches have them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build.kernel import message
from harness.build.kernel.edit import Base
from harness.build.kernel.repository import Identity, Repository
from harness.errors import UserError
from harness.process import ProcessError

_UNFIT = {
    r"^(old|new) mode |^new file mode (?!100644)": "changes the mode of a file",
    r"^Binary files ": "changes a binary file",
    "\N{REPLACEMENT CHARACTER}": "changes text that is not UTF-8",
}
_BUSY = ("rebase-merge", "rebase-apply", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD")


@dataclass(frozen=True)
class Commit:
    """A commit as a patch has it: its head, the diffs of the files that it changes and the contents
    of those that it adds, by path; `slug` is what its trailer names."""

    name: str
    head: str
    changes: Mapping[str, str]
    adds: Mapping[str, str]
    slug: str | None

    def same(self, other: "Commit", *, exact: bool) -> bool:
        """Whether it is the same patch; unless `exact`, wherever in the files its hunks are."""
        return (
            self.head == other.head
            and self.adds == other.adds
            and (
                self.changes.keys() == other.changes.keys()
                and all(
                    alike(self.changes[path], other.changes[path], exact=exact)
                    for path in self.changes
                )
            )
        )


def alike(old: str, new: str, *, exact: bool) -> bool:
    """Whether two diffs of a file are the same; unless `exact`, but for their hunks' positions."""

    def normal(text: str) -> str:
        return text if exact else re.sub(r"^@@ .*$", "@@", text, flags=re.M)

    return normal(old) == normal(new)


def opened(folder: Path, track: str) -> tuple[Repository, Base, str]:
    """The repository in `folder`, what it was laid out from, and its first commit.

    Raises UserError if it is none of the track's, or in a state that can't be saved.
    """
    repository = Repository(folder)
    try:
        root = repository.git("rev-list", "--max-parents=0", "HEAD").split()[-1]
        base = Base.of(repository.git("log", "-1", "--format=%B", root))
        busy = [
            name
            for name in _BUSY
            if (folder / repository.git("rev-parse", "--git-path", name).strip()).exists()
        ]
        dirty = repository.git("status", "--porcelain", "--untracked-files=no").split()
        merges = repository.git("rev-list", "--merges", f"{root}..HEAD").split()
    except ProcessError as error:
        raise UserError(
            f"{folder} was not made by `neve kernel edit {track}`: {error.complaint}"
        ) from error
    if base is None or base.track != track:
        raise UserError(
            f"{folder} was not made by `neve kernel edit {track}`"
            + (f", but by that of track {base.track}" if base else "")
        )
    if busy:
        raise UserError(f"{folder} is in the middle of a rebase, merge or cherry-pick: end that")
    if dirty:
        raise UserError(f"{folder} has changes that are not committed: {dirty[1]}")
    if merges:
        raise UserError(f"{folder}: commit {merges[0][:12]} is a merge: rebase instead")
    return repository, base, root


def read(repository: Repository, root: str, ids: Sequence[str]) -> list[Commit]:
    """The commits `ids`, of which the first one is on top of `root`, and each on the one before.
    Those of the author of `root` don't say who wrote them.

    Raises UserError if one can't be a patch.
    """
    user = repository.author(root)
    return [
        _commit(repository, parent, each, user)
        for parent, each in zip([root, *ids], ids, strict=False)
    ]


def _commit(repository: Repository, parent: str, commit: str, user: Identity) -> Commit:
    text, who = repository.git("log", "-1", "--format=%B", commit), repository.author(commit)
    name = f"commit {commit[:12]} ({text.partition(chr(10))[0]})"
    diff = repository.diff(parent, commit)
    if problem := _problem(text, diff):
        raise UserError(f"{name} {problem}")
    new = [path for path, part in diff.items() if re.match(r"diff --git .*\nnew file mode ", part)]
    slugs = re.findall(rf"^{message.NAME}: ([a-z0-9][a-z0-9-]*) *$", text, re.M)
    return Commit(
        name,
        message.stored(message.without_name(text), None if who == user else str(who)),
        {path: part for path, part in diff.items() if path not in new},
        {path: repository.git("show", f"{commit}:{path}") for path in new},
        slugs[-1] if slugs else None,
    )


def _problem(text: str, diff: Mapping[str, str]) -> str | None:
    """Why a commit can't be a patch."""
    if not diff:
        return "changes nothing: drop it"
    if re.match(r"(fixup|squash|amend)! ", text):
        return "waits for `git rebase -i --autosquash`"
    if re.search(r"^(---|diff |Index: )", text, re.M):
        return "has a line in its message that begins like a diff"
    if not all(
        "\n@@ " in part or "\nold mode " in part or "\nBinary " in part for part in diff.values()
    ):
        return "adds or removes an empty file"
    return next(
        (
            what
            for pattern, what in _UNFIT.items()
            if any(re.search(pattern, part, re.M) for part in diff.values())
        ),
        None,
    )
