# SPDX-License-Identifier: MIT
"""Applications on real guests: what fails fails by name, and alone; and the paper's order."""

import time
from dataclasses import replace

import pytest
import yaml

from harness.commands.plan import describe
from harness.commands.run import run
from harness.commands.setup import read_setup
from harness.model.application import applications
from harness.paths import PLAYBOOKS
from harness.results.measured import Measured
from harness.results.overhead import overheads
from tests.plans import differences

SHIPPED = PLAYBOOKS / "applications.yaml"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """Writes the shipped playbook with changes."""
    monkeypatch.chdir(tmp_path)

    def write(**changes):
        file = tmp_path / "applications.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(SHIPPED.read_text()), **changes}))
        return file

    return write


def go(file, tmp_path, resume=None):
    return run(tmp_path / "runs", read_setup(file, None, None), resume)


def statuses(folder):
    return {record.name.benchmark: record.status for record in folder.records()}


@pytest.fixture
def known(monkeypatch):
    """The applications, which do as little as is a measurement."""
    known = applications()
    for name, application in known.items():
        little = {**application.small, "runs": 2}
        if name == "hackbench":
            little["loops"] = 10
        monkeypatch.setitem(known, name, replace(application, small=little))
    return known


def test_what_fails_fails_alone_and_is_all_that_is_repeated(book, tmp_path, monkeypatch, known):
    broken = {
        "nginx": {"start": "echo no such module >&2; exit 3"},
        "memcached": {"client": "sleep 3000"},
        "hackbench": {"run": "echo c > /proc/sysrq-trigger"},
    }
    file = book(
        configurations=["vm"],
        benchmark_seconds=30,
        benchmarks=["hackbench", "memcached", "nginx", "tcp-rr"],
    )
    with monkeypatch.context() as patch:
        for name, change in broken.items():
            patch.setitem(known, name, replace(known[name], **change))
        folder = go(file, tmp_path)
    assert {level for booted in folder.metadata.booted.values() for level in booted} == {"l0", "l2"}
    assert statuses(folder) == {
        "hackbench": "failed",
        "memcached": "failed",
        "nginx": "failed",
        "tcp-rr": "passed",
    }
    errors = {record.name.benchmark: record.error for record in folder.records()}
    assert "panic" in errors["hackbench"]
    assert "got no answer within 30 s" in errors["memcached"]
    assert "no such module" in errors["nginx"]

    before = {record.id: record for record in folder.records()}
    again = go(file, tmp_path, resume=folder.id)
    assert set(statuses(again).values()) == {"passed"}
    rate = "tcg/vm/1/tcp-rr"
    assert {record.id: record for record in again.records()}[rate] == before[rate]


@pytest.mark.stress
def test_same_application_twice_agrees_within_its_error(book, tmp_path):
    file = book(configurations=["native", "vm"], benchmarks=["memcached"], repetitions=2)
    measured, plan = Measured.of(go(file, tmp_path)), describe(read_setup(file, None, None))
    assert not differences(plan["commands"], measured.metadata.written()["commands"])
    for configuration in ("native", "vm"):
        one, two = (
            overheads(
                [cell for cell in measured.records if cell.name[1:3] == (configuration, number)],
                measured.legend.applications,
            ).iloc[0]
            for number in (1, 2)
        )
        assert abs(one["value"] - two["value"]) <= one["error"] + two["error"]


@pytest.mark.stress
def test_shipped_playbook_in_an_hour(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = time.monotonic()
    folder = go(SHIPPED, tmp_path)
    assert set(statuses(folder).values()) == {"passed"}
    assert time.monotonic() - started < 3600
    table = Measured.of(folder).summary.set_index(["benchmark", "configuration"])["overhead"]
    for benchmark in ("memcached", "tcp-rr"):
        assert 1 < table[benchmark, "vm"] < table[benchmark, "nested-neve-vhe"]


@pytest.mark.stress
@pytest.mark.parametrize("benchmark", ["memcached", "tcp-rr"])
def test_the_papers_order(book, tmp_path, benchmark):
    file = book(
        configurations=["native", "vm", "nested-neve-vhe", "nested-v8.3-vhe"],
        benchmarks=[benchmark],
    )
    table = Measured.of(go(file, tmp_path)).summary.set_index("configuration")
    costs = table["overhead"].to_list()
    assert costs == sorted(costs)
