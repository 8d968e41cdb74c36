# SPDX-License-Identifier: MIT
"""The steps of a bisection, and where they lead."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.build.kernel.bisection import Mark


@dataclass(frozen=True)
class Step:
    """What was found of a commit: the `value` of each expectation, None where there is none, and
    `why` it was skipped or is bad; `run` is the folder of its run, if it booted."""

    commit: str
    told: str
    mark: Mark
    values: tuple[float | None, ...] = ()
    why: str = ""
    seconds: float = 0.0
    run: str = ""

    def __str__(self) -> str:
        figures = ", ".join(f"{value:,.6g}" for value in self.values if value is not None)
        said = "; ".join(filter(None, (figures, self.why)))
        return f"{self.mark:<4} {self.told}{f' ({said})' if said else ''}, {self.seconds:.0f} s"


@dataclass(frozen=True)
class Found:
    """Where a bisection ended: the first bad commit, or all that it can be; what it is called; all
    steps; and a diff of the trap sequences of the newest good step and of the first bad commit."""

    folder: Path
    suspects: Sequence[str]
    told: Sequence[str]
    steps: Sequence[Step]
    difference: Sequence[str]

    def data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "folder": str(self.folder),
            "first_bad": self.suspects[0] if len(self.suspects) == 1 else None,
            "suspects": list(self.suspects),
            "steps": [asdict(step) for step in self.steps],
            "difference": list(self.difference),
        }

    @property
    def headline(self) -> str:
        """What was found, in a line."""
        if len(self.suspects) == 1:
            return f"{self.suspects[0]} is the first bad commit: {self.told[0]}"
        return "the first bad commit is one of these, which could not all be looked at:"

    def text(self) -> str:
        """For people."""
        lines = [str(step) for step in self.steps]
        lines += self.difference
        lines.append(self.headline)
        if len(self.suspects) > 1:
            lines += [f"  {told}" for told in self.told]
        return "\n".join([*lines, f"log: {self.folder / 'bisect.log'}"])
