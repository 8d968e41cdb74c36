# SPDX-License-Identifier: MIT
"""CONTRIBUTING.md and the pages for developers are true: their paths and names exist, and the rooms
are those that import-linter knows."""

import re
import tomllib

import pytest

from harness.paths import ROOT
from tests.documents import DOCUMENTS, make_targets, missing_targets, text_of

PAGES = [name for name in DOCUMENTS if name.startswith("docs/development/")]
TEXT = text_of("CONTRIBUTING.md") + "".join(map(text_of, PAGES))
NAMED = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.S))
PATHS = [
    name
    for name in NAMED
    if re.fullmatch(r"[\w.<>/-]+", name)
    and ("/" in name or name.endswith((".md", ".toml", ".lock", ".config")))
]
SAID = re.findall(r"`(\w+)`\s(?:in|of)\s`([\w/.-]+\.(?:py|c))`", TEXT)


def test_make_targets_exist():
    targets = make_targets(TEXT)
    assert {"venv", "unit", "lint", "test", "stress", "lock"} <= set(targets)
    targets += [name.split()[1] for name in NAMED if name.startswith("make ")]
    assert not missing_targets(targets)


def test_every_path_exists():
    """With any name for a placeholder."""
    assert len(PATHS) > 30
    assert not [path for path in PATHS if not found(re.sub(r"<[a-z]+>", "*", path))]


def found(pattern):
    return any(ROOT.glob(pattern)) or any(ROOT.glob(f"kernel-patches/*/{pattern}"))


@pytest.mark.parametrize(("name", "file"), SAID)
def test_what_a_file_is_said_to_have_is_there(name, file):
    assert re.search(rf"\b{name}\b", text_of(file))


def test_files_are_said_to_have_something():
    assert {"Track", "Host", "l0"} <= {name for name, _ in SAID}


def test_rooms_are_those_of_the_contract_and_in_its_order():
    tables = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (layers,) = (table["layers"] for table in tables if table["type"] == "layers")
    told = re.findall(r"^\| `harness/(\w+)(?:/|\.py)` \|", TEXT, re.M)
    assert [set(layer.split(" | ")) for layer in layers[1:-1]] == [
        set(group) for group in grouped(told, layers[1:-1])
    ]


def grouped(told, layers):
    """The rooms that are told, as many at a time as each layer has."""
    rest = iter(told)
    return [[next(rest) for _ in layer.split(" | ")] for layer in layers]
