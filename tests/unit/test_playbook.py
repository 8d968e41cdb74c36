# SPDX-License-Identifier: MIT
import pytest

from harness.errors import UserError
from harness.model import playbook
from harness.model.inventory import Inventory
from harness.paths import PLAYBOOKS

GOOD = {"configurations": ["vm"], "benchmarks": ["hypercall"]}


SHIPPED = sorted(set(PLAYBOOKS.glob("*.yaml")) - {PLAYBOOKS / "lab.yaml"})


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_playbooks_are_valid(path):
    assert playbook.plan(playbook.load(path, Inventory.load(PLAYBOOKS / "lab.yaml")))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"iteration": 5}, "iteration: unknown key"),
        ({"iterations": 0}, "iterations: must be at least 2, not 0"),
        ({"benchmarks": ["hypercal"]}, "benchmarks.0: unknown value 'hypercal'"),
        ({"benchmarks": []}, "benchmarks"),
        ({"benchmarks": ["hypercall", "hypercall"]}, "an entry is listed twice"),
        ({"configurations": ["nested-neve"]}, "track upstream can't run nested-neve"),
        ({"track": "v5"}, "unknown 'v5'"),
        ({"hosts": [{"kind": "tcg", "cpu_model": "max"}]}, "hosts.0.cpu_model: unknown key"),
        ({"hosts": [{"kind": "ssh", "name": "a"}]}, "hosts.0.address: is missing"),
    ],
)
def test_wrong_input_is_one_clear_line(change, complaint):
    with pytest.raises(UserError) as caught:
        playbook.validate({**GOOD, **change}, "p.yaml")
    message = str(caught.value)
    assert message.startswith("p.yaml: ")
    assert complaint in message
    assert "\n" not in message


def test_files_that_are_no_playbook(tmp_path):
    file = tmp_path / "p.yaml"
    with pytest.raises(UserError, match="no such playbook"):
        playbook.load(file)
    for text, complaint in [("a: [", "not YAML"), ("- 1\n", "mapping")]:
        file.write_text(text)
        with pytest.raises(UserError, match=complaint):
            playbook.load(file)


def test_plan_is_the_whole_matrix_in_order():
    book = playbook.validate(
        {
            "configurations": ["vm", "nested-neve-vhe"],
            "benchmarks": ["hypercall", "device-io"],
            "repetitions": 2,
        },
        "p",
    )
    cells = [cell.id for cell in playbook.plan(book)]
    assert cells[:5] == [
        "tcg/vm/1/hypercall",
        "tcg/vm/1/device-io",
        "tcg/nested-neve-vhe/1/hypercall",
        "tcg/nested-neve-vhe/1/device-io",
        "tcg/vm/2/hypercall",
    ]
    assert len(cells) == len(set(cells)) == 8


def test_only_selects_and_refuses():
    book = playbook.load(PLAYBOOKS / "fallback.yaml")
    part = playbook.narrow(book, "configuration=vm,benchmark=hypercall,benchmark=device-io")
    assert [cell.id for cell in playbook.plan(part)] == ["tcg/vm/1/hypercall", "tcg/vm/1/device-io"]
    for wrong in ("configuration", "cpu=max", "benchmark=apache"):
        with pytest.raises(UserError, match="--only"):
            playbook.narrow(book, wrong)


def test_host_by_name_or_address():
    book = playbook.load(PLAYBOOKS / "fallback.yaml")
    assert playbook.on_host(book, "tcg").hosts == book.hosts
    server = playbook.on_host(book, "me@arm1.example:2200").hosts[0]
    assert (server.kind, server.user, server.address, server.port) == (
        "ssh",
        "me",
        "arm1.example",
        2200,
    )
    with pytest.raises(UserError, match="unknown host: not in the playbook"):
        playbook.on_host(book, "nowhere")


def test_cells_that_mean_nothing_are_skipped_and_said():
    hosts = [{"kind": "tcg", "name": "new", "gic": 3}, {"kind": "tcg", "name": "old", "gic": 2}]
    both = playbook.validate(
        {**GOOD, "hosts": hosts, "configurations": ["native", "vm", "nested-neve-vhe"]}, "p"
    )
    assert {cell.id for cell in playbook.plan(both)} == {
        f"{place}/1/{benchmark}"
        for place in ("new/vm", "old/vm", "new/nested-neve-vhe")
        for benchmark in GOOD["benchmarks"]
    }
    said = playbook.skipped(both)
    assert [line.partition(":")[0] for line in said] == [
        "new, native",
        "old, native",
        "old, nested-neve-vhe",
    ]
    assert "GICv2" in said[-1]
