# SPDX-License-Identifier: MIT
"""One deadline, handed down: every wait knows what it waits for and how much time is left."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Deadline:
    """`seconds` from its creation; `awaited` completes "gave up waiting for …"."""

    seconds: float
    awaited: str
    _end: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_end", time.monotonic() + self.seconds)

    @property
    def left(self) -> float:
        """Seconds that are left, 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.left == 0.0
