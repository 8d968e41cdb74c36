# SPDX-License-Identifier: MIT
"""What a run has measured: its folder, read once, as the tables from which a report is made."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from harness.errors import GuestError, UserError
from harness.model.cell import CellRecord
from harness.model.legend import Legend
from harness.model.metadata import Metadata
from harness.model.sequence import Exits, modal
from harness.plain import plain
from harness.results import bootstrap, reference, tables
from harness.results.frames import frame
from harness.results.overhead import overheads
from harness.results.store import RunFolder, Standing


@dataclass(frozen=True)
class Measured:
    """A run as its folder was at one moment."""

    folder: RunFolder
    metadata: Metadata
    records: tuple[CellRecord, ...]

    @classmethod
    def of(cls, folder: RunFolder) -> "Measured":
        """The run as it is now."""
        return cls(folder, folder.metadata, tuple(folder.records()))

    @cached_property
    def rows(self) -> pd.DataFrame:
        """All measurements, in the columns of results.csv."""
        return frame(row for record in self.records for row in record.measurements)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """All statistics that the guests gave, with the cell that each belongs to."""
        return pd.DataFrame(
            [
                {
                    "host": record.name.host,
                    "configuration": record.name.configuration,
                    **sample,
                }
                for record in self.records
                for sample in record.samples
            ]
        )

    @cached_property
    def sequences(self) -> dict[tuple[str, str, str], Exits]:
        """{(host, configuration, benchmark): the commonest trap sequence of its first repetition},
        where cells keep one. Raises UserError if they are damaged."""
        found: dict[tuple[str, str, str], Exits] = {}
        for record in self.records:
            try:
                exits = modal(record.samples)
            except ValueError as error:
                file = self.folder.path / "cells.jsonl"
                line = " ".join(str(error).split())
                raise UserError(f"{file} is damaged: {record.id}: {line}") from error
            if exits is not None:
                name = record.name
                found.setdefault((name.host, name.configuration, name.benchmark), exits)
        return found

    @cached_property
    def legend(self) -> Legend:
        """What the names in the results mean: by the run's own word or, as it is of before there
        was one, by the tables of today. Raises UserError if there is no such track."""
        if self.metadata.legend:
            return self.metadata.legend
        if self.metadata.track is None:
            raise UserError(f"{self.folder.path / 'metadata.json'} names no track")
        return Legend.of(self.metadata.track, self.metadata.playbook.get("benchmarks", []))

    @property
    def of_applications(self) -> bool:
        """Whether the run is one of applications."""
        return bool(self.legend.applications)

    @property
    def payload(self) -> str:
        """The image of the user's that was run; nothing if the run is another one."""
        return str((self.metadata.playbook.get("payload") or {}).get("image", ""))

    @property
    def of_operations(self) -> bool:
        """Whether the run is one of micro-benchmarks."""
        return not (self.payload or self.of_applications)

    @cached_property
    def ends(self) -> pd.DataFrame:
        """Of a payload: columns host, configuration, `status` (None where it did not end) and
        `console`, its file below consoles/; a nested guest's is that of its hypervisor."""
        unknown = {"status": None, "console": ""}
        rows = [
            (
                record.name.host,
                record.name.configuration,
                *(dict(*record.samples[:1] or (unknown,))[key] for key in unknown),
            )
            for record in self.records
        ]
        return pd.DataFrame(
            rows, columns=["host", "configuration", "status", "console"], dtype=object
        )

    @property
    def boots(self) -> bool:
        """Whether each repetition was in a boot of its own."""
        return int(self.metadata.playbook.get("boots", 1)) > 1

    @cached_property
    def standing(self) -> Standing:
        """How far the run has come."""
        return Standing.of(self.metadata, self.records)

    @cached_property
    def failures(self) -> str:
        """A line or more for each cell that failed."""
        return "\n".join(
            f"{record.id}: {plain(record.error)}" for record in self.records if not record.passed
        )

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The table of the report: `tables.summary` with `bootstrap.intervals`, or `overheads` of a
        run of applications, or `ends` of a payload.

        Raises GuestError if no cell finished.
        """
        if self.payload:
            return self.ends
        if self.rows.empty:
            raise GuestError(f"run {self.folder.id} has no finished cell\n{self.failures}".rstrip())
        if self.of_applications:
            return overheads(self.records, self.legend.applications, boots=self.boots)
        return tables.summary(self.rows, reference.load()).merge(
            bootstrap.intervals(self.records, boots=self.boots),
            how="left",
            on=["host", "benchmark", "configuration"],
        )
