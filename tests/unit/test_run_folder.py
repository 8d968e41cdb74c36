# SPDX-License-Identifier: MIT
"""The run folder: what was measured is on the disk, whatever happens, and is read once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from itertools import count

import pytest

from harness.cache import write_atomically
from harness.errors import UserError
from harness.model.cell import CellName, CellRecord
from harness.model.playbook import Benchmark, Cell, Configuration
from harness.paths import ROOT
from harness.results.store import RunFolder
from tests.synthetic import measurement


def rows_of(folder):
    return (folder.path / "results.csv").read_text(encoding="utf-8")


def derived(folder):
    """What results.csv is if it is made from all cells at once."""
    before = rows_of(folder)
    RunFolder.open(folder.path.parent, folder.id).results.write(folder.records())
    after = rows_of(folder)
    return before, after


def record(number, value=1000.0):
    """A repetition of a cell; three rows."""
    rows = (("cost", "instructions", value, ""), ("traps", "exits", 1.0, ""))
    return CellRecord(
        f"server/vm/{number}/hypercall",
        "passed",
        1.0,
        tuple(
            measurement("r", figure, metric=metric, unit=unit, reason=reason, repetition=number)
            for metric, unit, figure, reason in (*rows, ("traps", "exits", 1.0, "HVC64"))
        ),
    )


@pytest.fixture
def folder(tmp_path):
    made = RunFolder.create(tmp_path / "runs", "test", {"track": "upstream"})
    made.append(record(1))
    made.append(record(2))
    return made


def test_results_follow_the_cells(folder):
    for number in range(3, 6):
        folder.append(record(number))
    before, after = derived(folder)
    assert before == after
    assert len(after.splitlines()) == 1 + 3 * 5


@pytest.mark.parametrize(
    "harm",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(file.read_bytes()[:-20]),
        lambda file: file.write_text("another program's"),
        lambda file: file.write_text(file.read_text() + "tcg,x\n"),
        lambda file: write_atomically(file, file.read_text()[:-40]),
    ],
)
@pytest.mark.parametrize("fresh", [True, False])
def test_results_that_are_not_as_we_left_them_are_derived_again(folder, harm, fresh):
    """After a crash, which a process of its own finds, and while a run is under way."""
    harm(folder.path / "results.csv")
    if fresh:
        folder = RunFolder.open(folder.path.parent, folder.id)
    folder.append(record(3))
    before, after = derived(folder)
    assert before == after
    assert len(after.splitlines()) == 1 + 3 * 3


def test_results_have_the_newest_rows_of_a_cell(folder):
    folder.append(record(1, 2000.0))
    before, after = derived(folder)
    assert before == after
    assert "2000.0" in after
    assert len(after.splitlines()) == 1 + 3 * 2


def appends_for_ever(runs, acknowledge):
    folder = RunFolder.create(runs, "x", {"track": "upstream"})
    for number in count(1):
        folder.append(record(number))
        os.write(acknowledge, b".")


@pytest.mark.parametrize("seed", range(10))
def test_a_run_that_is_killed_loses_no_row(tmp_path, seed):
    """Wherever it was: the next process that appends a cell makes up for it."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            appends_for_ever(tmp_path, write_end)
        finally:
            os._exit(1)
    os.close(write_end)
    os.read(read_end, 1)
    time.sleep(random.Random(seed).uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(read_end, "rb") as stream:
        acknowledged = 1 + len(stream.read())
    folder = RunFolder.open(tmp_path, "latest")
    done = len(folder.records())
    assert done in (acknowledged, acknowledged + 1)
    folder.append(record(done + 1))
    before, after = derived(folder)
    assert before == after
    assert len(after.splitlines()) == 1 + 3 * (done + 1)


def test_cells_are_read_once(tmp_path):
    """By a report; and by a run that appends them only with the first."""
    program = (
        "import sys; from pathlib import Path\n"
        "from harness.results import report; from harness.results.store import RunFolder\n"
        "from tests.unit.test_run_folder import record\n"
        "reads = []\n"
        "def look(event, details):\n"
        "    if event == 'open' and str(details[0]).endswith('cells.jsonl'):\n"
        "        reads.extend(['read'] if 'a' not in str(details[1]) else [])\n"
        "sys.addaudithook(look)\n"
        "facts = {'track': 'upstream', 'planned': ['server/vm/1/hypercall']}\n"
        "folder = RunFolder.create(Path(sys.argv[1]), 'x', facts)\n"
        "for number in range(1, 40): folder.append(record(number))\n"
        "print(len(reads)); reads.clear()\n"
        "report.write(RunFolder.open(Path(sys.argv[1]), folder.id)); print(len(reads))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.split() == ["1", "1"]


def test_a_cell_is_named_in_one_way():
    name = CellName("arm1", "nested-v8.3", 12, "tcp-rr")
    assert str(name) == "arm1/nested-v8.3/12/tcp-rr"
    assert CellName.of(str(name)) == name
    assert Cell("tcg", Configuration.VM, 1, Benchmark.HYPERCALL).id == "tcg/vm/1/hypercall"


@pytest.mark.parametrize("wrong", ["x", "a/vm/1", "a/vm/0/x", "a/vm/one/x", "/vm/1/x", "a/vm/1/"])
def test_a_cell_without_a_name_is_damage(folder, wrong):
    lines = (folder.path / "cells.jsonl").read_text().splitlines()
    spoilt = json.dumps({**json.loads(lines[0]), "id": wrong})
    (folder.path / "cells.jsonl").write_text(spoilt + "\n")
    with pytest.raises(UserError, match=r"line 1, is damaged.*host/configuration/repetition"):
        folder.records()
