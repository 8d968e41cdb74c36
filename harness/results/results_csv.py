# SPDX-License-Identifier: MIT
"""results.csv: a row a measurement, and in each the number of the format.

It is derived from the cells. If it is not as we left it, because of a crash or another program, it
is derived again.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.cache import write_atomically
from harness.model.cell import CellRecord
from harness.model.measurement import COLUMNS, SCHEMA, Measurement


@dataclass
class ResultsCsv:
    """The file, and the ids of the cells that we have put into it."""

    file: Path
    _cells: set[str] = field(default_factory=set)
    _left: tuple[int, ...] = ()

    def write(self, records: Iterable[CellRecord]) -> None:
        """Derive the file from all cells."""
        done = list(records)
        write_atomically(self.file, _text(row for record in done for row in record.measurements))
        self._cells = {record.id for record in done}
        self._left = self._state()

    def add(self, record: CellRecord) -> bool:
        """Append the rows of a cell. False if the file has to be derived again instead: it is not
        as we left it, or the cell had ended before."""
        if not self._left or self._state() != self._left or record.id in self._cells:
            return False
        with self.file.open("ab") as stream:
            stream.write(_text(record.measurements, header=False).encode())
        self._cells.add(record.id)
        self._left = self._state()
        return True

    def _state(self) -> tuple[int, ...]:
        """Differs once anybody has written to the file, or replaced or removed it."""
        try:
            found = self.file.stat()
        except OSError:
            return ()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _text(rows: Iterable[Measurement], *, header: bool = True) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, "schema"], lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows({**vars(row), "schema": SCHEMA} for row in rows)
    return text.getvalue()
