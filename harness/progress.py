# SPDX-License-Identifier: MIT
"""Stages with elapsed and expected time: as bars on a terminal, else as a line per stage, and in
the metadata."""

import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Timer

from rich.console import Console, RenderableType
from rich.progress import Progress as Bars
from rich.progress import ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from harness.amounts import duration
from harness.stages import Stages
from harness.times import Span
from harness.verbosity import PROGRAMS, verbosity

_LONG = 10.0  # seconds after which a log says what is under way
_WIDTH = 24


@dataclass
class _Whole:
    """How far it is: the stages that measure a cell, how many cells have ended, and the seconds
    that are expected of all."""

    since: float = field(default_factory=time.monotonic)
    expected: float | None = None
    cells: list[str] = field(default_factory=list)
    ended: int = 0
    preparing: float | None = None

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.since

    def standing(self) -> str:
        about = f" of about {duration(self.expected)}" if self.expected else ""
        return f"{self.ended} of {len(self.cells)}, {duration(self.elapsed)}{about}"


class Progress(Stages):
    """Shows stages, and remembers how long each took: `durations` all in all, `last` the last time
    that it went well, in seconds."""

    def __init__(self, console: Console | None = None) -> None:
        said = verbosity()
        self.console = console or Console(file=sys.stderr, highlight=False, quiet=said < 0)
        self.durations: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.whole = _Whole()
        self._expected: Callable[[str], Span | None] = lambda _name: None
        # Without colours there is no cursor that moves, either; lines of -v would tear bars.
        live = self.console.is_terminal and "NO_COLOR" not in os.environ and said < PROGRAMS
        self._display: _Bars | _Lines = _Bars(self.console) if live else _Lines(self._print)

    def expect(self, stage: Callable[[str], Span | None], whole: float | None) -> None:
        """By earlier runs: what a `stage` takes, by name, and how many seconds the `whole`."""
        self._expected, self.whole.expected = stage, whole

    def measure(self, stages: Iterable[str]) -> None:
        """Cells are measured from now on, each in one of `stages`."""
        if self.whole.preparing is None:
            self.whole.preparing = self.whole.elapsed
        self.whole.cells += stages

    def measured(self) -> None:
        """A cell has ended."""
        self.whole.ended += 1

    def begin(self, name: str) -> None:
        self._display.begin(name, self._expected(name), self.whole)

    def end(self, name: str, verdict: str, seconds: float) -> None:
        self._display.end(name)
        self.durations[name] = round(self.durations.get(name, 0.0) + seconds, 3)
        if verdict == "ok":
            self.last[name] = seconds
        self._print(f"{verdict:>6}  {name}  {seconds:.1f} s{self._beside(name)}")

    def _beside(self, name: str) -> str:
        """What was expected of a stage, and how far the whole is."""
        span, whole = self._expected(name), self.whole
        expected = f" (expected {_spoken(span)})" if span else ""
        if not whole.cells:
            return expected
        return f"{expected}  [{whole.standing()}]"

    def note(self, text: str) -> None:
        self._print(f"    {text}")

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)


def _spoken(span: Span) -> str:
    if span.steady:
        return duration(span.median)
    return f"{duration(span.least)} to {duration(span.most)}"


class _Lines:
    """For a log: says what is under way if that takes long."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._timers: dict[str, list[Timer]] = defaultdict(list)  # repetitions run at once, too

    def begin(self, name: str, span: Span | None, _whole: _Whole) -> None:
        line = f"... {name}{f', about {_spoken(span)}' if span else ''}"
        if span and span.least > _LONG:
            self._tell(line)
            return
        timer = Timer(_LONG, self._tell, [line])
        timer.daemon = True
        timer.start()
        self._timers[name].append(timer)

    def end(self, name: str) -> None:
        if timers := self._timers[name]:
            timers.pop(0).cancel()


class _Bars:
    """For a terminal: a line for the whole, and one for each stage that is under way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None
        self._under_way: dict[str, list[TaskID]] = defaultdict(list)

    def begin(self, name: str, span: Span | None, whole: _Whole) -> None:
        if self._bars is None:
            self._bars = Bars(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                _Bar(),
                _Clock(),
                console=self._console,
                transient=True,
            )
            self._bars.start()
            if whole.cells:
                self._bars.add_task("cells", total=None, whole=whole)
        expected = span.median if span and span.steady else None
        since = time.monotonic()
        task = self._bars.add_task(name, total=None, since=since, took=expected)
        self._under_way[name].append(task)

    def end(self, name: str) -> None:
        if self._bars and (tasks := self._under_way[name]):
            self._bars.remove_task(tasks.pop(0))
        if self._bars and not any(self._under_way.values()):
            self._bars.stop()
            self._bars = None


class _Bar(ProgressColumn):
    """Cells that have ended, or of a stage the time that is expected of it."""

    def render(self, task: Task) -> RenderableType:
        if whole := task.fields.get("whole"):
            return ProgressBar(len(whole.cells), whole.ended, _WIDTH)
        if took := task.fields["took"]:
            elapsed = time.monotonic() - task.fields["since"]
            return ProgressBar(took, min(elapsed, took), _WIDTH)
        return Text("")


class _Clock(ProgressColumn):
    """The time that has passed, and the time that is expected."""

    def render(self, task: Task) -> RenderableType:
        if whole := task.fields.get("whole"):
            return Text(whole.standing())
        elapsed, took = time.monotonic() - task.fields["since"], task.fields["took"]
        return Text(f"{duration(elapsed)}{f' of about {duration(took)}' if took else ''}")
