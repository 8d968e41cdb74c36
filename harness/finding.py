# SPDX-License-Identifier: MIT
"""A finding: one thing that was examined, its state, and how to fix it."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `needed` findings that are not good stop a run."""

    what: str
    good: bool
    found: str
    fix: str = ""
    needed: bool = True

    def as_text(self) -> str:
        sign = "ok  " if self.good else "FAIL" if self.needed else "note"
        fix = f"\n      -> {self.fix}" if self.fix and not self.good else ""
        return f"{sign}  {self.what}: {self.found}{fix}"

    def as_dict(self) -> dict[str, object]:
        return asdict(self)
