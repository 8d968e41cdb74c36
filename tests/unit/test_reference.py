# SPDX-License-Identifier: MIT
"""The reference that is made from the code has every command, option, key, variable, exit code and
register."""

import re

import click
import pytest

from docs.generate import filled
from docs.generate.keys import sections
from docs.generate.tables import table
from harness import cli
from harness.errors import HarnessError
from harness.model import registers, schema
from harness.model.operations import load
from harness.paths import KERNEL_PATCHES, ROOT
from tests.documents import text_of


def page(name):
    """As it is before Sphinx makes HTML of it."""
    return filled(text_of(f"docs/reference/{name}.md"))


def every(command=cli.cli, path=("neve",)):
    for name, each in getattr(command, "commands", {}).items():
        yield " ".join((*path, name)), each
        yield from every(each, (*path, name))


def section(text, title):
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(("name", "command"), list(every()), ids=lambda each: str(each)[:30])
def test_every_command_and_option_is_told(name, command):
    told = section(page("commands"), name)
    assert told.count("```text\n" + name) == 1
    assert " ".join(command.help.split())[:40] in " ".join(told.split())
    for option in command.params:
        if isinstance(option, click.Option) and option.name not in {"verbose", "quiet"}:
            assert all(f"{word}" in told for word in option.opts), option
            assert option.help is None or option.help.split(":")[0][:20] in told
        elif isinstance(option, click.Argument):
            assert option.make_metavar(click.Context(command)) in told


@pytest.mark.parametrize(
    ("name", "on"),
    [
        ("playbook", "playbook"),
        ("inventory", "inventory"),
        ("config", "environment"),
        ("metadata", "metadata"),
        ("cell", "metadata"),
    ],
)
def test_every_key_is_told(name, on):
    told = page(on)
    found = schema.schema(name)
    parts = [part for part in (found, *found.get("$defs", {}).values()) if "properties" in part]
    keys = [(key, value) for part in parts for key, value in part["properties"].items()]
    for key, value in keys:
        rows = re.findall(rf"^\| `{key}` \|(.*)$", told, re.M)
        assert rows, key
        meaning = " ".join(value.get("description", "").split())[:30]
        assert any(meaning.replace("<", r"\<").replace("$", r"\$") in row for row in rows), key
    assert len(re.findall(r"^\| `\w+` \|", told, re.M)) >= len(keys)


def test_every_choice_and_limit_of_a_playbook_is_told():
    told = page("playbook")
    for each in schema.schema("playbook")["$defs"]["Configuration"]["enum"]:
        assert f"`{each}`" in told
    assert "whole number, 2 to 65536 | `1000`" in told
    assert "number above 0, up to 1 | `1.0`" in told
    assert "mapping: `l0`, `l1`, `l2`: text" in told
    assert next(title for title, _ in sections("playbook")) == ""


def test_every_variable_is_told():
    """That the package or the Makefile reads."""
    files = [*(ROOT / "harness").rglob("*.py"), ROOT / "Makefile"]
    read = {
        one or other
        for path in files
        for one, other in re.findall(
            r"\"(NEVE_[A-Z_]+)\"|\$\{(NEVE_[A-Z_]+)[:}]", path.read_text(encoding="utf-8")
        )
    }
    told = page("environment")
    assert len(read) >= 7
    assert not [name for name in read if f"| `{name}`" not in told]


def test_every_exit_code_is_told():
    def codes(kind):
        return {kind.exit_code}.union(*map(codes, kind.__subclasses__()))

    told = {int(code) for code in re.findall(r"^\| (\d+) \|", page("exit-codes"), re.M)}
    assert told == {0, 130} | codes(HarnessError)


def test_every_register_that_nesting_concerns_is_told():
    told = page("registers")
    tables = registers.tables()
    for kind in ("registers", "instructions"):
        for name, entry in tables[kind].items():
            assert (f"| `{name}` | `S{entry['enc'][0]}_" in told) == bool(entry.keys() - {"enc"})
    for part in load(KERNEL_PATCHES / "v4.10").values():
        assert not [item.name for item in part if f"| `{item.name}` |" not in told]
    assert re.search(r"`HCR_EL2` \| `S3_4_C1_C1_0` \| trap \| memory, 0x078", told)
    assert re.search(r"\| 9 \| `CPTR_EL2` \| hvc \| memory; writes trap \| trap \| 0xf80", told)


def test_an_unknown_part_is_an_error():
    with pytest.raises(KeyError, match="nonsense"):
        filled("<!-- generated: nonsense -->")


def test_a_bar_in_a_cell_does_not_end_it():
    assert table(["a"], [["x | y\nz"]]).splitlines()[-1] == r"| x \| y z |"
