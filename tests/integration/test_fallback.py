# SPDX-License-Identifier: MIT
"""What `make reproduce` promises, on a run of it, and on one of what is quick in it."""

import json

import psutil
import pytest

from harness.model.operations import redirections
from harness.results.frames import read_csv
from tests.integration.conftest import FALLBACK, busy, figures, finish, neve
from tests.plans import differences, planned

CONFIGURATIONS = ["vm", "nested-v8.3-vhe", "nested-neve-vhe"]
BENCHMARKS = ["hypercall", "device-io", "virtual-ipi", "virtual-eoi"]


@pytest.fixture(scope="module")
def fallback_runs(artifacts, tmp_path_factory):
    """`neve run playbooks/fallback.yaml` with everything cached, as many machines at once as there
    are CPUs, beside a busy loop; and without its longest configuration a machine after the other,
    on a CPU of their own."""
    cwd, first = tmp_path_factory.mktemp("fallback"), psutil.Process().cpu_affinity()[:1]
    with busy(1):
        whole = finish(neve("run", FALLBACK, cwd=cwd), cwd)
    quick = f"configuration={CONFIGURATIONS[0]},configuration={CONFIGURATIONS[2]}"
    alone = neve("run", FALLBACK, "--only", quick, cwd=cwd)
    psutil.Process(alone.pid).cpu_affinity(first)
    return [whole, finish(alone, cwd)]


@pytest.fixture(scope="module")
def results(fallback_runs):
    for run in fallback_runs:
        assert run.status == 0, run.output
    return [read_csv(str(run.folder / "results.csv")) for run in fallback_runs]


def values(results, metric):
    rows = results[(results["metric"] == metric) & (results["reason"] == "")]
    return rows.set_index(["configuration", "benchmark"])["value"]


def test_every_cell_has_cost_and_traps(results):
    for metric in ("cost", "traps"):
        table = values(results[0], metric)
        assert sorted(table.index) == sorted(
            (configuration, benchmark)
            for configuration in CONFIGURATIONS
            for benchmark in BENCHMARKS
        )
    mechanism = results[0].groupby("configuration")["mechanism"].unique()
    assert list(mechanism["vm"]) == ["none"]
    for configuration in CONFIGURATIONS[1:]:
        assert list(mechanism[configuration]) == ["architected"]
    assert set(results[0]["unit"]) == {"instructions", "exits"}


def test_what_neve_leaves_is_not_said_to_be_redirected(results):
    kinds = redirections("upstream", e2h=True)
    rows = results[0][
        (results[0]["configuration"] == "nested-neve-vhe")
        & (results[0]["benchmark"] == "hypercall")
        & (results[0]["metric"] == "traps")
        & (results[0]["value"] > 0.5)
    ]
    left = {reason: kinds.get(reason, "exit of a guest") for reason in rows["reason"] if reason}
    assert left
    assert set(left.values()) <= {"trap", "exit of a guest"}, left


def test_nested_hypercall_costs_what_it_did_when_measured_by_hand(results):
    cost = values(results[0], "cost")
    assert 25 <= cost["nested-neve-vhe", "hypercall"] / cost["vm", "hypercall"] <= 45
    assert 110 <= cost["nested-v8.3-vhe", "hypercall"] / cost["vm", "hypercall"] <= 160


def test_end_of_interrupt_never_traps_and_a_hypercall_traps_once(results):
    traps = values(results[0], "traps")
    for configuration in CONFIGURATIONS:
        assert traps[configuration, "virtual-eoi"] == 0
    assert traps["vm", "hypercall"] == 1
    assert traps["nested-v8.3-vhe", "hypercall"] > 3 * traps["nested-neve-vhe", "hypercall"]


def test_registers_that_neve_redirects_trap_in_v8_3_alone(results):
    rows = results[0][(results[0]["benchmark"] == "hypercall") & (results[0]["value"] > 0.5)]
    reasons = {
        configuration: set(part["reason"]) - {""}
        for configuration, part in rows.groupby("configuration")
    }
    assert reasons["vm"] == {"HVC"}
    assert {"TPIDR_EL2", "HCR_EL2", "ICH_HCR_EL2"} <= reasons["nested-v8.3-vhe"]
    assert not {"TPIDR_EL2", "HCR_EL2", "ICH_HCR_EL2"} & reasons["nested-neve-vhe"]
    assert {"HVC", "ERET"} <= reasons["nested-neve-vhe"]


def test_reasons_are_integers_that_add_up_to_the_total(results):
    traps = results[0][results[0]["metric"] == "traps"]
    assert (traps["value"] == traps["value"].round()).all()
    assert set(traps["statistic"]) == {"mode"}
    parts = traps[traps["reason"] != ""].groupby(["configuration", "benchmark"])["value"].sum()
    for cell, total in values(results[0], "traps").items():
        assert parts.get(cell, 0) == total


def test_two_runs_are_equal_byte_for_byte(fallback_runs):
    (rows, seen), (quick_rows, quick_seen) = (figures(run.folder) for run in fallback_runs)
    longest = f",{CONFIGURATIONS[1]},"
    assert [row for row in rows.splitlines() if longest not in row] == quick_rows.splitlines()
    assert quick_seen == {name: seen[name] for name in quick_seen}
    assert len(quick_seen) == 8


def test_runs_report_and_compare(fallback_runs):
    runs = fallback_runs[0].folder.parent
    names = [run.folder.name for run in fallback_runs]

    def ask(*arguments):
        done = finish(neve(*arguments, "--json", cwd=runs.parent), runs.parent)
        assert done.status == 0, done.output
        return json.loads(done.output)

    assert [entry["run"] for entry in ask("runs")] == names
    assert len(ask("report", names[0])) == 12
    costs = [row for row in ask("compare", *names)["cells"] if row["metric"] == "cost"]
    changes = [row["change"] for row in costs if row["configuration"] != CONFIGURATIONS[1]]
    assert changes == [0] * 8


def test_a_run_is_quick_and_small(fallback_runs):
    assert fallback_runs[0].seconds < 300
    assert max(run.peak_gib for run in fallback_runs) < 8


def test_run_folder_is_whole(fallback_runs):
    folder = fallback_runs[0].folder
    consoles = [f"consoles/tcg-{configuration}-1.log" for configuration in CONFIGURATIONS]
    for name in ("report.md", "report.html", "report.svg", "junit.xml", *consoles):
        assert (folder / name).stat().st_size > 0, name
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["state"] == "finished"
    assert "virtualization=on" in " ".join(metadata["commands"]["tcg: l1"])
    assert metadata["repeat"].startswith("neve run ")


def test_what_was_run_is_what_was_planned(fallback_runs, tmp_path):
    plan = planned(FALLBACK, cwd=tmp_path)
    metadata = json.loads((fallback_runs[0].folder / "metadata.json").read_text())
    assert not differences(plan["commands"], metadata["commands"])
    assert plan["cells"] == metadata["planned"]
