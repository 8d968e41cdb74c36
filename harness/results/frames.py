# SPDX-License-Identifier: MIT
"""Measurements as a tidy frame, one a row, and results.csv, which holds one."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from harness.errors import UserError
from harness.model.measurement import COLUMNS, SCHEMA, Measurement

_NUMBERS = {
    "gic": int,
    "value": float,
    "stdev": float,
    "iterations": int,
    "repetition": int,
    "share": float,
}
_TYPES = {name: _NUMBERS.get(name, str) for name in COLUMNS}
_MAYBE = ("value", "stdev", "share")  # where nothing is NaN


def frame(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """The rows in their order, with the columns in the order of results.csv and the types of
    `read_csv`."""
    rows = [vars(row) for row in measurements]
    return pd.DataFrame(rows, columns=COLUMNS).astype(_TYPES)


def read_csv(file: str | Path) -> pd.DataFrame:
    """Read a results.csv with the schema's types: a host may be called `NA` or `007`. Raises
    UserError if the file is damaged or comes from an older harness, whose file lacks columns (`neve
    report` derives it again), or from a newer harness.
    """
    again = "neve report RUN derives it again from the run's cells"
    try:
        table = pd.read_csv(
            file,
            dtype=_TYPES,
            encoding="utf-8",
            keep_default_na=False,
            na_values={name: [""] for name in _MAYBE},
        )
    except ValueError as error:
        raise UserError(f"{file} can't be read: {error}; {again}") from error
    for number in set(table["schema"]) if "schema" in table else {1}:
        if number < SCHEMA:
            raise UserError(f"{file} is of schema {number}, not {SCHEMA}: {again}")
        if number > SCHEMA:
            raise UserError(
                f"{file} was written by a newer harness (schema {number}; "
                f"this one reads {SCHEMA}): update it"
            )
    return table[COLUMNS]
