# SPDX-License-Identifier: MIT
"""Trap sequences as text: what a cell keeps of them, and how two of them differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, TypeAdapter

Exits = tuple[tuple[str, ...], ...]
"""The exits of an operation, as `vEL2 MSR CPACR_EL1`: those of vCPU 0, and of each other one."""


_MOST = 4096  # exits of a vCPU: no operation takes so many, and comparing them takes their square
_Exit = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,100}$")]


class _Kept(BaseModel):
    operations: Annotated[int, Field(ge=0)]
    exits: tuple[Annotated[tuple[_Exit, ...], Field(max_length=_MOST)], ...]


_KEPT = TypeAdapter(list[_Kept])


def modal(samples: Sequence[Mapping[str, Any]]) -> Exits | None:
    """The commonest sequence in the `samples` of a cell; None if that keeps none. Raises
    ValueError if it is damaged."""
    kept = next((sample["sequences"] for sample in samples if "sequences" in sample), None)
    if kept is None:
        return None
    found = _KEPT.validate_python(kept)
    if not found:
        raise ValueError("a cell's sequences are empty")
    return found[0].exits


def lines(exits: Exits) -> list[str]:
    """An exit a line; those of other vCPUs than 0 name theirs, `IRQ @1`."""
    return [line for vcpu, own in enumerate(exits) for line in _lines(own, vcpu)]


def _lines(own: Sequence[str], vcpu: int) -> list[str]:
    return [f"{each} @{vcpu}" if vcpu else each for each in own]


def difference(before: Exits, after: Exits) -> list[str]:
    """What is gone and what is new, and where, in the order of each vCPU:
    `+ vEL2 MSR MDSCR_EL1 after vEL2 MSR CPACR_EL1 (5 of 9)`; nothing if both are equal.

    A line that is gone has its place in `before`, a new one in `after`. As few lines as can be.
    """
    found = []
    for vcpu in range(max(len(before), len(after))):
        old, new = (
            _lines(exits[vcpu], vcpu) if vcpu < len(exits) else [] for exits in (before, after)
        )
        for sign, place in _edits(old, new):
            mine = old if sign == "-" else new
            where = f"after {mine[place - 1]}" if place else "first"
            found.append(f"{sign} {mine[place]} {where} ({place + 1} of {len(mine)})")
    return found


def _edits(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, int]]:
    """What makes `new` of `old`: "-" and an index in `old`, or "+" and one in `new`.

    By the longest common subsequence: difflib looks for the longest block instead, which in a
    sequence that repeats itself is often at the wrong place.
    """
    same = min(len(old), len(new))
    first = next((i for i in range(same) if old[i] != new[i]), same)
    same -= first
    last = next((i for i in range(same) if old[-1 - i] != new[-1 - i]), same)
    olds, news = old[first : len(old) - last], new[first : len(new) - last]
    common = [[0] * (len(news) + 1) for _ in range(len(olds) + 1)]  # of what is left of both
    for i in reversed(range(len(olds))):
        for j in reversed(range(len(news))):
            common[i][j] = (
                common[i + 1][j + 1] + 1
                if olds[i] == news[j]
                else max(common[i + 1][j], common[i][j + 1])
            )
    i = j = 0
    while i < len(olds) or j < len(news):
        if i < len(olds) and j < len(news) and olds[i] == news[j]:
            i, j = i + 1, j + 1
        elif j == len(news) or (i < len(olds) and common[i + 1][j] >= common[i][j + 1]):
            yield "-", first + i
            i += 1
        else:
            yield "+", first + j
            j += 1
