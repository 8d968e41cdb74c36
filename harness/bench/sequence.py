# SPDX-License-Identifier: MIT
"""Exits to L0, operation by operation: the stream of L0's tracepoint, cut where each begins.

A histogram of exits also counts what is proportional to time: ticks, and what other CPUs do. The
stream says which exits belong to an operation, and in which order. Most operations take exactly the
same exits: the *modal sequence*, whose length is the number of traps. All other exits are the
background, which is reported separately, per second.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.bench.traps import Event
from harness.errors import GuestError
from harness.model.sequence import Exits, lines

MARK = "HVC"
# By what a benchmark's operation leaves the guest; virtual-eoi does not.
LEAVES_BY = {
    "hypercall": {"HVC"},
    "device-io": {"DABT"},
    "device-io-user": {"DABT"},
    "virtual-ipi": {"ICC_SGI1R_EL1", "DABT"},
    "virtual-eoi": set(),
}


@dataclass(frozen=True)
class Exit:
    """An exit to L0: of which vCPU of L1 (or of the VM), at which level, and why.

    `level` is "vEL2" for a guest hypervisor at its EL2, "L1" for its EL1 below that, else "",
    for the guest that is measured. `access` is R or W for a register.
    """

    vcpu: int
    level: str
    reason: str
    access: str = ""

    def __str__(self) -> str:
        name = {"": "", "R": "MRS ", "W": "MSR "}[self.access] + self.reason
        return f"{self.level} {name}".lstrip()


Operation = tuple[tuple[Exit, ...], ...]  # the exits of vCPU 0, and of each other one


@dataclass(frozen=True)
class Sequences:
    """What the operations of one benchmark took. `counts` are the different sequences, the
    commonest first, with how many operations took each; `background` are exits per second that
    belong to none of the commonest."""

    counts: tuple[tuple[Operation, int], ...]
    background: float

    @property
    def modal(self) -> Operation:
        return self.counts[0][0]

    @property
    def operations(self) -> int:
        return sum(number for _, number in self.counts)

    @property
    def share(self) -> float:
        """Of the operations that took the modal sequence."""
        return self.counts[0][1] / self.operations

    @property
    def traps(self) -> int:
        return sum(map(len, self.modal))

    def by_reason(self) -> Counter[str]:
        """The exits of the modal sequence by reason."""
        return Counter(each.reason for exits in self.modal for each in exits)

    def lines(self) -> list[str]:
        """The modal sequence, an exit a line; those of other vCPUs than 0 name theirs."""
        return lines(as_text(self.modal))


def as_text(operation: Operation) -> Exits:
    """An operation as cells keep it."""
    return tuple(tuple(map(str, exits)) for exits in operation)


def parse(text: str, event: Event) -> list[tuple[float, Exit]]:
    """The exits in `text`, lines of the ring buffer, with their times in seconds.

    Raises GuestError on a line that is no exit.
    """
    return [_parsed(line, event) for line in text.splitlines() if line.strip()]


def _parsed(line: str, event: Event) -> tuple[float, Exit]:
    found = event.pattern.search(line)
    if found is None:
        raise GuestError(f"no exit of the tracepoint {event.name}: {line!r}")
    code, why = int(found["code"]), int(found["why"], 16)
    return float(found["time"]), Exit(
        int(found["vcpu"]), found["level"] or "", event.reason(code, why), event.access(code, why)
    )


def cut(exits: Sequence[tuple[float, Exit]], benchmark: str, operations: int) -> Sequences:
    """The sequences of so many `operations` of `benchmark`, which lie between the guest's marks:
    two hypercalls before, and one behind.

    Raises GuestError if they are not all there: exits were lost, or do not mean what they should.
    """
    marks = [place for place, (_, each) in enumerate(exits) if _by_guest(each, {MARK})]
    if len(marks) < 3:
        raise GuestError(f"{benchmark}: the guest's marks are not among {len(exits)} exits")
    begin, last = marks[1], marks[-1]
    own = LEAVES_BY[benchmark]
    starts = [place for place in range(begin + 1, last) if _by_guest(exits[place][1], own)]
    if own and len(starts) != operations:
        raise GuestError(f"{benchmark}: {len(starts)} of {operations} operations left the guest")
    counts: Counter[Operation] = Counter()
    if own:
        for start, end in zip(starts, [*starts[1:], last], strict=True):
            counts[_by_vcpu([each for _, each in exits[start:end]])] += 1
    else:
        # The second mark leaves as the first does; what is more than that is not of the guest.
        beside = (last - begin) - (begin - marks[0])
        counts[()] = max(0, operations - beside)
        if beside > 0:
            counts[_by_vcpu([each for _, each in exits[begin:last]])] = min(beside, operations)
    ordered = tuple(counts.most_common())
    seconds = exits[last][0] - exits[begin][0]
    usual = ordered[0][1] * sum(map(len, ordered[0][0]))
    rest = (last - starts[0]) - usual if starts else (last - begin) - (begin - marks[0])
    return Sequences(ordered, max(0, rest) / seconds if seconds else 0.0)


def _by_guest(each: Exit, reasons: set[str]) -> bool:
    return each.vcpu == 0 and not each.level and each.reason in reasons


def _by_vcpu(exits: Sequence[Exit]) -> Operation:
    """In the order of each vCPU: which of two vCPUs was first is chance."""
    return tuple(
        tuple(each for each in exits if each.vcpu == vcpu)
        for vcpu in sorted({each.vcpu for each in exits})
    )
