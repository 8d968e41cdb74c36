# SPDX-License-Identifier: MIT
"""Stages with elapsed time: live on a terminal, plain lines otherwise, and in the metadata."""

import os
import sys

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from harness.stages import Stages


class Progress(Stages):
    """Shows stages, and remembers how long each took (`durations`, seconds)."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False)
        self.durations: dict[str, float] = {}
        self._bar: Bar | None = None
        self._under_way: dict[str, TaskID] = {}

    def begin(self, name: str) -> None:
        if not self.console.is_terminal or "NO_COLOR" in os.environ:  # nor a cursor that moves
            self._print(f"... {name}")
            return
        if self._bar is None:
            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
                console=self.console,
                transient=True,
            )
            self._bar.start()
        self._under_way[name] = self._bar.add_task(name, total=None)

    def end(self, name: str, verdict: str, seconds: float) -> None:
        task = self._under_way.pop(name, None)
        if self._bar and task is not None:
            self._bar.remove_task(task)
        if self._bar and not self._under_way:
            self._bar.stop()
            self._bar = None
        self.durations[name] = round(self.durations.get(name, 0.0) + seconds, 3)
        self._print(f"{verdict:>6}  {name}  {seconds:.1f} s")

    def note(self, text: str) -> None:
        self._print(f"    {text}")

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)
