# SPDX-License-Identifier: MIT
"""The JSON Schemas are the models', and say of real files what the program says."""

import json
import re
from pathlib import Path
from shutil import copytree

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from harness import cli
from harness.errors import UserError
from harness.model import playbook, schema
from harness.model.document import read_yaml
from harness.model.inventory import Inventory
from harness.model.measurement import COLUMNS, Metric, Statistic
from harness.paths import PLAYBOOKS, ROOT
from harness.results import report
from harness.results.store import RunFolder
from tests.unit.test_playbook import GOOD, SHIPPED

FILES = Path(schema.__file__).with_name("schemas")
# Whose keys are named as columns of results.csv are.
OF_A_SERIES = {"Change"}
RECORDED = Path(__file__).parents[1] / "recorded" / "schema1"


def complaints(name, data):
    return [error.message for error in Draft202012Validator(schema.schema(name)).iter_errors(data)]


@pytest.mark.parametrize("name", schema.NAMES)
def test_files_are_the_models(name):
    file = FILES / f"{name}.json"
    assert file.read_text(encoding="utf-8") == schema.text(name), f"neve schema {name} > {file}"
    Draft202012Validator.check_schema(json.loads(file.read_text(encoding="utf-8")))


def test_there_are_no_other_files():
    assert {file.stem for file in FILES.iterdir()} == set(schema.NAMES)
    assert list(cli.schema.params[0].type.choices) == list(schema.NAMES)


def test_the_command_prints_one():
    done = CliRunner().invoke(cli.cli, ["schema", "playbook"])
    assert done.output == schema.text("playbook")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_shipped_playbooks_validate(file):
    assert complaints("playbook", read_yaml(file, "a playbook")) == []


def test_shipped_inventory_validates():
    assert complaints("inventory", read_yaml(PLAYBOOKS / "lab.yaml", "an inventory")) == []


SERVER = {"kind": "ssh", "name": "arm1", "address": "arm1"}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"hosts": [{}]},
        {"hosts": [{"name": "a", "cpu": "max,pauth=off"}, SERVER]},
        {"kernel": "7.3"},
        {"kernel": "newest"},
        {"iteration": 5},
        {"iterations": 0},
        {"iterations": 2.5},
        {"check": "yes"},
        {"benchmarks": ["hypercal"]},
        {"benchmarks": []},
        {"configurations": None},
        {"hosts": []},
        {"hosts": [5]},
        {"hosts": [{"kind": "tcg", "cpu_model": "max"}]},
        {"hosts": [{"kind": "tcg", "cpu": "max; rm"}]},
        {"hosts": [{"kind": "ssh", "name": "a"}]},
        {"hosts": [{"name": "arm1", "address": "arm1"}]},
        {"hosts": [{**SERVER, "name": "a/b"}]},
        {"hosts": [{**SERVER, "cpus": "some"}]},
        {"hosts": [{**SERVER, "sudo": {"prompt": "perhaps"}}]},
        {"trap_iterations": 1},
        {"trap_iterations": [5, 6]},
        {"nested_share": 0},
        {"size": "large"},
        {"specjvm": {}},
    ],
)
def test_schema_of_playbooks_says_what_the_program_says(tmp_path, change):
    file = tmp_path / "p.yaml"
    file.write_text(json.dumps({**GOOD, **change}))  # JSON is YAML
    try:
        playbook.load(file)
        good = True
    except UserError:
        good = False
    assert (complaints("playbook", {**GOOD, **change}) == []) is good


def test_a_host_of_the_inventory_is_a_name(tmp_path):
    (tmp_path / "p.yaml").write_text(json.dumps({**GOOD, "hosts": ["arm1"]}))
    assert playbook.load(tmp_path / "p.yaml", Inventory.load(PLAYBOOKS / "lab.yaml"))
    assert complaints("playbook", {**GOOD, "hosts": ["arm1"]}) == []


@pytest.mark.parametrize("run", sorted(RECORDED.iterdir()), ids=lambda run: run.name)
def test_files_of_a_run_validate(tmp_path, run):
    """A real run, written once more."""
    folder = RunFolder.open(copytree(RECORDED, tmp_path / "runs"), run.name)
    records = folder.records()
    (folder.path / "cells.jsonl").unlink()
    for record in records:
        folder.append(record)
    folder.update()
    metadata = json.loads((folder.path / "metadata.json").read_text(encoding="utf-8"))
    assert complaints("metadata", metadata) == []
    unknown = set(metadata) - set(schema.schema("metadata")["properties"])
    assert not unknown, "the schema says every key"
    lines = (folder.path / "cells.jsonl").read_text(encoding="utf-8").splitlines()
    assert [complaints("cell", json.loads(line)) for line in lines] == [[]] * len(records)
    cell = schema.schema("cell")
    assert set(json.loads(lines[0])) == set(cell["properties"])
    assert list(cell["$defs"]["Measurement"]["properties"]) == COLUMNS
    report.write(folder)


def test_what_is_no_cell_is_not_taken_for_one():
    line = json.loads(
        (RECORDED / "20261127-152105-applications-9d17/cells.jsonl").open().readline()
    )
    assert complaints("cell", line), "it is of schema 1"


@pytest.mark.parametrize("name", schema.NAMES)
def test_every_key_has_a_meaning(name):
    found = schema.schema(name)
    silent = [
        f"{title} {key}"
        for title, part in [("", found), *found.get("$defs", {}).items()]
        for key, value in part.get("properties", {}).items()
        if not value.get("description") and title not in OF_A_SERIES
    ]
    assert not silent


def test_every_column_is_told():
    text = (ROOT / "docs" / "reference" / "results.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \|", text.partition("## Columns")[2], re.MULTILINE)
    assert told[: len(COLUMNS) + 1] == [*COLUMNS, "schema"]
    for each in (*Metric, *Statistic, "instructions", "exits per second"):
        assert f"`{each}`" in text


def test_metrics_are_those_that_are_measured():
    from harness.model.application import applications

    assert {each.metric for each in applications().values()} == set(Metric) - {
        Metric.COST,
        Metric.TRAPS,
        Metric.CPU,
    }
