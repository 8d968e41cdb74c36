# SPDX-License-Identifier: MIT
"""Two sides of an experiment: what they are said to be, and how their boots take turns."""

import json
from dataclasses import replace
from types import SimpleNamespace

import junitparser
import numpy as np
import pytest

from harness.commands.ab import require_no_worse, turns
from harness.commands.session import Session
from harness.errors import GuestError, InfrastructureError, UserError
from harness.model.cell import CellRecord
from harness.model.playbook import load, validate
from harness.model.setup import Setup
from harness.model.variation import BOOTS, Vary, sides
from harness.paths import PLAYBOOKS
from harness.results.measured import Measured
from harness.results.sides import Answer, answers, overall
from harness.results.sides_report import Sides
from harness.results.store import RunFolder
from tests.synthetic import measurement
from tests.unit.test_bootstrap import counts

CELL = "tcg/nested-neve-vhe/1/hypercall"
ARM = {"kind": "ssh", "name": "arm1", "address": "arm1"}
EIGHT = ["HVC", *(f"vEL2 MSR R{number}" for number in range(7))]
IMAGE = {"version": "7.3.4", "key": "k", "origin": "here"}


def exact(cost=44_000, traps=EIGHT, share=1.0):
    """A cell of the emulated machine."""
    place = {"host": "tcg", "configuration": "nested-neve-vhe", "share": share, "statistic": "mode"}
    rows = (
        measurement("{}", cost, **place),
        measurement("{}", len(traps), metric="traps", unit="exits", **place),
    )
    sample = {
        "timer": "virtual",
        "counts": {str(cost): 100, str(cost + 3): 5},
        "sequences": [{"operations": 10, "exits": [traps]}],
    }
    return [CellRecord(CELL, "passed", 1.0, rows, (sample,))]


def boots(costs, *, samples=200, seed=1):
    """A cell of a server, with the median cost of each boot."""
    rng, records = np.random.default_rng(seed), []
    for boot, cost in enumerate(costs, start=1):
        values = rng.normal(cost, cost * 0.001, samples)
        row = measurement(
            "{}", float(np.median(values)), host="arm1", unit="ticks", repetition=boot
        )
        sample = {"timer": "virtual", "counts": counts(values)}
        records.append(CellRecord(f"arm1/vm/{boot}/hypercall", "passed", 1.0, (row,), (sample,)))
    return records


def measured(tmp_path, name, records, **facts):
    playbook = {"name": "p", "benchmarks": ["hypercall"], "hosts": [{"kind": "tcg", "name": "tcg"}]}
    folder = RunFolder.at(
        tmp_path / name, {"track": "upstream", "playbook": playbook, "state": "finished", **facts}
    )
    folder.update(planned=[record.id for record in records])
    for record in records:
        mine = tuple(
            type(row)(**{**vars(row), "run_id": name, "track": "upstream"})
            for row in record.measurements
        )
        folder.append(CellRecord(record.id, record.status, 1.0, mine, record.samples, record.error))
    return Measured.of(folder)


def found(tmp_path, before, after, effect=0.01, facts=None):
    pair = [
        measured(tmp_path, name, side, **(facts or {}).get(name, {}))
        for name, side in (("before", before), ("after", after))
    ]
    cells = answers(*pair, effect, steady=["tcg"])
    return Sides("l1", ("a", "b"), effect, *pair, cells)


def test_equal_figures_are_the_same(tmp_path):
    told = found(tmp_path, exact(), exact())
    assert told.answer is Answer.SAME
    assert told.headline == "same: 1 same"
    assert "equal" in told.text()
    require_no_worse(told)


def test_planted_access_is_slower_by_name_and_place(tmp_path):
    planted = [*EIGHT[:3], "vEL2 MRS MDSCR_EL1", *EIGHT[3:]]
    told = found(tmp_path, exact(), exact(cost=47_500, traps=planted))
    assert told.answer is Answer.SLOWER
    (cell,) = told.cells
    assert cell.difference == ("+ vEL2 MRS MDSCR_EL1 after vEL2 MSR R1 (4 of 9)",)
    assert "+1" in told.text() and "+3,500" in told.text()
    told.write(tmp_path)
    assert "MDSCR_EL1 after vEL2 MSR R1" in (tmp_path / "report.html").read_text()
    (suite,) = junitparser.JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    (case,) = suite
    assert isinstance(case.result[0], junitparser.Failure)
    assert "MDSCR_EL1" in case.result[0].message
    assert json.loads(json.dumps(told.data()))["answer"] == "slower"
    with pytest.raises(GuestError, match="slower: 1 slower"):
        require_no_worse(told)


def test_an_access_less_is_faster(tmp_path):
    told = found(tmp_path, exact(), exact(cost=41_000, traps=EIGHT[:-1]))
    assert told.answer is Answer.FASTER
    assert told.cells[0].difference[0].startswith("- vEL2 MSR R6 after vEL2 MSR R5")
    require_no_worse(told)


def test_more_traps_that_cost_less_are_nobodys_verdict(tmp_path):
    told = found(tmp_path, exact(), exact(cost=41_000, traps=[*EIGHT, "IRQ"]))
    assert (told.answer, told.cells[0].why) == (
        Answer.UNSURE,
        "one metric is better and another one worse",
    )


def test_other_traps_of_the_same_cost_are_told(tmp_path):
    told = found(tmp_path, exact(), exact(traps=[*EIGHT[:-1], "vEL2 MSR OTHER"]))
    assert told.answer is Answer.SAME
    assert "as many traps, but other ones" in told.text()


@pytest.mark.parametrize(
    ("factor", "effect", "answer"),
    [
        (1.0, 0.01, Answer.SAME),
        (1.004, 0.01, Answer.SAME),
        (1.05, 0.01, Answer.SLOWER),
        (0.95, 0.01, Answer.FASTER),
        (1.05, 0.1, Answer.SAME),
        (1.01, 0.01, Answer.UNSURE),
    ],
)
def test_figures_with_noise_have_an_interval(tmp_path, factor, effect, answer):
    rng = np.random.default_rng(7)
    before, after = (list(rng.normal(scale, 4, 10)) for scale in (2000, 2000 * factor))
    told = found(tmp_path, boots(before), boots(after, seed=2), effect)
    (evidence,) = told.cells[0].evidence
    assert evidence.answer is answer
    assert evidence.low < factor < evidence.high and evidence.boots == 10
    assert "10 boots" in told.text()


def test_few_boots_are_unsure(tmp_path):
    told = found(tmp_path, boots([2000, 2001]), boots([4000, 4001]))
    assert told.answer is Answer.UNSURE
    with pytest.raises(InfrastructureError, match="more --boots"):
        require_no_worse(told)


def test_figure_that_should_be_exact_and_is_not_is_judged_by_its_samples(tmp_path):
    told = found(tmp_path, exact(share=0.5), exact(cost=50_000, share=0.5))
    by_metric = {each.metric: each for each in told.cells[0].evidence}
    assert by_metric["cost"].answer is Answer.SLOWER
    assert not by_metric["cost"].exact


def test_equal_samples_of_an_emulated_machine_are_the_same(tmp_path):
    told = found(tmp_path, exact(share=0.5), exact(share=0.5))
    assert {each.answer for each in told.cells[0].evidence} == {Answer.SAME}
    assert told.text().count("equal") == 2


@pytest.mark.parametrize("side", ["before", "after"])
def test_cell_that_fails_is_no_verdict_of_speed(tmp_path, side):
    failed = [CellRecord(CELL, "failed", 1.0, error="l1: panic\nmore")]
    pair = {"before": exact(), "after": exact(), side: failed}
    told = found(tmp_path, pair["before"], pair["after"])
    assert (told.answer, told.cells[0].why) == (Answer.FAILED, f"{side}: l1: panic")
    with pytest.raises(GuestError):
        require_no_worse(told)
    told.write(tmp_path)


def test_sides_may_have_other_processors(tmp_path):
    def on(cpu, gic):
        (record,) = exact()
        rows = tuple(replace(row, cpu=cpu, gic=gic) for row in record.measurements)
        return [replace(record, measurements=rows)]

    assert found(tmp_path, on("max", 3), on("neoverse-v1", 2)).answer is Answer.SAME


def test_figures_that_were_counted_in_other_ways_are_told(tmp_path):
    (record,) = exact()
    cost, traps = record.measurements
    mean = replace(traps, statistic="mean", share=None)
    told = found(tmp_path, [record], [replace(record, measurements=(cost, mean))])
    assert told.answer is Answer.SAME, "by its cost"
    assert told.cells[0].why == "traps can't be compared: the sides were not measured alike"
    pair = ([replace(record, measurements=(each,))] for each in (traps, mean))
    assert found(tmp_path / "again", *pair).answer is Answer.UNSURE


def test_cell_of_one_side_alone_is_not_judged(tmp_path):
    other = [CellRecord("tcg/vm/1/hypercall", "failed", 1.0, error="no")]
    told = found(tmp_path, exact(), [*exact(), *other])
    assert [cell.name for cell in told.cells] == ["tcg/nested-neve-vhe/hypercall"]


def test_payload_that_passes_is_the_same(tmp_path):
    passed = [CellRecord("tcg/vm/1/payload", "passed", 1.0, (), ({"status": 0},))]
    assert found(tmp_path, passed, passed).answer is Answer.SAME
    failed = [CellRecord("tcg/vm/1/payload", "failed", 1.0, error="status 1")]
    assert found(tmp_path / "again", passed, failed).answer is Answer.FAILED


def test_nothing_is_unsure():
    assert overall([]) is Answer.UNSURE


def test_one_image_is_told_to_be_one(tmp_path):
    kernels = [
        {"l1": {**IMAGE, "key": key, "origin": origin, "sha256": sha}}
        for key, origin, sha in (("a", "x@1", "s"), ("b", "y@1", "s"), ("c", "x@2", "t"))
    ]
    pairs = {"before": {"kernels": kernels[0]}, "after": {"kernels": kernels[1]}}
    one = found(tmp_path / "1", exact(), exact(), facts=pairs)
    assert "kernel of L1: one image: Linux 7.3.4 of x@1 (a) = Linux 7.3.4 of y@1 (b)" in one.text()
    pairs["after"] = {"kernels": kernels[2]}
    two = found(tmp_path / "2", exact(), exact(), facts=pairs)
    assert "kernel of L1: Linux 7.3.4 of x@1 (a) → Linux 7.3.4 of x@2 (c)" in two.text()


def playbook(**more):
    return validate({"configurations": ["vm"], "benchmarks": ["hypercall"], **more}, "p")


def test_what_varies():
    fallback = load(PLAYBOOKS / "fallback.yaml")
    before, after = sides(fallback, Vary.L1, ("7.2", "~/linux@main"))
    assert (before.kernels, after.kernels) == ({"l1": "7.2"}, {"l1": "~/linux@main"})
    before, after = sides(fallback, Vary.KERNEL, ("7.2", "7.3"))
    assert set(after.kernels) == {"l0", "l1", "l2"} and before.boots == 1
    before, after = sides(fallback, Vary.CPU, ("max", "neoverse-v1"))
    assert after.hosts[0].cpu == "neoverse-v1"
    assert sides(playbook(), Vary.GIC, ("2", "3"))[0].hosts[0].gic == 2
    before, after = sides(fallback, Vary.VMM, ("trixie", "./qemu"))
    assert (before.vmm, after.vmm) == ("trixie", "./qemu")
    with pytest.raises(UserError, match=r"vmm: .* is not the path of an arm64 QEMU"):
        sides(fallback, Vary.VMM, ("trixie", " "))
    with pytest.raises(UserError, match="--vary gic"):
        sides(fallback, Vary.GIC, ("4", "3"))
    with pytest.raises(UserError, match="arm1 is a server"):
        sides(playbook(hosts=[ARM]), Vary.CPU, ("max", "max"))
    with pytest.raises(UserError, match="upstream needs"):
        sides(fallback, Vary.L1, ("4.10", "7.3"))


def test_servers_are_booted_often_enough():
    before, after = sides(playbook(hosts=[ARM]), Vary.L0, ("7.2", "7.3"))
    assert before.boots == after.boots == BOOTS
    own, _ = sides(playbook(hosts=[{**ARM, "boot": "own"}]), Vary.L1, ("7.2", "7.3"))
    assert (own.boots, own.repetitions) == (1, BOOTS)
    assert sides(playbook(hosts=[ARM]), Vary.L0, ("7.2", "7.3"), 20)[1].boots == 20
    assert sides(playbook(hosts=[ARM], boots=9), Vary.L0, ("7.2", "7.3"))[0].boots == 9


def sessions(tmp_path, book):
    made = []
    for name in ("before", "after"):
        folder = RunFolder.at(tmp_path / name, {"track": "upstream"})
        made.append(Session(folder, SimpleNamespace(setup=Setup.of(book)), None))
    return made


def order_of(tmp_path, book):
    return [
        (session.folder.id, sorted({str(cell.configuration) for cell in cells}), len(cells))
        for session, cells in turns(sessions(tmp_path, book), 1)
    ]


def test_machines_of_a_side_run_at_once_where_boots_are_equal(tmp_path):
    both = ["vm", "nested-neve-vhe"]
    book = playbook(configurations=both, benchmarks=["hypercall", "device-io"])
    assert order_of(tmp_path, book) == [(side, sorted(both), 4) for side in ("before", "after")]


def test_sides_take_turns_where_boots_differ(tmp_path):
    book = playbook(configurations=["vm", "nested-neve-vhe"], benchmarks=["nginx", "memcached"])
    order = order_of(tmp_path, book)
    assert [configurations for _, configurations, _ in order] == [
        [configuration] for configuration in ("vm", "nested-neve-vhe") for _ in range(2)
    ]
    for place in (0, 2):
        assert {side for side, _, _ in order[place : place + 2]} == {"before", "after"}


def test_chance_says_which_side_is_first_where_boots_differ(tmp_path):
    book = playbook(hosts=[ARM], boots=20)
    order = [session.folder.id for session, _ in turns(sessions(tmp_path, book), 1)]
    pairs = {tuple(order[place : place + 2]) for place in range(0, 40, 2)}
    assert pairs == {("before", "after"), ("after", "before")}
