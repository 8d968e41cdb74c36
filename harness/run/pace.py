# SPDX-License-Identifier: MIT
"""How long a run will take, judged by earlier ones on this machine."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cache import Cache, content_key, size_of
from harness.model.playbook import Cell
from harness.model.setup import Setup
from harness.run.capacity import machines_at_once
from harness.times import Span, Times

if TYPE_CHECKING:  # `neve plan` has no display
    from harness.progress import Progress

# Keys of a playbook that say which cells there are, not how long one takes.
_WHICH = {"name", "configurations", "benchmarks", "repetitions", "boots", "check"}


def stage_of(cell: Cell) -> str:
    """The stage in which `cell` is measured."""
    return f"{cell.host}: {cell.configuration}: {cell.benchmark}"


@dataclass(frozen=True)
class Pace:
    """Of runs of `setup`, by what is `known`; `settings` and `plan` name what must be equal for a
    stage, and for the whole, to take as long. So many emulated `machines` run at once."""

    setup: Setup
    times: Times
    known: Mapping[str, Span]
    settings: str
    plan: str
    machines: int

    @classmethod
    def of(cls, cache: Cache, setup: Setup) -> "Pace":
        """By what the cache remembers."""
        times, asked = Times(cache), setup.playbook.model_dump(mode="json")
        settings = {name: value for name, value in asked.items() if name not in _WHICH}
        machines = machines_at_once(setup)
        plan = content_key([asked, [cell.id for cell in setup.cells], machines])
        return cls(setup, times, times.known(), content_key(settings), plan, machines)

    def stage(self, name: str) -> Span | None:
        """What the stage `name` took; None if it is not known."""
        return self.known.get(self._stage(name))

    def rank(self, cells: Sequence[Cell]) -> tuple[float, ...]:
        """Of what has `cells` to measure: the higher, the earlier it is to be begun. What takes
        longest is first, so that those that run at once end together; before that, what nobody
        knows of, of which VMs have figures soonest."""
        taken = self._boot(cells)
        return (0, taken) if taken is not None else (1, -cells[0].configuration.guest_level)

    @property
    def seconds(self) -> float | None:
        """Of the whole run, if nothing has to be built; None if that is not known."""
        measuring = self.known.get(f"{self.plan} measuring")
        cells = measuring.median if measuring else self._sum()
        preparing = self.known.get(f"{self.settings} preparing")
        if cells is None or preparing is None:
            return None
        return preparing.least + cells

    @property
    def size(self) -> int | None:
        """In bytes, of the run's folder."""
        found = self.known.get(f"{self.plan} bytes")
        return int(found.median) if found else None

    def keep(self, progress: "Progress") -> None:
        """What stages took that went well, and all that came before the first cell."""
        taken = {self._stage(name): seconds for name, seconds in progress.last.items()}
        if progress.whole.preparing is not None:
            taken[f"{self.settings} preparing"] = progress.whole.preparing
        self.times.add(taken)

    def keep_whole(self, progress: "Progress", folder: Path) -> None:
        """What the run in `folder` took, and its size, if it was a whole one in which all went well
        and nothing was measured again."""
        whole, wanted = progress.whole, [stage_of(cell) for cell in self.setup.cells]
        if whole.preparing is None or sorted(whole.cells) != sorted(wanted):
            return
        if whole.ended == len(wanted) and progress.last.keys() >= set(wanted):
            self.times.add(
                {
                    f"{self.plan} measuring": whole.elapsed - whole.preparing,
                    f"{self.plan} bytes": size_of(folder),
                }
            )

    def _stage(self, name: str) -> str:
        return f"{self.settings} {name}"

    def _sum(self) -> float | None:
        """Of servers, which run at once, and of machines, which share our CPUs, those that take
        longest."""
        emulated = {host.name for host in self.setup.playbook.hosts if self.setup.machine(host)}
        machines: list[float] = []
        servers = [0.0]
        for cells in self.setup.boots(self.setup.cells).values():
            if (taken := self._boot(cells)) is None:
                return None
            (machines if cells[0].host in emulated else servers).append(taken)
        return max(*servers, _shared(machines, self.machines))

    def _boot(self, cells: Sequence[Cell]) -> float | None:
        """Of `cells`, with the boots that they need."""
        total = 0.0
        for cell in cells:
            if (taken := self.stage(stage_of(cell))) is None:
                return None
            total += taken.median
        boots = {(cell.host, cell.configuration, cell.repetition) for cell in cells}
        for host, configuration, _ in boots:
            if taken := self.stage(f"{host}: {configuration}: boot"):
                total += taken.median
        return total


def _shared(seconds: Iterable[float], among: int) -> float:
    """Until all that takes so many `seconds` is done, the longest begun first, `among` so many."""
    ends = [0.0] * max(1, among)
    for each in sorted(seconds, reverse=True):
        heapreplace(ends, ends[0] + each)
    return max(ends)
