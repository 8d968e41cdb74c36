# SPDX-License-Identifier: MIT
"""What a run says of its time: in a log, on a terminal, and before it is started."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.amounts import duration, size
from harness.cache import Cache
from harness.model import playbook
from harness.model.setup import Setup
from harness.paths import ROOT
from harness.progress import Progress
from harness.run.pace import Pace, stage_of
from harness.times import Span, Times

STAGED = """
import sys, time
from harness import progress
from harness.times import Span
progress._LONG = 0.3
spans = {"a: vm: one": Span(0.1, 0.1, 0.1), "kernel": Span(0.1, 60, 282), "long": Span(20, 20, 20)}
shown = progress.Progress()
if sys.argv[1] == "known":
    shown.expect(spans.get, 70.0)
with shown.stage("kernel"):
    pass
shown.measure(["a: vm: one", "a: vm: two"])
for cell in ("one", "two"):
    with shown.stage(f"a: vm: {cell}"):
        time.sleep({"one": 0.1, "two": 0.6}[cell])
        shown.measured()
with shown.stage("long"):
    time.sleep(0.5)
"""


def in_a_pipe(known):
    done = subprocess.run(
        [sys.executable, "-c", STAGED, known],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout == ""
    return re.sub(r"\b\d\.\d s", "T", done.stderr).splitlines()


def on_a_terminal(known, **env):
    """All that a terminal of 120 columns gets."""
    parent, child = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with subprocess.Popen(
        [sys.executable, "-c", STAGED, known],
        cwd=ROOT,
        stderr=child,
        stdin=subprocess.DEVNULL,
        env={**inherited, "TERM": "xterm", "COLUMNS": "120", **env},
    ):
        os.close(child)
        said = b""
        while True:
            try:
                said += os.read(parent, 65536)
            except OSError:  # EIO: the program has ended
                break
    os.close(parent)
    return said.decode()


def test_a_log_has_a_line_a_stage_and_another_for_what_takes_long():
    assert in_a_pipe("known") == [
        "    ok  kernel  T (expected T to 4 min 42 s)",
        "    ok  a: vm: one  T (expected T)  [1 of 2, T of about 70 s]",
        "... a: vm: two",
        "    ok  a: vm: two  T  [2 of 2, T of about 70 s]",
        "... long, about 20 s",
        "    ok  long  T (expected 20 s)  [2 of 2, T of about 70 s]",
    ]


def test_the_first_run_expects_nothing():
    said = in_a_pipe("unknown")
    assert said[0] == "    ok  kernel  T"
    assert said[1] == "    ok  a: vm: one  T  [1 of 2, T]"
    assert not any("expected" in line or "about" in line for line in said)


def test_a_terminal_has_bars_with_elapsed_and_expected_time():
    said = on_a_terminal("known")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said)
    assert re.search(r"cells [━╸╺]+ *1 of 2, \d\.\d s of about 70 s", plain)
    assert re.search(r"a: vm: one +.*━.* of about 0\.1 s", plain)
    assert re.search(r"kernel +0\.\d s", plain)  # no bar: it may take anything
    assert "ok  a: vm: two" in plain
    assert said.count("\x1b[2K") > 2  # they are drawn again in place


def test_a_terminal_without_colours_is_a_log():
    said = on_a_terminal("known", NO_COLOR="1")
    assert "\x1b" not in said
    assert "    ok  a: vm: one" in said


def setup_of(**more):
    asked = {
        "configurations": ["vm", "nested-neve-vhe"],
        "benchmarks": ["hypercall", "virtual-eoi"],
        **more,
    }
    return Setup.of(playbook.validate(asked, "p"))


def run_of(setup, seconds, folder):
    """What a run says whose stages took so many seconds."""
    progress = Progress()
    progress.measure([stage_of(cell) for cell in setup.cells])
    progress.whole.preparing = 2.0
    progress.whole.since -= seconds + 2
    for cell in setup.cells:
        progress.last[stage_of(cell)] = seconds / len(setup.cells)
        progress.measured()
    folder.mkdir(exist_ok=True)
    (folder / "cells.jsonl").write_bytes(b"x" * 50_000)
    return progress


def test_a_run_is_expected_to_take_what_it_took(cache, tmp_path):
    setup = setup_of()
    assert Pace.of(cache, setup).seconds is None
    for seconds in (60, 70, 90):
        pace, progress = Pace.of(cache, setup), run_of(setup, seconds, tmp_path / "run")
        pace.keep(progress)
        pace.keep_whole(progress, tmp_path / "run")
    pace = Pace.of(cache, setup)
    assert pace.seconds == pytest.approx(72, abs=0.5)
    assert 50_000 <= pace.size < 60_000
    assert pace.stage("tcg: vm: hypercall") == Span(15, 17.5, 22.5)
    part = Pace.of(cache, setup_of(configurations=["vm"]))
    assert part.seconds == pytest.approx(2 + 2 * 17.5, abs=0.5), "the sum of its stages"
    assert part.size is None
    for other in (setup_of(iterations=7), setup_of(benchmarks=["hypercall", "device-io"])):
        assert Pace.of(cache, other).seconds is None


@pytest.mark.parametrize("what", ["a cell failed", "resumed", "measured again"])
def test_what_is_no_whole_run_is_not_taken_for_one(cache, tmp_path, what):
    setup = setup_of()
    progress = run_of(setup, 60, tmp_path / "run")
    cells = [stage_of(cell) for cell in setup.cells]
    match what:
        case "a cell failed":
            del progress.last[cells[0]]
        case "resumed":
            progress.whole.cells = cells[1:]
        case "measured again":
            progress.measure(cells[:1])
    Pace.of(cache, setup).keep_whole(progress, tmp_path / "run")
    assert Times(cache).known() == {}


def test_a_stage_that_fails_says_nothing_of_the_next():
    progress = Progress()
    with pytest.raises(ValueError, match="no"), progress.stage("boot"):
        raise ValueError("no")
    assert progress.last == {} and progress.durations.keys() == {"boot"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": []}', '{"a": ["b"]}'])
def test_times_that_are_damaged_are_none(cache, text):
    cache.root.mkdir()
    (cache.root / "times.json").write_text(text, encoding="utf-8")
    assert Times(cache).known() == {}
    Times(cache).add({"a": 1.0})
    assert Times(cache).known() == {"a": Span(1, 1, 1)}


def test_a_cache_that_can_only_be_read_ends_nothing(cache):
    cache.root.write_text("no folder", encoding="utf-8")
    Times(cache).add({"a": 1.0})
    assert Times(cache).known() == {}


def test_many_write_at_once_and_lose_nothing(cache):
    program = (
        "import sys; from pathlib import Path\n"
        "from harness.cache import Cache; from harness.times import Times\n"
        "for number in range(20): Times(Cache(Path(sys.argv[1]))).add({sys.argv[2]: number})\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(cache.root), name], cwd=ROOT)
        for name in "abc"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert Times(cache).known() == dict.fromkeys("abc", Span(15, 17, 19))


def test_plan_says_what_to_expect(neve, tmp_path):
    (tmp_path / "p.yaml").write_text("configurations: [vm]\nbenchmarks: [hypercall]\n")
    said = neve("plan", "p.yaml").stdout.splitlines()[-1]
    assert said.startswith("expected: unknown: not run here yet; before that, kernels and images")
    cache = Cache.default()
    for kind, name, text in (
        ("kernel", "kernel.json", '{"track": "upstream"}'),
        ("rootfs", "packages.txt", ""),
    ):
        folder = cache.artifacts / kind / "key"
        folder.mkdir(parents=True)
        (folder / name).write_text(text, encoding="utf-8")
    setup = Setup.of(playbook.load(Path("p.yaml"), None))
    pace, progress = Pace.of(cache, setup), run_of(setup, 68, tmp_path / "run")
    pace.keep(progress)
    pace.keep_whole(progress, tmp_path / "run")
    assert neve("plan", "p.yaml").stdout.splitlines()[-1] == "expected: about 70 s, 53 kB"
    expected = json.loads(neve("plan", "p.yaml", "--json").stdout)["expected"]
    assert expected == {
        "seconds": pytest.approx(70, abs=0.5),
        "bytes": 53248,
        "built": False,
        "machines": 1,
    }


def test_amounts_are_those_that_people_say():
    said = [duration(each) for each in (0.04, 2.46, 9.96, 70.4, 119.6, 282, 3600)]
    assert said == ["0.0 s", "2.5 s", "10 s", "70 s", "2 min 00 s", "4 min 42 s", "60 min 00 s"]
    said = [size(each) for each in (0, 7, 999, 1000, 9_990, 1_100_000, 16e9, 2.1e12)]
    assert said == ["0 B", "7.0 B", "999 B", "1.0 kB", "10 kB", "1.1 MB", "16 GB", "2100 GB"]
