# SPDX-License-Identifier: MIT
"""Why a count of traps differs from the paper's, as a track's series.toml explains."""

from pydantic import BaseModel, field_validator

from harness.model.measurement import OPEN


class Aside(BaseModel):
    """What to say about some registers where traps differ from the paper's count."""

    model_config = OPEN

    reasons: tuple[str, ...]
    """The registers that trap here."""
    said: str
    """Why the paper's count can be without them."""
    vhe: bool | None = None
    """The guest hypervisors that it is about: with VHE, without, or all."""

    @field_validator("said")
    @classmethod
    def _one_line(cls, said: str) -> str:
        return " ".join(said.split())
