# SPDX-License-Identifier: MIT
"""What the names in a run's results mean, by the project's tables when it began. Reports use this
even if the tables have changed since."""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Literal

from pydantic import BaseModel

from harness.model.application import applications
from harness.model.aside import Aside
from harness.model.measurement import OPEN
from harness.model.operations import redirections
from harness.model.track import Track, nv2

_Hypervisor = Literal["nvhe", "vhe", "nvhe-nv2", "vhe-nv2"]


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
    """By kind of guest hypervisor (vhe: E2H=1) and by what NEVE, or FEAT_NV2 where that is another
    thing (nv2), makes of an access ("memory", "memory (reads)", "EL1 register", "trap"): the names
    of registers and instructions, with spaces between."""
    emulated_by: dict[str, str] = {}
    """Configurations with the CPU's own virtual EL2, and each one's emulation."""
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
            redirections={} if names else _redirections(loaded),
            emulated_by={} if names else loaded.emulated_by,
            applications={
                name: ApplicationLegend(
                    title=applications()[name].title,
                    unit=applications()[name].unit,
                    better=applications()[name].better,
                )
                for name in names
            },
        )

    def redirected(self, *, e2h: bool, nv2: bool = False) -> dict[str, str]:
        """{register or instruction: what NEVE, or FEAT_NV2, makes of its accesses by a guest
        hypervisor with or without E2H}."""
        kinds = self.redirections[_hypervisor(e2h, nv2)]
        return {name: kind for kind, names in kinds.items() for name in names.split()}


def _hypervisor(e2h: bool, nv2: bool) -> _Hypervisor:
    if nv2:
        return "vhe-nv2" if e2h else "nvhe-nv2"
    return "vhe" if e2h else "nvhe"


def _redirections(track: Track) -> dict[_Hypervisor, dict[str, str]]:
    both = (False, True) if any(map(nv2, track.modes)) else (False,)
    return {
        _hypervisor(e2h, nv2): _by_kind(redirections(track.name, e2h=e2h, nv2=nv2))
        for nv2, e2h in product(both, (False, True))
    }


def _by_kind(found: Mapping[str, str]) -> dict[str, str]:
    kinds: dict[str, list[str]] = {}
    for name, kind in found.items():
        kinds.setdefault(kind, []).append(name)
    return {kind: " ".join(names) for kind, names in kinds.items()}
