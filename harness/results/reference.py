# SPDX-License-Identifier: MIT
"""The paper's numbers, each with its source; what the paper does not give is not there."""

from pathlib import Path

import pandas as pd

from harness.errors import UserError

_COLUMNS = ["benchmark", "configuration", "metric", "value", "source"]


def load(path: Path | None = None) -> pd.DataFrame:
    """Columns benchmark, configuration, metric (cost in cycles, ratio to vm, traps), value,
    source; `path` replaces the numbers that come with the package."""
    file = path or Path(__file__).with_name("reference.csv")
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{file} can't be read as reference numbers: {error}") from error
    if list(table.columns) != _COLUMNS:
        raise UserError(f"{file}: reference numbers have the columns {', '.join(_COLUMNS)}")
    return table


def lookup(table: pd.DataFrame, metric: str) -> pd.Series:
    """Values of `metric`, indexed by (benchmark, configuration)."""
    rows = table[table["metric"] == metric]
    return rows.set_index(["benchmark", "configuration"])["value"]
