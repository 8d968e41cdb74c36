# SPDX-License-Identifier: MIT
"""What `neve ab`, `bisect` and `matrix` leave: a folder beside those of runs. Its experiment.json
says what was asked for, how far it has come, and what was found."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cache import write_atomically
from harness.errors import UserError
from harness.holding import hold
from harness.results.store import new_folder

_FILE = "experiment.json"


@dataclass
class Experiment:
    """The one in the folder `path`. Of what it `knows`, `kind` is the command, `state` as a run's,
    `told` what it has said, and `repeat` the command that does it again."""

    path: Path
    knows: dict[str, Any]

    @classmethod
    def create(cls, runs: Path, kind: str, playbook: str, facts: Mapping[str, Any]) -> "Experiment":
        """A new folder below `runs`, with `facts` of its own kind."""
        path = new_folder(runs, f"{playbook}-{kind}")
        found = cls(path, {"kind": kind, "state": "unfinished", "told": "", **facts})
        found.update()
        return found

    @classmethod
    def open(cls, runs: Path, name: str, kind: str | None = None) -> "Experiment":
        """The one called `name`. Raises UserError if there is none, or none of that `kind`."""
        try:
            knows = json.loads((runs / name / _FILE).read_text(encoding="utf-8"))
            right = kind in (None, knows["kind"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            wanted = f"`neve {kind}`" if kind else "ours"
            raise UserError(f"{runs / name} is not an experiment of {wanted}") from error
        if not right:
            raise UserError(f"{runs / name} is of `neve {knows['kind']}`, not of `neve {kind}`")
        return cls(runs / name, knows)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def resume(self) -> str:
        """The command that goes on with it."""
        return f"{self.knows['repeat']} --resume {self.name}"

    def update(self, **entries: Any) -> None:
        """Write what it knows, with `entries`."""
        self.knows |= entries
        write_atomically(self.path / _FILE, json.dumps(self.knows, indent=2) + "\n")

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever ends it, its folder says so; nobody deletes it meanwhile."""
        hold(self.path)
        self.update(state="unfinished")
        try:
            yield
        except BaseException:
            self.update(state="cut off")
            raise
        self.update(state="finished")


def experiments(runs: Path) -> list[Path]:
    """The folders of those below `runs`, by name."""
    return sorted(file.parent for file in runs.glob(f"*/{_FILE}"))
