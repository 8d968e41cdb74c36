# SPDX-License-Identifier: MIT
"""The journal of a run: what jobs report goes into its folder and onto the display."""

from dataclasses import dataclass

from harness.model.cell import CellRecord
from harness.model.journal import Begun, Ended, Event, Facts, Journal, Note, Transcript
from harness.progress import Progress
from harness.results.store import RunFolder


@dataclass
class FolderJournal(Journal):
    """Into the run folder, and onto the display, which has figures as soon as there are some."""

    folder: RunFolder
    progress: Progress

    def record(self, event: Event) -> None:
        match event:
            case Begun(stage):
                self.progress.begin(stage)
            case Ended(stage, verdict, seconds):
                self.progress.end(stage, verdict, seconds)
            case Note(text):
                self.progress.note(text)
            case Facts(entries):
                self.folder.update(**entries)
            case Transcript(name, content):
                with (self.folder.consoles / name).open("ab") as stream:
                    stream.write(content)
            case CellRecord():
                self.folder.append(event)
                self.progress.measured()
                if figures := _figures(event):
                    self.progress.note(f"{event.id}: {figures}")


def _figures(record: CellRecord) -> str:
    """What a cell has measured, without the parts that a figure is made of."""
    totals = (row for row in record.measurements if not row.reason and not row.level)
    return ", ".join(f"{row.metric} {row.value:,.6g} {row.unit}" for row in totals)
