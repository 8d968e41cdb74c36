# SPDX-License-Identifier: MIT
"""What the names in a run's results mean, by the project's tables of the day it began.

A report tells it, and tells the same however the tables have changed since.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel

from harness.model.application import applications
from harness.model.aside import Aside
from harness.model.measurement import OPEN
from harness.model.operations import redirections
from harness.model.track import Track, e2h

_Hypervisor = Literal["nvhe", "vhe"]


class ApplicationLegend(BaseModel):
    """What a report says of an application."""

    model_config = OPEN

    title: str
    """Its name as it writes it itself."""
    unit: str
    """Of its figure."""
    better: Literal["higher", "lower"]
    """Which figure is the better one."""

    def overhead(self, native: float, measured: float) -> float:
        """How many times the native cost: 1 is no overhead, whichever direction is better."""
        return native / measured if self.better == "higher" else measured / native


class Legend(BaseModel):
    """What a report says of a track and of applications."""

    model_config = OPEN

    compared: str
    """How far figures of the track compare with the paper's."""
    redirections: dict[_Hypervisor, dict[str, str]] = {}
    """By kind of guest hypervisor (vhe: E2H=1) and by what NEVE makes of an access ("memory",
    "memory (reads)", "EL1 register", "trap"): the names of registers and instructions, with
    spaces between."""
    asides: tuple[Aside, ...] = ()
    """Where traps part from the paper's."""
    applications: dict[str, ApplicationLegend] = {}
    """The run's applications."""

    @classmethod
    def of(cls, track: str, benchmarks: Iterable[str]) -> "Legend":
        """What the tables say today. Raises UserError for a track that is unknown."""
        names = [name for name in benchmarks if name in applications()]
        loaded = Track.load(track)
        return cls(
            compared=loaded.compared,
            asides=() if names else loaded.asides,
            redirections={}
            if names
            else {"nvhe": _by_kind(track, e2h=False), "vhe": _by_kind(track, e2h=True)},
            applications={
                name: ApplicationLegend(
                    title=applications()[name].title,
                    unit=applications()[name].unit,
                    better=applications()[name].better,
                )
                for name in names
            },
        )

    def redirected(self, configuration: str) -> dict[str, str]:
        """{register or instruction: what NEVE makes of its accesses in `configuration`}."""
        kinds = self.redirections["vhe" if e2h(configuration) else "nvhe"]
        return {name: kind for kind, names in kinds.items() for name in names.split()}


def _by_kind(track: str, *, e2h: bool) -> dict[str, str]:
    kinds: dict[str, list[str]] = {}
    for name, kind in redirections(track, e2h=e2h).items():
        kinds.setdefault(kind, []).append(name)
    return {kind: " ".join(names) for kind, names in kinds.items()}
