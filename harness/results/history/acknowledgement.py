# SPDX-License-Identifier: MIT
"""An acknowledgement: somebody accepts a change for the worse as the new normal."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Acknowledgement:
    """What changed in `series`, by the names of its key, up to the run that started at `until` is
    its new normal: `by` whom, why (`note`), and when (`at`); what is not known is empty or None."""

    series: Mapping[str, str]
    until: pd.Timestamp
    by: str
    note: str
    at: pd.Timestamp | None
