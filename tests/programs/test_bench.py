# SPDX-License-Identifier: MIT
"""The benchmark of ourselves, with what takes no time."""

import json
import subprocess
import sys

from harness.paths import ROOT
from tests.bench import BENCHMARKS
from tests.documents import text_of


def bench(tmp_path, *words):
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", "--output", str(tmp_path / "b.json"), *words],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_medians_are_written(tmp_path):
    done = bench(tmp_path, "--times", "3", "help", "runs")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert found["seconds"].keys() == {"help", "runs"}
    for figures in found["seconds"].values():
        assert len(figures["all"]) == 3
        assert figures["seconds"] == sorted(figures["all"])[1]
        assert 0.01 < figures["cpu"] < 10
    assert found["machine"]["cpus"] >= 1 and "load" in found["machine"]
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["help", "runs"]


def test_what_fails_is_no_figure(tmp_path):
    (tmp_path / "cache").write_text("no folder", encoding="utf-8")
    done = bench(tmp_path, "--times", "1", "warm")
    assert done.returncode == 1
    assert "harness run fallback: status 2" in done.stderr
    assert "neve: " in done.stderr, "its last lines"


def test_unknown_words_are_refused(tmp_path):
    done = bench(tmp_path, "wram")
    assert done.returncode == 2 and "wram: known are help, plan" in done.stderr
    assert not (tmp_path / "b.json").exists()


def test_the_developers_are_told_what_there_is():
    told = text_of("CONTRIBUTING.md")
    assert not [name for name in BENCHMARKS if f"`{name}`" not in told]
