# SPDX-License-Identifier: MIT
"""Events reach the run folder the same way from here and from another process."""

import pickle

from rich.console import Console

from harness.errors import GuestError
from harness.model.cell import CellRecord
from harness.model.journal import Facts, Messages, Transcript
from harness.process import ProcessError
from harness.progress import Progress
from harness.results.store import RunFolder
from harness.run.folder_journal import FolderJournal


def test_events_through_a_pickle(tmp_path):
    console = Console(record=True, width=100)
    folder = RunFolder.create(tmp_path, "run", {"commands": {"a: L0": ["x"]}})
    kept = FolderJournal(folder, Progress(console))
    journal = Messages(lambda event: kept.record(pickle.loads(pickle.dumps(event))))
    with journal.stage("a: boot"):
        journal.note("a note")
    journal.record(Facts({"commands": {"a: vm": ["y"]}, "state": "unfinished"}))
    journal.record(Transcript("a-vm.log", b"one\n"))
    journal.record(Transcript("a-vm.log", b"two\n"))
    journal.record(CellRecord("a/vm/1/hypercall", "failed", 1.0, error="why"))
    read = RunFolder.open(tmp_path, "latest")
    assert read.metadata.commands == {"a: L0": ("x",), "a: vm": ("y",)}
    assert read.records()[0].error == "why"
    assert (folder.consoles / "a-vm.log").read_text() == "one\ntwo\n"
    said = console.export_text()
    assert "a note" in said and "ok  a: boot" in said


def test_errors_survive_the_way_between_processes():
    for error in (GuestError("one line"), ProcessError(["make"], 2, "tail", None, "why")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.__dict__ == error.__dict__
