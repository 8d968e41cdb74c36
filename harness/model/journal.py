# SPDX-License-Identifier: MIT
"""Events that a job sends to the process that owns the run folder."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.model.cell import CellRecord
from harness.stages import Stages


@dataclass(frozen=True)
class Begun:
    """A stage is under way."""

    stage: str


@dataclass(frozen=True)
class Ended:
    """A stage has ended, after so many seconds."""

    stage: str
    verdict: str
    seconds: float


@dataclass(frozen=True)
class Note:
    """A line for the user."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Entries of the metadata."""

    entries: dict[str, Any]


@dataclass(frozen=True)
class Transcript:
    """A console's, from a worker that does not see the run folder."""

    name: str
    content: bytes


Event = Begun | Ended | Note | Facts | Transcript | CellRecord


class Journal(Stages):
    """Takes events; all of them may be pickled."""

    @abstractmethod
    def record(self, event: Event) -> None: ...

    def begin(self, name: str) -> None:
        self.record(Begun(name))

    def end(self, name: str, verdict: str, seconds: float) -> None:
        self.record(Ended(name, verdict, seconds))

    def note(self, text: str) -> None:
        self.record(Note(text))


@dataclass
class Messages(Journal):
    """Hands each event on."""

    send: Callable[[Event], None]

    def record(self, event: Event) -> None:
        self.send(event)
