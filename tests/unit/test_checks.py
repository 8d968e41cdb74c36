# SPDX-License-Identifier: MIT
"""What checks a change, on GitHub and before a commit: it parses, and calls what there is."""

import re
import subprocess
import tomllib

import yaml

from harness.paths import ROOT
from tests.documents import missing_targets, text_of

WORKFLOW = yaml.safe_load(text_of(".github/workflows/check.yml"))
HOOKS = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"][0]["hooks"]
(JOB,) = WORKFLOW["jobs"].values()


def recipe(target):
    """What `make` would do for `target` with an environment that is there."""
    return subprocess.run(
        ["make", "-n", "-o", "venv", target], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()


def test_every_target_of_make_exists():
    called = [step["run"].split() for step in JOB["steps"] if "run" in step]
    assert {words[0] for words in called} == {"make"}
    assert [words[1] for words in called] == ["lint", "unit"]
    assert not missing_targets(words[1] for words in called)


def test_actions_have_one_version():
    used = [step["uses"] for step in JOB["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", name) for name in used)


def test_the_oldest_python_is_tried():
    oldest = tomllib.loads(text_of("pyproject.toml"))["project"]["requires-python"]
    assert f">={JOB['strategy']['matrix']['python'][0]}" == oldest
    assert len(JOB["strategy"]["matrix"]["python"]) > 1


def test_hooks_are_parts_of_make_lint():
    lines = recipe("lint")
    for hook in HOOKS:
        assert any(line.startswith(hook["entry"]) for line in lines), hook["entry"]


def test_make_lint_sees_every_shell_script():
    """Those that a suffix or the first line tells; the recipe's own words find them."""
    lines = [line for line in recipe("lint") if "shellcheck" in line]
    found = [
        name
        for line in lines
        for name in subprocess.run(
            ["sh", "-c", f"printf '%s\\n' {line[line.index('$(') :]}"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
    ]
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert sorted(found) == sorted(filter(is_shell, tracked))
    assert {"images/rootfs/init", "images/pinned", ".ci/run"} <= set(found)


def is_shell(name):
    first = (ROOT / name).read_bytes().partition(b"\n")[0]
    return name.endswith((".sh", ".bash")) or (
        first.startswith(b"#!") and re.search(rb"\b(ba|da|)sh\b", first) is not None
    )
