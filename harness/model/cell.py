# SPDX-License-Identifier: MIT
"""What became of a cell."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from harness.model.measurement import STRICT, Measurement


@dataclass(frozen=True)
class CellRecord:
    """How a cell ended. `samples` keeps all statistics of the guest, not only the median."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    id: str
    status: Literal["passed", "failed"]
    seconds: float
    measurements: tuple[Measurement, ...] = ()
    samples: tuple[dict[str, Any], ...] = ()
    error: str = ""

    @property
    def passed(self) -> bool:
        return self.status == "passed"
