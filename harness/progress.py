# SPDX-License-Identifier: MIT
"""Stages with elapsed time: live on a terminal, plain lines otherwise, and in the metadata."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn


@dataclass
class Progress:
    """Says what is under way, and remembers how long each stage took (seconds)."""

    console: Console = field(default_factory=lambda: Console(file=sys.stderr, highlight=False))
    durations: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage that ends well, or whose failure is said with its name."""
        started = time.monotonic()
        try:
            if self.console.is_terminal:
                with Bar(
                    SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
                    console=self.console, transient=True,
                ) as bar:
                    bar.add_task(name)
                    yield
            else:
                self.console.print(f"... {name}", markup=False, soft_wrap=True)
                yield
        except BaseException:
            self._close("failed", name, started)
            raise
        self._close("ok", name, started)

    def note(self, text: str) -> None:
        self.console.print(f"    {text}", markup=False, soft_wrap=True)

    def _close(self, verdict: str, name: str, started: float) -> None:
        took = time.monotonic() - started
        self.durations[name] = round(self.durations.get(name, 0.0) + took, 3)
        self.console.print(f"{verdict:>6}  {name}  {took:.1f} s", markup=False, soft_wrap=True)
