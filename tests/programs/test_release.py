# SPDX-License-Identifier: MIT
"""What a release consists of: a changelog of a known form, how to cite it, manual pages, versions
that git names."""

import re
import subprocess
import sys

import pytest
import yaml

from harness.paths import ROOT
from harness.version import harness_version, release
from tests.documents import text_of
from tests.repositories import git

CHANGELOG = text_of("CHANGELOG.md")
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def test_changelog_is_kept_as_keep_a_changelog_says():
    assert CHANGELOG.startswith("# Changelog\n")
    headings = re.findall(r"^(#{2,}) (.*)$", CHANGELOG, re.M)
    versions = [text for level, text in headings if level == "##"]
    assert versions[0] == "[Unreleased]"
    for version in versions[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version)
    for part in re.split(r"^## .*$", CHANGELOG, flags=re.M)[1:]:
        kinds = re.findall(r"^### (.*)$", part, re.M)
        assert kinds == [kind for kind in KINDS if kind in kinds], "each once, in their order"
        lines = [line for line in part.splitlines() if line and not line.startswith("###")]
        assert all(line.startswith(("- ", "  ")) for line in lines)


def test_every_tag_has_its_part_of_the_changelog():
    said = subprocess.run(
        ["git", "tag", "--list", "v*"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for tag in said.stdout.split():
        assert f"## [{tag.removeprefix('v')}] - " in CHANGELOG


def test_citation_says_whom_to_cite():
    known = yaml.safe_load(text_of("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(known), "what the format demands"
    paper = known["preferred-citation"]
    assert [author["family-names"] for author in paper["authors"]] == [
        "Lim",
        "Dall",
        "Li",
        "Nieh",
        "Zyngier",
    ]
    assert re.fullmatch(r"10\.\d{4,9}/[\w./-]+", paper["doi"])


def test_version_is_that_of_git_and_not_in_the_files(neve):
    assert 'dynamic = ["version"]' in text_of("pyproject.toml")
    assert neve("--version").stdout == f"neve, version {release()}\n"
    commit = git(ROOT, "rev-parse", "--short=12", "HEAD")
    assert re.fullmatch(rf"[\d.dev]+ \({commit}\+?\)", harness_version())


def test_every_command_has_a_manual_page(tmp_path):
    pytest.importorskip("click_man", reason="make venv installs it")
    from tests.unit.test_conveniences import leaves

    subprocess.run([sys.executable, "-m", "tests.man", tmp_path], cwd=ROOT, check=True)
    from harness import cli

    for name, command in leaves(cli.cli):
        page = (tmp_path / f"neve-{name.replace(' ', '-')}.1").read_text()
        assert page.startswith(".TH")
        for option in command.params:
            assert all(
                word.replace("-", r"\-") in page for word in option.opts if word.startswith("--")
            )
