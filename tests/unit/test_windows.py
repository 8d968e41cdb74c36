# SPDX-License-Identifier: MIT
"""An alarm says which command finds the commit."""

import pytest

from harness.commands.run import require_success
from harness.commands.windows import bisect_commands
from harness.errors import GuestError
from harness.results.store import RunFolder

CHANGE = {
    "host": "tcg",
    "configuration": "nested-neve-vhe",
    "benchmark": "hypercall",
    "metric": "traps",
    "unit": "exits",
    "last": 9.0,
    "median": 9.0,
    "before": 8.0,
    "noise": None,
    "verdict": "regressed",
    "since": "r",
    "causes": ["kernel of L1: 7.3.4/aaaa → 7.3.4/bbbb", "harness: 1 → 2"],
}


def night(runs, key, commit, repository="/src/linux/.git", **more):
    kernel = {
        "version": "7.3.4",
        "key": key,
        "commit": commit,
        "origin": f"{repository} at {commit}",
    }
    facts = {"kernels": {"l1": kernel}, "repeat": "neve run nightly.yaml --check", **more}
    return RunFolder.create(runs, "p", facts)


def test_alarm_has_the_command_for_its_window(tmp_path):
    night(tmp_path, "aaaa", "c0ffee")
    folder = night(tmp_path, "bbbb", "f00d", changes=[CHANGE])
    command = (
        "neve bisect /src/linux@c0ffee f00d nightly.yaml --level l1 "
        "--expect 'hypercall/nested-neve-vhe/traps <= 8'"
    )
    assert bisect_commands(folder) == [command]
    with pytest.raises(GuestError, match="worse than the history") as caught:
        require_success(folder)
    assert str(caught.value).endswith(f"\nfind the commit: {command}")


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        (("zzzz", "c0ffee"), CHANGE),  # its run is gone
        (("aaaa", ""), CHANGE),  # a tarball
        (("aaaa", "c0ffee", "/other/.git"), CHANGE),
        (("aaaa", "c0ffee"), {**CHANGE, "causes": ["harness: 1 → 2"]}),
        (("aaaa", "c0ffee"), {**CHANGE, "verdict": "improved"}),
        (("aaaa", "c0ffee"), {**CHANGE, "noise": 0.01}),
    ],
)
def test_no_command_without_two_revisions(tmp_path, before, changes):
    night(tmp_path, *before)
    assert bisect_commands(night(tmp_path, "bbbb", "f00d", changes=[changes])) == []


def test_damaged_run_is_passed_over(tmp_path):
    night(tmp_path, "aaaa", "c0ffee")
    folder = night(tmp_path, "bbbb", "f00d", changes=[CHANGE])
    (tmp_path / "zz").mkdir()
    (tmp_path / "zz" / "metadata.json").write_text("{")
    assert len(bisect_commands(folder)) == 1
