# SPDX-License-Identifier: MIT
"""The README is a product: short, with figures that the pages it leads to have, too. That its
commands are ours and its links hold, test_documents.py looks at."""

import re

from harness.model.playbook import Configuration
from harness.model.track import Track
from tests.documents import make_targets, text_of

README = text_of("README.md")
LINES = 130


def rows(text, start):
    """The cells of the table lines that begin so."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith(f"| {start}")
    ]


def test_it_is_short():
    assert len(README.splitlines()) <= LINES


def test_two_commands():
    assert make_targets(README) == ["reproduce", "test"]


def test_paper_is_named_with_its_doi():
    doi = re.search(r"doi: (\S+)", text_of("CITATION.cff"))[1]
    assert f"https://doi.org/{doi}" in README
    assert "NEVE: Nested Virtualization Extensions for ARM" in README


def test_words_are_explained():
    words = README.partition("## Words")[2].partition("\n## ")[0]
    assert not [w for w in ("L0", "L1", "L2", "VHE", "E2H", "NV", "NEVE") if w not in words]


def test_figures_of_the_paper_s_kernel_are_those_of_its_page():
    page = text_of("docs/how-to/paper.md")
    for gic in ("GICv3", "GICv2"):
        (ours,) = rows(README, f"{gic} ")
        told = {row[2]: (row[4], row[5]) for row in rows(page, gic.lower()) if "hypercall" in row}
        names = [name for name in Configuration if name in told and name != "vm"]
        assert ours[1:] == [f"{ratio}, {traps}" for ratio, traps in map(told.get, names)]


def test_fidelity_is_that_of_its_page():
    equal = r"\d+ = \d+"
    page = text_of("docs/explanation/emulations.md")
    assert re.findall(equal, README) == re.findall(equal, page) != []
    assert all(len(set(each.split(" = "))) == 1 for each in re.findall(equal, README))


def test_first_run_shows_the_same_table():
    shown = rows("| " + text_of("docs/tutorial.md").replace("\n", "\n| "), "hypercall ")
    assert shown == [row[:5] for row in rows(README, "hypercall ")]


def test_oldest_kernel_is_told():
    said = f"{Track.load('upstream').origin.example} is the oldest"
    assert said in text_of("docs/how-to/compare.md")
