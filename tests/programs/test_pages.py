# SPDX-License-Identifier: MIT
"""Pages as a browser shows them: on a phone, in the dark, on paper, and with the filter. Debian's
chromium and poppler-utils do it, where they are installed."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.paths import ROOT
from tests.synthetic import write_exact, write_run
from tests.unit.test_figures import write_run as write_operations

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="apt-get install chromium")
PHONE, DESK = 390, 1280
# What is wider than the window, but for what scrolls by itself.
LOOK = """
const frame = document.querySelector("iframe"), seen = frame.contentDocument;
const scrolls = each => each.closest(".wide") !== null;
const wide = [...seen.body.querySelectorAll("*")].filter(
  each => !scrolls(each) && each.getBoundingClientRect().right > frame.clientWidth + 1);
const text = [...seen.querySelectorAll("svg text")].map(
  each => each.getBoundingClientRect().height);
const colors = each => frame.contentWindow.getComputedStyle(each);
const result = {
  wide: wide.map(each => each.tagName), width: seen.documentElement.scrollWidth,
  smallest: Math.min(...text),
  page: colors(seen.body).backgroundColor, text: colors(seen.body).color,
  label: colors(seen.querySelector("svg text")).fill,
  pictures: [...seen.querySelectorAll("figure")].map(each => each.getBoundingClientRect().left),
};
"""


def browse(*arguments):
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",  # root in a container has none
            "--disable-gpu",
            "--allow-file-access-from-files",
            *arguments,
        ],
        env={**os.environ, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def looked(page, script, width, *options):
    """What `script`, which sets `result`, finds in `page` in a window of so many pixels."""
    around = page.with_name("around.html")
    around.write_text(
        f'<!DOCTYPE html><body><iframe src="{page.name}" width="{width}" height="2000"></iframe>'
        f"<script>onload = () => {{ {script} document.body.textContent = JSON.stringify(result); "
        "}</script>"
    )
    told = browse("--window-size=1600,2200", *options, "--dump-dom", around.as_uri())
    return json.loads(html.unescape(re.search(r"<body>(.*)</body>", told, re.S)[1]))


def neve(folder, *arguments):
    subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A report of two hosts, and a history."""
    folder = tmp_path_factory.mktemp("pages")
    write_operations(
        folder / "runs", "two", ("gicv3", "gicv2"), benchmarks=("hypercall", "device-io")
    )
    neve(folder, "report", "two")
    nights = folder / "nights"
    for number in range(12):
        write_run(nights, number, {"hypercall": 1000.0, "device-io": 2000.0})
        cells = {("nested-neve-vhe", "hypercall"): (43611 + (number > 8), [["HVC", "vEL2 ERET"]])}
        write_exact(nights, number, cells, name=f"tcg-{number:02}")
    neve(folder, "history", "import", "nights")
    neve(folder, "history", "report", "--output", "history.html")
    return {"report": folder / "runs/two/report.html", "history": folder / "history.html"}


@pytest.fixture
def pages(drawn, tmp_path):
    """Copies of each test's own."""
    return {
        name: Path(shutil.copy(page, tmp_path / f"{name}.html")) for name, page in drawn.items()
    }


@pytest.mark.parametrize("name", ["report", "history"])
def test_nothing_is_wider_than_a_phone(pages, name):
    found = looked(pages[name], LOOK, PHONE)
    assert found["wide"] == []
    assert found["width"] <= PHONE
    assert found["smallest"] > 8, "pixels: what figures say is legible"
    assert len(set(found["pictures"])) == 1, "figures are below each other"


@pytest.mark.parametrize("name", ["report", "history"])
def test_figures_are_side_by_side_on_a_desk(pages, name):
    found = looked(pages[name], LOOK, DESK)
    assert found["wide"] == []
    assert len(set(found["pictures"])) == 2


@pytest.mark.parametrize("name", ["report", "history"])
def test_the_dark_is_dark_in_figures_too(pages, name):
    light = looked(pages[name], LOOK, DESK)
    assert (light["page"], light["text"]) == ("rgb(255, 255, 255)", "rgb(34, 34, 34)")
    dark = looked(
        pages[name], LOOK, DESK, "--force-dark-mode", "--blink-settings=preferredColorScheme=0"
    )
    assert (dark["page"], dark["text"]) == ("rgb(23, 23, 23)", "rgb(228, 226, 221)")
    assert dark["label"] == dark["text"] and light["label"] == light["text"]


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="apt-get install poppler-utils")
def test_paper_cuts_nothing_off(pages, tmp_path):
    for name, last in (("report", "paper: traps"), ("history", "what else changed")):
        browse(
            f"--print-to-pdf={tmp_path / 'page.pdf'}",
            "--no-pdf-header-footer",
            pages[name].as_uri(),
        )
        done = subprocess.run(
            ["pdftotext", "-bbox", tmp_path / "page.pdf", "-"],
            capture_output=True,
            text=True,
            check=True,
        )
        (width,) = set(re.findall(r'<page width="([\d.]+)"', done.stdout))
        ends = [float(end) for end in re.findall(r'xMax="([\d.]+)"', done.stdout)]
        assert max(ends) < float(width), f"{name}: a word beyond the edge"
        words = re.findall(r"<word [^>]*>([^<]*)</word>", done.stdout)
        assert all(word in words for word in last.split()), "the last column is there"


def test_the_filter_shows_what_is_chosen(pages):
    script = """
    const seen = document.querySelector("iframe").contentDocument;
    const form = seen.querySelector("#filter");
    form.elements.host.value = "tcg";
    form.dispatchEvent(new Event("change"));
    const shown = kind => [...seen.querySelectorAll(kind)].filter(each => each.offsetHeight > 0);
    const result = {
      form: form.offsetHeight > 0, said: form.querySelector("output").textContent,
      sections: shown("section").map(each => each.dataset.host),
      contents: shown("nav li[data-host]").map(each => each.dataset.host),
    };
    """
    found = looked(pages["history"], script, DESK)
    assert found == {"form": True, "said": "1 shown", "sections": ["tcg"], "contents": ["tcg"]}


def test_without_a_script_all_is_there(pages):
    page = pages["history"]
    page.write_text(re.sub(r"<script>.*?</script>", "", page.read_text(), flags=re.S))
    script = """
    const seen = document.querySelector("iframe").contentDocument;
    const all = [...seen.querySelectorAll("section")];
    const result = [all.length, all.filter(each => each.offsetHeight > 0).length,
      seen.querySelector("#filter").offsetHeight];
    """
    assert looked(page, script, DESK) == [3, 3, 0]
