# SPDX-License-Identifier: MIT
"""A report says what its run knew, whatever the project's tables say by now."""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from harness.cache import Cache
from harness.commands.run import facts_of
from harness.model import playbook
from harness.model.legend import Legend
from harness.model.operations import redirections
from harness.model.setup import Setup
from harness.paths import IMAGES, KERNEL_PATCHES, PLAYBOOKS, ROOT
from harness.results.store import RunFolder

RECORDED = Path(__file__).parents[1] / "recorded" / "schema1"
MICRO, APPLICATIONS = "20261127-085041-fallback-08f6", "20261127-152105-applications-9d17"
FILES = ("report.md", "report.html", "report.svg", "junit.xml", "results.csv")


@pytest.fixture(scope="module")
def later(tmp_path_factory):
    """The project after its tables have changed."""
    root = tmp_path_factory.mktemp("later")
    for folder in (ROOT / "harness", IMAGES, KERNEL_PATCHES, PLAYBOOKS):
        copytree(folder, root / folder.relative_to(ROOT), symlinks=True, dirs_exist_ok=True)
    patches = root / KERNEL_PATCHES.relative_to(ROOT)
    change(patches / "registers.toml", r"(?m)^(HCR_EL2 .*?), vncr = 0x[0-9a-f]+", r"\1")
    change(patches / "upstream" / "series.toml", "with care", "not at all")
    applications = root / "harness" / "model" / "applications"
    for old, new in (("Memcached", "Another"), ('unit = "s"', 'unit = "h"'), ("lower", "higher")):
        change(applications / "memcached.toml", old, new)
    return root


def change(file, pattern, replacement):
    text, number = re.subn(pattern, replacement, file.read_text(encoding="utf-8"), count=1)
    assert number, f"{file} has no {pattern}"
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def runs(tmp_path):
    copytree(RECORDED, tmp_path / "runs")
    return tmp_path / "runs"


def written(runs):
    return {
        name: {file: (runs / name / file).read_text(encoding="utf-8") for file in FILES}
        for name in (MICRO, APPLICATIONS)
    }


@pytest.fixture
def today(neve, runs):
    """Has the project report both runs, and gives what it has written."""

    def report():
        for name in (MICRO, APPLICATIONS):
            assert neve("report", name).returncode == 0
        return written(runs)

    return report


@pytest.fixture
def tomorrow(later, runs):
    """The same, of the project with its changed tables: a process that reports as often as it is
    asked."""
    both = "; ".join(f"cli.main(['report', {name!r}])" for name in (MICRO, APPLICATIONS))
    program = f"import sys; from harness import cli\nfor _ in sys.stdin: {both}; print('@done')"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        cwd=runs.parent,
        env={**os.environ, "PYTHONPATH": str(later)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )

    def report():
        process.stdin.write("again\n")
        process.stdin.flush()
        assert "@done\n" in iter(process.stdout.readline, "")
        return written(runs)

    with process:
        yield report
        process.stdin.close()


def test_reports_stay_when_the_tables_change(runs, today, tomorrow):
    of_before, changed = today(), tomorrow()
    for name in (MICRO, APPLICATIONS):
        assert changed[name] != of_before[name], "a run without a legend has today's"
        folder = RunFolder.open(runs, name)
        metadata = folder.metadata
        legend = Legend.of(metadata.track, metadata.playbook["benchmarks"])
        folder.update(legend=legend.model_dump())
    assert today() == of_before
    assert tomorrow() == of_before


def test_a_run_knows_it_from_its_start(tmp_path):
    book = playbook.validate(
        {
            "configurations": ["vm", "nested-v8.3-vhe"],
            "benchmarks": ["hypercall"],
            "hosts": [{"kind": "ssh", "name": "arm1", "address": "arm1"}],
        },
        "p",
    )

    class Artifacts:
        setup = Setup.of(book)

        @staticmethod
        def describe():
            return {}

    folder = RunFolder.create(tmp_path, "x", facts_of(Cache(tmp_path), Artifacts()))
    legend = RunFolder.open(tmp_path, folder.id).metadata.legend
    assert legend.redirected(e2h=True) == redirections("upstream", e2h=True)
    assert legend.redirected(e2h=False) == redirections("upstream", e2h=False)
    assert "with care" in legend.compared
    assert len((folder.path / "metadata.json").read_text().splitlines()) < 200


def test_a_track_that_is_gone_is_reported_all_the_same(neve, runs):
    folder = RunFolder.open(runs, MICRO)
    folder.update(legend=Legend.of("upstream", ["hypercall"]).model_dump(), track="v3.16")
    assert neve("report", MICRO).returncode == 0
    assert "track v3.16" in (runs / MICRO / "report.md").read_text(encoding="utf-8")
