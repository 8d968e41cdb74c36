# SPDX-License-Identifier: MIT
"""Measurements as a tidy frame, one a row, and results.csv, which holds one."""

from collections.abc import Iterable
from dataclasses import asdict

import pandas as pd

from harness.model.measurement import COLUMNS, Measurement


def frame(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """Rows in the order they came, columns in the contract's order."""
    return pd.DataFrame([asdict(row) for row in measurements], columns=COLUMNS)


def read_csv(path: str) -> pd.DataFrame:
    """A results.csv with the schema's types: a host may be called `NA` or `007`."""
    numbers = {"gic": int, "value": float, "stdev": float, "iterations": int}
    return pd.read_csv(
        path,
        dtype={name: numbers.get(name, str) for name in COLUMNS},
        encoding="utf-8",
        keep_default_na=False,
        na_values={"stdev": [""], "value": [""]},
    )
