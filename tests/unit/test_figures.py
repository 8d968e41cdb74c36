# SPDX-License-Identifier: MIT
"""Pictures and tables that go into a paper: colours that everybody tells apart, also in grey; the
width that is asked for; fonts that are in the file; several runs in one report."""

import io
import json
import re
import struct
import xml.etree.ElementTree as ET
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from harness.model.cell import CellRecord
from harness.results import chart, drawing, palette
from harness.results.latex import latex
from tests.synthetic import measurement, metadata, write_cells

# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# IEC 61966-2-1: linear sRGB to XYZ; its white is D65.
TO_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]
WHITE = [0.95047, 1.0, 1.08883]
APART = 9.0  # CIELAB; 2.3 is a difference that is just noticed
APART_IN_GREY = 10.0  # of 100


def lab(color, vision):
    """CIELAB of `#rrggbb` as somebody sees it."""
    given = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(given <= 0.04045, given / 12.92, ((given + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    x, y, z = (
        np.cbrt(each) if each > (6 / 29) ** 3 else each / (3 * (6 / 29) ** 2) + 4 / 29
        for each in np.array(TO_XYZ) @ seen / WHITE
    )
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


SETS = {
    "configurations": palette.CONFIGURATIONS.values(),
    "kinds": palette.KINDS.values(),
    "series": palette.SERIES,
}


@pytest.mark.parametrize("looks", SETS.values(), ids=SETS)
def test_colours_are_told_apart_by_everybody_and_in_grey(looks):
    colors = list(dict.fromkeys(look.color for look in looks))
    for one, other in combinations(colors, 2):
        for vision in VISION:
            distance = np.linalg.norm(lab(one, vision) - lab(other, vision))
            assert distance > APART, f"{one} and {other}, {vision}: {distance:.1f}"
        grey = abs(lab(one, "normal")[0] - lab(other, "normal")[0])
        assert grey > APART_IN_GREY, f"{one} and {other} in grey: {grey:.1f}"


@pytest.mark.parametrize("looks", SETS.values(), ids=SETS)
def test_none_looks_like_another(looks):
    assert len({(look.color, look.hatch) for look in looks}) == len(list(looks))


def test_colours_of_before_were_the_same_grey():
    grey = [lab(color, "normal")[0] for color in ("#b04a4a", "#2f6f9f")]
    assert abs(grey[0] - grey[1]) < 1


def test_more_names_than_colours_have_looks_of_their_own():
    given = palette.looks(f"k{number}" for number in range(20))
    assert len({(look.color, look.hatch) for look in given.values()}) == 20


def write_run(runs, name, hosts=("tcg",), *, benchmarks=("hypercall",), scale=1.0):
    """A run of micro-benchmarks in two configurations on each of `hosts`."""
    folder = runs / name
    folder.mkdir(parents=True)
    known = metadata(
        name, repeat="neve run fallback", commands={"tcg: L0": ["qemu", "-append", "a b"]}
    )
    known["playbook"]["hosts"] = [
        {"name": host, "kind": "tcg", "cpu": "max", "gic": 3} for host in hosts
    ]
    known["computer"] = {
        "processor": "Abacus 2",
        "cpus": 2,
        "memory": 4 << 30,
        "system": "Debian, Linux 6.1",
    }
    banner = "Linux version 7.3.4 (neve@neve) (gcc (Debian 12.2.0-14) 12.2.0, GNU ld 2.40) #1"
    booted = {"version": banner, "arguments": "", "build_id": "", "config": ""}
    known["booted"] = {"tcg/vm": {"l0": booted}}
    (folder / "metadata.json").write_text(json.dumps(known))
    records = []
    for host in hosts:
        for benchmark in benchmarks:
            for configuration, cost, traps in (("vm", 1000.0, 1.0), ("nested-neve", 30000.0, 15.0)):
                where = {"host": host, "configuration": configuration, "benchmark": benchmark}
                of_traps = {**where, "metric": "traps", "unit": "exits"}
                records.append(
                    CellRecord(
                        f"{host}/{configuration}/1/{benchmark}",
                        "passed",
                        1.0,
                        (
                            measurement(name, cost * scale, **where),
                            measurement(name, traps, **of_traps),
                            measurement(name, traps, reason="HVC64", **of_traps),
                        ),
                    )
                )
    write_cells(folder, records)
    return folder


@pytest.fixture
def runs(tmp_path):
    write_run(tmp_path / "runs", "one", benchmarks=("hypercall", "device-io"))
    write_run(tmp_path / "runs", "two", ("gicv3", "gicv2"), scale=2)
    return tmp_path / "runs"


def width_of_pdf(data):
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", data)
    return float(box[1]) / 72


def test_a_figure_has_its_width_and_its_fonts(runs, neve):
    done = neve("report", "one", "--figure", "pdf", "--width", "3.3in", "--panel", "cost")
    assert done.stdout == f"{runs / 'one' / 'figure-cost.pdf'}\n"
    data = (runs / "one" / "figure-cost.pdf").read_bytes()
    assert width_of_pdf(data) == pytest.approx(3.3)
    assert b"/FontFile2" in data and b"/Type3" not in data, "TrueType, embedded"
    neve("report", "one", "--figure", "png", "--width", "84mm", "--output", "here.png")
    width, height = struct.unpack(">II", (runs.parent / "here.png").read_bytes()[16:24])
    assert width == pytest.approx(84 / 25.4 * 300, abs=2) and height > width, "one below the other"
    neve("report", "one", "--figure", "svg", "--output", "here.svg")
    root = ET.parse(runs.parent / "here.svg").getroot()
    assert root.get("width") == "720pt"
    assert not list(root.iter("{http://www.w3.org/2000/svg}text")), "outlines need no font"
    again = neve("report", "one", "--figure", "pdf", "--output", "again.pdf")
    assert again.returncode == 0
    neve("report", "one", "--figure", "pdf", "--output", "twice.pdf")
    assert (runs.parent / "again.pdf").read_bytes() == (runs.parent / "twice.pdf").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--width", "3.3in"], "--width needs --figure"),
        (["--panel", "cost"], "--panel needs --figure"),
        (["--figure", "pdf", "--json"], "can't be combined with --table or --json"),
        (["--output", "x"], "--output is for --figure"),
        (["--figure", "pdf", "--width", "3.3"], "'3.3' is not a length: 3.3in"),
        (["--figure", "pdf", "--width", "1e9in"], "is not a length"),
        (["--figure", "pdf", "--width", "0.1in"], "0.1in is not between 1.5in and 40in"),
        (["two", "one=two", "two"], "two is listed twice"),
    ],
)
def test_what_is_refused(runs, neve, arguments, said):
    done = neve("report", *(["one"] if arguments[0].startswith("--") else []), *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_hosts_are_panels_with_words_for_those_who_do_not_see_them(runs, neve):
    assert neve("report", "two").returncode == 0
    page = (runs / "two" / "report.html").read_text()
    alts = re.findall(r'<svg role="img" aria-label="([^"]+)"', page)
    assert len(alts) == 4
    assert alts[0] == (
        "Bars: cost, that of VM being 1, on gicv3. hypercall: nested-neve 30.0x (34x in the paper)."
    )
    assert "on gicv2. hypercall, vm 1 (exit of a guest 1); hypercall, neve 15 (" in alts[3]
    assert page.count("<figcaption>gicv2: ") == 2
    assert palette.INK not in page, "ink is as the page's text, which is light in the dark"
    assert 'aria-label="Bars: ' in (runs / "two" / "report.svg").read_text()


def test_error_bars_are_drawn_where_an_interval_is_known():
    table = pd.DataFrame(
        [
            {
                "host": "arm1",
                "benchmark": benchmark,
                "configuration": "nested-neve",
                "ratio": 30.0,
                "ratio_low": low,
                "ratio_high": high,
                "paper_ratio": float("nan"),
            }
            for benchmark, low, high in (
                ("hypercall", 29.0, 31.5),
                ("device-io", float("nan"), float("nan")),
            )
        ]
    )
    panel = chart.operations(table, pd.DataFrame(columns=pd.MultiIndex.from_arrays([[], [], []])))[
        0
    ]
    (axes,) = drawing.figure([panel], 5.0).axes
    (bars,) = (each for each in axes.containers if hasattr(each, "has_xerr") and each.has_xerr)
    (segments,) = (lines.get_segments() for lines in bars.lines[2])
    assert [sorted(x for x, _ in segment) for segment in segments] == [[29.0, 31.5]]
    assert "30.0x (from 29.0x to 31.5x)" in panel.alt


def test_titles_do_not_leave_a_narrow_figure(runs):
    panels = [
        drawing.Panel(name, host, "what traps, by what NEVE makes of it", "", 5, lambda _axes: None)
        for host in ("a-server-with-a-rather-long-name", "b")
        for name in ("cost", "traps")
    ]
    drawn = drawing.figure(panels, 3.3)
    drawn.savefig(io.BytesIO())
    renderer = FigureCanvasAgg(drawn).get_renderer()
    for part in drawn.subfigs:
        box = part._suptitle.get_window_extent(renderer)
        assert box.x0 >= 0 and box.x1 <= drawn.bbox.x1


def test_tables_for_papers_and_programs(runs, neve):
    markdown = neve("report", "one", "--table", "markdown").stdout
    assert markdown.splitlines()[0].startswith("| benchmark ")
    rows = pd.read_csv(io.StringIO(neve("report", "one", "two", "--table", "csv").stdout))
    assert list(rows["run"]) == ["one"] * 4 + ["two"] * 4
    assert rows.loc[1, "ratio"] == 30.0
    said = neve("report", "one", "--table", "latex").stdout
    assert "\\begin{tabular}{llrrrrrr}" in said
    assert "hypercall & nested-neve & 30,000 & 30.0x & 15.00 &" in said


def test_latex_escapes_what_is_special():
    table = pd.DataFrame({"a_b": ["50 % & $5", "#1 {x} ~ ^ \\"], "n": ["1", "2.0x"]})
    said = latex(table)
    assert r"a\_b & n \\" in said
    assert r"50 \% \& \$5 & 1 \\" in said
    assert r"\#1 \{x\} \textasciitilde" in said
    assert r"\begin{tabular}{lr}" in said


def test_several_runs_in_one_report(runs, neve):
    done = neve("report", "before=one", "two")
    assert done.returncode == 0
    assert done.stdout.endswith("report: runs/report/report.html\n")
    text = (runs / "report" / "report.md").read_text()
    assert "# before and two" in text
    assert re.search(r"\| before +\| hypercall +\| nested-neve ", text)
    assert re.search(r"\| two: gicv2 +\| hypercall +\| nested-neve ", text)
    assert text.count("Run one.") == text.count("Run two.") == 1
    page = (runs / "report" / "report.html").read_text()
    assert page.count("<figcaption>before: ") == page.count("<figcaption>two: gicv3: ") == 2
    assert json.loads(neve("report", "one", "two", "--json").stdout)[0]["run"] == "one"
    listed = json.loads(neve("runs", "--json").stdout)
    assert [each["run"] for each in listed] == ["one", "two"], "the report is no run"


def test_appendix_says_how_and_on_what_it_was_measured(runs, neve):
    neve("report", "one")
    for name in ("report.md", "report.html"):
        text = (runs / "one" / name).read_text()
        for said in (
            "gcc (Debian 12.2.0-14) 12.2.0, GNU ld 2.40",
            "Abacus 2, 2 CPUs, 4.3 GB of memory, Debian, Linux 6.1",
            "tcg: max, emulated by QEMU, GICv3",
            "QEMU 11.1",
            "neve run fallback",
            "0.1.0",
        ):
            assert said in text, name
        assert "qemu -append 'a b'" in text or "qemu -append &#39;a b&#39;" in text


def test_servers_tell_their_processors(runs, neve):
    file = runs / "one" / "metadata.json"
    known = json.loads(file.read_text())
    known["playbook"]["hosts"] = [
        {"name": name, "kind": "ssh", "gic": 3} for name in ("arm1", "silent")
    ]
    known["processors"] = {"arm1": "Neoverse-V1, MIDR_EL1 0x00000000411fd401"}
    file.write_text(json.dumps(known))
    text = neve("report", "one").stdout
    assert "- processor: arm1: Neoverse-V1, MIDR_EL1 0x00000000411fd401, GICv3\n" in text
    assert "- processor: silent: a server that did not tell its own, GICv3\n" in text
    assert "qemu -append" not in text, "a terminal is spared what is long"


def test_a_run_of_before_has_an_appendix_too(runs, neve):
    file = runs / "one" / "metadata.json"
    known = json.loads(file.read_text())
    for key in ("computer", "booted", "commands", "harness"):
        del known[key]
    file.write_text(json.dumps(known))
    assert neve("report", "one").returncode == 0
    text = (runs / "one" / "report.md").read_text()
    assert "- computer" not in text and "Command lines" not in text


def of_applications(folder):
    """Makes of the run in `folder` one of an application."""
    known = json.loads((folder / "metadata.json").read_text())
    known["legend"] = {
        "compared": "",
        "applications": {"memcached": {"title": "Memcached", "unit": "s", "better": "lower"}},
    }
    (folder / "metadata.json").write_text(json.dumps(known))
    records = []
    for configuration, times in (("native", [1.0, 1.2]), ("vm", [2.0, 2.2])):
        where = {"configuration": configuration, "benchmark": "memcached"}
        row = measurement(folder.name, times[0], metric="time", unit="s", **where)
        name = f"tcg/{configuration}/1/memcached"
        sample = {"figures": times, "size": "small"}
        records.append(CellRecord(name, "passed", 1.0, (row,), (sample,)))
    write_cells(folder, records)


def test_no_picture_is_asked_of_other_than_its_own_panels(runs, neve):
    of_applications(runs / "one")
    done = neve("report", "one", "--figure", "svg", "--panel", "traps")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is nothing to draw of one: it has cost" in done.stderr
    assert neve("report", "one", "--figure", "svg", "--panel", "cost").returncode == 0


def test_runs_of_one_kind_are_in_one_report(runs, neve):
    of_applications(runs / "one")
    done = neve("report", "one", "two")
    assert done.returncode == 2
    assert "runs of micro-benchmarks with runs of applications: one, two" in done.stderr
    of_applications(runs / "two")
    done = neve("report", "one", "two")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\| two +\| Memcached +\| vm +\| 1.91x \(", done.stdout)


def test_a_dollar_sign_is_no_formula():
    alone = drawing.Panel("cost", "", "", "", 3, lambda axes: axes.set_xlabel("$\\frac{"))
    assert "frac" in drawing.svg(drawing.figure([alone], 4.0), "")
