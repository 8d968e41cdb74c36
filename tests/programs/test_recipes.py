# SPDX-License-Identifier: MIT
"""The recipes of the book work: their changes are made in a copy of the checkout, and their
playbooks planned there."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from harness.paths import ROOT
from tests.documents import blocks, commands, text_of

FOLDERS = ("harness", "images", "kernel-patches", "playbooks")


def change(checkout, diff):
    """Make the change of a block: `@@` is where its lines are found, once."""
    old, new = re.match(r"--- (\S+)\n\+\+\+ b/(\S+)\n", diff).groups()
    for hunk in diff.split("@@\n")[1:]:
        before = "".join(f"{line[1:]}\n" for line in hunk.splitlines() if line[:1] != "+")
        after = "".join(f"{line[1:]}\n" for line in hunk.splitlines() if line[:1] != "-")
        path = checkout / new
        if old == "/dev/null":
            path.parent.mkdir(exist_ok=True)
            path.write_text(after, encoding="utf-8")
            continue
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{new} has changed: {before}"
        path.write_text(text.replace(before, after), encoding="utf-8")


@pytest.fixture
def checkout(tmp_path):
    for folder in FOLDERS:
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "data")
        )
    return tmp_path


def neve(checkout, *words):
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


def followed(checkout, name):
    """The checkout after the page's changes, and what `neve plan` says of its playbook."""
    text = text_of(f"docs/development/{name}.md")
    for diff in blocks(text, "diff"):
        change(checkout, diff)
    (block,) = blocks(text, "yaml")
    file = yaml.safe_load(block)["name"] + ".yaml"
    assert f"neve plan {file}" in commands(text)
    (checkout / file).write_text(block, encoding="utf-8")
    done = neve(checkout, "plan", file, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_micro_benchmark(checkout):
    planned = followed(checkout, "benchmark")
    assert planned["cells"] == ["tcg/vm/1/id-read", "tcg/nested-neve-vhe/1/id-read"]
    compiler = shutil.which("aarch64-linux-gnu-gcc") or "gcc"
    source = checkout / "images" / "microbench" / "bench.c"
    flags = ["-fsyntax-only", "-ffreestanding", "-Wall", "-Werror"]
    include = f"-I{checkout / 'images' / 'bare'}"
    subprocess.run([compiler, *flags, include, source], check=True)


def test_an_application(checkout):
    planned = followed(checkout, "application")
    assert [cell.rpartition("/")[2] for cell in planned["cells"]] == ["threads"] * 3


def test_a_track(checkout):
    planned = followed(checkout, "track")
    assert planned["cells"] == ["tcg/vm/1/hypercall", "tcg/nested-neve-vhe/1/hypercall"]


def test_a_kind_of_host(checkout):
    planned = followed(checkout, "host")
    assert planned["cells"] == ["mine/vm/1/hypercall"]
    described = json.loads(neve(checkout, "schema", "playbook").stdout)
    assert "RunningHostSpec" in described["$defs"]


def test_every_recipe_has_a_test():
    text = text_of("CONTRIBUTING.md").partition("## Recipes")[2].partition("\n## ")[0]
    pages = set(re.findall(r"docs/development/([a-z-]+)\.md", text))
    assert pages == {"benchmark", "application", "track", "host", "kernel-patch", "architecture"}
