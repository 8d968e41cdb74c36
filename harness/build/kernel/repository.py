# SPDX-License-Identifier: MIT
"""A git repository, and what git knows of its user."""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.process import ProcessError, require, run

# The form of diffs in a series, whatever the user's configuration says.
_DIFF = (
    "-p",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--unified=3",
    "--diff-algorithm=myers",
    "--indent-heuristic",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
# Where git finds its configuration, beside $HOME.
_PASSED_ON = ("XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")


@dataclass(frozen=True)
class Identity:
    """Who writes a commit or a mail."""

    name: str
    email: str

    @classmethod
    def of(cls, text: str) -> "Identity":
        """From `A Developer <dev@example.org>`, and whatever git puts behind that."""
        name, _, rest = text.partition(" <")
        return cls(name, rest.partition(">")[0])

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


@dataclass(frozen=True)
class Repository:
    """The git repository whose work tree is `path`."""

    path: Path

    def git(
        self, *arguments: str, stdin: str | None = None, env: Mapping[str, str] | None = None
    ) -> str:
        """What git answers. Raises ProcessError with its complaint."""
        where = (env or {}).get("GIT_WORK_TREE", str(self.path))
        return _git("-C", where, "--literal-pathspecs", *arguments, stdin=stdin, env=env)

    def author(self, commit: str) -> Identity:
        """Who wrote `commit`."""
        return Identity.of(self.git("log", "-1", "--format=%an <%ae>", commit))

    def diff(self, old: str, new: str) -> dict[str, str]:
        """{path: its diff} between two commits, in the form that a series has: without the hashes
        of blobs."""
        text = self.git("-c", "core.quotePath=false", "diff-tree", "-r", *_DIFF, old, new)
        return sections(text)

    @contextmanager
    def index(self, commit: str, work: Path) -> Iterator[dict[str, str]]:
        """The environment for an index of its own, which starts with the files of `commit`, and
        whose work tree is `work`."""
        with tempfile.TemporaryDirectory(prefix="neve-index-") as folder:
            directory = self.git("rev-parse", "--absolute-git-dir").strip()
            env = {
                "GIT_DIR": directory,
                "GIT_WORK_TREE": str(work),
                "GIT_INDEX_FILE": f"{folder}/index",
            }
            self.git("read-tree", commit, env=env)
            yield env


def sections(diff: str) -> dict[str, str]:
    """{path: its part} of a diff in git's form."""
    parts = re.split(r"^(?=diff --git )", diff, flags=re.M)
    found = {}
    for part in parts:
        if match := re.match(r"diff --git a/(.*) b/\1\n", part):
            found[match[1]] = re.sub(
                r"^index [0-9a-f]+\.\.[0-9a-f]+( \d+)?\n", "", part, count=1, flags=re.M
            )
    return found


def identity() -> Identity:
    """The user, by git's configuration alone. Raises UserError if it names none."""
    try:
        text = _git("-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT")
    except ProcessError as error:
        raise UserError(
            "git doesn't know who you are, for the author and the sign-off of the patches: "
            'git config --global user.name "Your Name"; git config --global user.email you@example'
        ) from error
    return Identity.of(text)


def _git(*arguments: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
    known = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return run(
        [require("git", "git"), *arguments],
        env={**known, **(env or {})},
        stdin=None if stdin is None else stdin.encode(),
    )
