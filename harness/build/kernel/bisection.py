# SPDX-License-Identifier: MIT
"""git's own bisect, in a bare repository of ours that reads the objects of the user's."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.build.kernel.repository import Repository
from harness.build.kernel.revision import OWN, Revision, bare
from harness.errors import UserError
from harness.process import ProcessError

Mark = Literal["good", "bad", "skip"]


@dataclass(frozen=True)
class Bisection:
    """The one under way in the repository `path`."""

    path: Path

    @classmethod
    def start(cls, path: Path, good: Revision, bad: Revision) -> "Bisection":
        """A new one in `path`. Raises UserError if the two have nothing to do with each other."""
        own = bare(path, good)
        shallow = good.repository / "shallow"
        if shallow.exists():
            shutil.copyfile(shallow, path / "shallow")
        own.git("update-ref", "refs/heads/bad", bad.commit, env=OWN)
        own.git("symbolic-ref", "HEAD", "refs/heads/bad", env=OWN)
        found = cls(path)
        try:
            found._git("merge-base", good.commit, bad.commit)
            found._git("bisect", "start", "--no-checkout", bad.commit, good.commit)
        except ProcessError as error:
            raise UserError(
                f"{good.origin} and {bad.commit} can't be bisected: "
                f"{error.complaint or 'they have no commit in common'}"
            ) from error
        return found

    @property
    def current(self) -> str:
        """The commit that is to be looked at."""
        return self._git("rev-parse", "BISECT_HEAD")

    @property
    def estimate(self) -> int:
        """About how many steps are left, this one included."""
        bad = self._git("rev-parse", "refs/bisect/bad")
        good = self._git("for-each-ref", "--format=%(objectname)", "refs/bisect/good-*").split()
        number = int(self._git("rev-list", "--count", bad, *(f"^{each}" for each in good)))
        return max(1, (number - 1).bit_length())

    def mark(self, commit: str, mark: Mark) -> None:
        """Say what `commit` is."""
        try:
            self._git("bisect", mark, commit)
        except ProcessError:
            if not self.suspects:  # git ends with a status where only skipped ones are left
                raise

    @property
    def log(self) -> str:
        """What git remembers, which `git bisect replay` takes."""
        return self._git("bisect", "log")

    @property
    def suspects(self) -> list[str]:
        """The first bad commit or, if some could not be looked at, all that it can be; nothing
        while it is looked for."""
        log = self.log
        found = re.findall(r"^# (?:possible )?first bad commit: \[([0-9a-f]+)\]", log, re.M)
        return list(dict.fromkeys(found))

    def told(self, commit: str) -> str:
        """`commit` as a line: its short name and its subject."""
        return self._git("log", "-1", "--format=%h %s", commit)

    def _git(self, *arguments: str) -> str:
        return Repository(self.path).git(*arguments, env=OWN).strip()
