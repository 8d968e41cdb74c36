# SPDX-License-Identifier: MIT
"""The history for other systems: what Apache Otava reads, and what KCIDB's schema takes."""

import csv
import json

import pytest
import yaml

from tests.synthetic import write_exact, write_run

NESTED = "nested-neve-vhe"


@pytest.fixture
def runs(tmp_path, neve):
    """Nights of a server with noise, and of an emulated machine with another kernel from the
    third on."""
    runs = tmp_path / "runs"
    for number in range(4):
        write_run(runs, number, {"hypercall": 1000.0 + number}, again={"hypercall": 1010.0})
        cells = {(NESTED, "hypercall"): (43611 + number // 2, [["HVC", "vEL2 ERET"]])}
        kernels = {
            "l0": {"version": "7.3.4", "key": "a"},
            "l1": {"version": "7.3.4", "key": "ab"[number // 2]},
        }
        write_exact(runs, number, cells, name=f"tcg-{number}", kernels=kernels)
    assert neve("history", "import").returncode == 0
    return runs


def rows(file):
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_otava_has_a_file_for_each_series(runs, neve):
    assert neve("history", "--export", "otava").stdout == "runs/otava\n"
    tests = yaml.safe_load((runs / "otava" / "otava.yaml").read_text())["tests"]
    by_start = {name.rpartition("_")[0]: test for name, test in tests.items()}
    assert set(by_start) == {
        "server_hypercall_vm_cost",
        "server_hypercall_vm_traps",
        f"tcg_hypercall_{NESTED}_cost",
        f"tcg_hypercall_{NESTED}_traps",
    }
    for test in tests.values():
        table = rows(runs / "otava" / test["file"])
        (metric,) = test["metrics"].values()
        assert {test["time_column"], metric["column"], *test["attributes"]} == set(table[0])
        assert metric["direction"] == -1, "costs and traps ought not to grow"
        assert all(float(row[metric["column"]]) >= 0 for row in table)
    exact = rows(runs / "otava" / by_start[f"tcg_hypercall_{NESTED}_cost"]["file"])
    assert [float(row["value"]) for row in exact] == [43611, 43611, 43612, 43612]
    assert exact[2]["kernels"] == "l0: 7.3.4 a; l1: 7.3.4 b", "it goes on with another kernel"
    noisy = rows(runs / "otava" / by_start["server_hypercall_vm_cost"]["file"])
    assert [float(row["value"]) for row in noisy] == [1005.0, 1005.5, 1006.0, 1006.5]


def test_kcidb_is_valid_by_its_own_schema(runs, neve):
    kcidb_io = pytest.importorskip("kcidb_io", reason="make venv installs it")
    done = neve("history", "--export", "kcidb", "--origin", "my_lab", "--only", "metric=cost")
    assert done.stdout == "runs/kcidb.json\n"
    report = json.loads((runs / "kcidb.json").read_text())
    schema = kcidb_io.schema.LATEST
    assert (schema.major, schema.minor) == (5, 3)
    assert schema.is_compatible(report)
    schema.validate(report)
    assert {each["id"] for each in report["checkouts"]} == {
        "my_lab:linux-7.3.4",
        "my_lab:linux-4.10.0",
    }
    builds = {each["id"]: each["checkout_id"] for each in report["builds"]}
    assert builds == {"my_lab:a": "my_lab:linux-7.3.4", "my_lab:k1": "my_lab:linux-4.10.0"}
    assert len(report["tests"]) == len({each["id"] for each in report["tests"]}) == 4 + 8
    nested = [each for each in report["tests"] if each["path"] == f"neve.hypercall.{NESTED}.cost"]
    assert nested[0]["number"] == {"value": 43611.0, "unit": "instructions"}
    assert {each["status"] for each in nested} == {"DONE"}


def test_only_what_is_asked_for_goes_where_it_is_asked_for(runs, neve, tmp_path):
    only = ("--only", "host=tcg,metric=traps")
    done = neve("history", "--export", "otava", *only, "--output", "there", "--json")
    assert json.loads(done.stdout) == {"written": "there"}
    assert len(list((tmp_path / "there").glob("*.csv"))) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--export", "otava", "--only", "host=nowhere"], "host=nowhere: the history has"),
        (["--export", "csv"], "is not one of 'otava', 'kcidb'"),
        (
            ["--export", "kcidb", "--origin", "My Lab"],
            "'My Lab' is not a name of lower-case letters",
        ),
        (["--output", "x"], "--output needs --export"),
    ],
)
def test_what_is_refused(runs, neve, arguments, said):
    done = neve("history", *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
