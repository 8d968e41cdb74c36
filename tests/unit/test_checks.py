# SPDX-License-Identifier: MIT
"""What checks a change, on GitHub and before a commit: it parses, and calls what there is."""

import re
import subprocess
import tomllib

import pytest
import yaml

from harness.paths import ROOT
from tests.documents import missing_targets, text_of

WORKFLOW = yaml.safe_load(text_of(".github/workflows/check.yml"))
HOOKS = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"][0]["hooks"]
(JOB,) = WORKFLOW["jobs"].values()


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    """What `make lint` calls, as lists of words: the real recipe, and programs that take notes."""
    folder = tmp_path_factory.mktemp("venv")
    (folder / "bin").mkdir()
    for name in ("lint-imports", "mypy", "python", "ruff", "shellcheck"):
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>{folder}/notes\n')
        program.chmod(0o755)
    subprocess.run(
        ["make", "-o", "venv", "lint", f"VENV={folder}"], cwd=ROOT, check=True, capture_output=True
    )
    return [line.split() for line in (folder / "notes").read_text().splitlines()]


def test_every_target_of_make_exists():
    made = [step["run"].split() for step in JOB["steps"] if "run" in step]
    assert [words[:2] for words in made] == [["make", "lint"], ["make", "unit"]]
    assert not missing_targets(words[1] for words in made)


def test_actions_have_one_version():
    used = [step["uses"] for step in JOB["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", name) for name in used)


def test_the_oldest_python_is_tried():
    oldest = tomllib.loads(text_of("pyproject.toml"))["project"]["requires-python"]
    assert f">={JOB['strategy']['matrix']['python'][0]}" == oldest
    assert len(JOB["strategy"]["matrix"]["python"]) > 1


def test_hooks_are_parts_of_make_lint(called):
    for hook in HOOKS:
        words = hook["entry"].removeprefix(".venv/bin/").split()
        assert any(each[: len(words)] == words for each in called), hook["entry"]


def test_make_lint_sees_every_shell_script(called):
    """Those that a suffix or the first line tells."""
    found = [
        word
        for program, *words in called
        for word in words
        if program == "shellcheck" and not word.startswith("-")
    ]
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert sorted(found) == sorted(name for name in tracked if is_shell(ROOT / name))
    assert {"images/rootfs/init", "images/pinned", ".ci/run"} <= set(found)


def test_make_lint_runs_the_kernel_s_checkpatch(called):
    assert ["python", "-m", "tests.checkpatch"] in called


def is_shell(file):
    if file.is_symlink():
        return False
    first = file.read_bytes().partition(b"\n")[0]
    return file.suffix in (".sh", ".bash") or (
        first.startswith(b"#!") and re.search(rb"\b(ba|da|)sh\b", first) is not None
    )
