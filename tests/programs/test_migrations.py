# SPDX-License-Identifier: MIT
"""Databases of before, on each kind of server: what this harness makes of them."""

import json
from datetime import timedelta

from harness.commands import history as commands
from harness.results.history import verdicts
from harness.results.history.archive import Archive, Outcome
from harness.results.history.database import Database
from harness.results.history.nights import History
from tests.of_before import of_before
from tests.synthetic import FIRST
from tests.unit.test_exact import LINE, PLANTED
from tests.unit.test_exact import night as exact_night
from tests.unit.test_history import quiet_nights


def test_series_of_before_go_on(runs, place):
    """A database of before schema 2, and then a night by this harness."""
    quiet_nights(runs, 18, steps={12: 1.1})
    folders = sorted(runs.iterdir())
    series = {"host": "server", "track": "v4.10", "cpu": "cortex-a57", "gic": "3"}
    cell = {"configuration": "vm", "mechanism": "none", "benchmark": "hypercall"}
    named = {**series, **cell, "metric": "cost", "unit": "instructions", "settings": ""}
    moment = FIRST + timedelta(days=16)
    accepted = {"series": json.dumps(named, sort_keys=True), "until": moment, "note": "then"}
    of_before(place, "0002", folders[:-1], [accepted])
    with Database.open(place, writable=False) as opened:
        archive = Archive(opened)
        before = History.of(archive.load(reasons=False), archive.acknowledged())
    with Database.open(place) as opened:
        archive = Archive(opened)
        archive.take(folders[-1])
        after = History.of(archive.load(reasons=False), archive.acknowledged())
        alarmed = History.of(archive.load(reasons=False))
    old, new = ({each.key: each.series.values for each in one.entries()} for one in (before, after))
    assert len(old) == 6
    assert {key: values[:-1] for key, values in new.items()} == old, "none is split or joined"
    (change,) = after.changes()
    assert change.key[6] == "hypercall"
    said = [
        verdicts.table(one).set_index(["benchmark", "metric"]).loc[("hypercall", "cost"), "verdict"]
        for one in (alarmed, after)
    ]
    assert said == ["regressed", "steady"], "it was acknowledged before"


def test_an_archive_of_before_has_no_sequences(runs, place):
    """A database of revision 0003, read, and then written to: numbers compare, and an import once
    more brings the sequences."""
    folders = [exact_night(runs, number) for number in range(2)]
    of_before(place, "0003", folders)
    with Database.open(place, writable=False) as opened:
        archive = Archive(opened)
        assert archive.load()["sequence"].isna().all()
        assert commands._history(archive).changes() == []
    with Database.open(place) as opened:
        archive = Archive(opened)
        archive.take(exact_night(runs, 2, PLANTED))
        judged = commands._history(archive)
        (change,) = judged.changes()
        assert (change.after, judged.lines(change)) == (9, [])
        assert [archive.take(folder) for folder in folders] == [Outcome.UPDATED] * 2
        judged = commands._history(archive)
        (change,) = judged.changes()
        assert judged.lines(change) == [LINE]
