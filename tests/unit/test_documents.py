# SPDX-License-Identifier: MIT
"""README, CONTRIBUTING.md and the book are true: their commands are ours, their playbooks valid,
and what they link to and name is there."""

import re
from xml.etree import ElementTree

import pytest
import yaml

from harness.errors import UserError
from harness.model import playbook
from harness.model.inventory import Inventory
from harness.paths import PLAYBOOKS, ROOT
from tests.documents import (
    DOCUMENTS,
    blocks,
    commands,
    make_targets,
    missing_links,
    missing_targets,
    parse,
    prose,
    slug,
    spoken,
    text_of,
    unknown,
)

PICTURES = sorted((ROOT / "docs").rglob("*.svg"))
FOLDERS = r"(?:harness|tests|kernel-patches|images|playbooks|docs)/"
RECIPES = {
    "id-read",
    "threads",
    "running",
    "plain",
}  # of which test_recipes.py makes what they need


@pytest.mark.parametrize(
    ("name", "command"),
    [(name, each) for name in DOCUMENTS for each in commands(text_of(name))],
)
def test_every_command_parses(name, command):
    parse(command)


@pytest.mark.parametrize(
    ("name", "command"), [(name, each) for name in DOCUMENTS for each in spoken(text_of(name))]
)
def test_every_command_in_running_text_exists(name, command):
    assert not unknown(command)


def test_there_are_many_of_them():
    assert sum(len(commands(text_of(name))) for name in DOCUMENTS) > 90
    assert sum(len(spoken(text_of(name))) for name in DOCUMENTS) > 15


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_pictures_and_headings_exist(name):
    assert not missing_links(name)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_make_targets_exist(name):
    text = text_of(name)
    said = re.findall(r"`make ([a-z]+)`", prose(text))
    assert not missing_targets({*make_targets(text), *said})


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_exists(name):
    """With any name for a placeholder."""
    said = re.findall(rf"`({FOLDERS}[\w.<>*/-]*)`", prose(text_of(name)))
    wanted = [re.sub(r"<[a-z]+>", "*", path).rstrip("/") for path in said]
    assert not [path for path in wanted if not any(ROOT.glob(path))]


@pytest.mark.parametrize(
    ("name", "block"),
    [(name, each) for name in DOCUMENTS for each in blocks(text_of(name), "yaml")],
)
def test_playbooks_and_inventories_are_valid(name, block, tmp_path):
    data = yaml.safe_load(block) or {}
    if not data or data.get("name") in RECIPES:
        return
    if "configurations" in data:
        assert playbook.plan(playbook.validate(data, name))
    else:
        (tmp_path / "lab.yaml").write_text(block, encoding="utf-8")
        assert Inventory.load(tmp_path / "lab.yaml").hosts


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_pictures_are_whole_and_say_what_they_show(path):
    root = ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.find(f"{space}title").text) > 60
    _, _, width, height = map(float, root.get("viewBox").split())
    for text in root.iter(f"{space}text"):
        assert 0 < float(text.get("x")) < width and 0 < float(text.get("y")) < height


def test_every_picture_is_shown_with_words_for_those_who_do_not_see_it():
    shown = [
        (ROOT / name).parent / target
        for name in DOCUMENTS
        for words, target in re.findall(r"!\[([^]]*)\]\(([^)]+)\)", text_of(name))
        if len(words) > 20
    ]
    assert set(PICTURES) <= {path.resolve() for path in shown}


def test_every_shipped_playbook_and_template_is_told():
    text = "".join(map(text_of, DOCUMENTS))
    files = [path for path in PLAYBOOKS.rglob("*") if path.is_file()]
    names = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    made = {"playbooks/templates/playbook.yaml", "playbooks/fabfile.py"}  # neve init; fab --list
    timer = {"playbooks/templates/neve-nightly.timer"}
    assert not [name for name in names - made - timer if name not in text]


def test_nothing_of_this_machine_is_told():
    for name in DOCUMENTS:
        assert not re.findall(r"(?<![\w.~-])/(?:work|home|tmp)/", text_of(name)), name


def test_a_wrong_link_command_and_playbook_would_be_found(tmp_path, monkeypatch):
    (tmp_path / "bad.md").write_text("[x](nowhere.md) [y](bad.md#two) [z](bad.md#one)\n# One\n")
    monkeypatch.setattr("tests.documents.ROOT", tmp_path)
    assert missing_links("bad.md") == ["nowhere.md", "bad.md#two"]
    with pytest.raises(Exception, match="No such option"):
        parse("neve run x.yaml --no-such-option")
    with pytest.raises(UserError):
        playbook.validate({"configurations": ["vm"]}, "bad.md")
    assert unknown("neve rnu") == ["rnu"]
    assert unknown("neve runs --dele RUN") == ["--dele"]
    assert slug("Data, not Python") == "data-not-python"
