# SPDX-License-Identifier: MIT
"""The sources of our guests: what calls what goes one way, as the rooms of the harness do."""

import subprocess
from graphlib import CycleError, TopologicalSorter

import pytest

from harness.build.image import hostile
from harness.build.toolchain import Toolchain
from harness.errors import HarnessError
from harness.paths import IMAGES

GENERATED = hostile.headers()
SOURCES = {path.stem for path in IMAGES.glob("*/*.c")}
PROGRAMS = sorted(path.parent.name for path in IMAGES.glob("*/Makefile"))


@pytest.fixture(scope="module")
def prefix():
    try:
        return Toolchain.find().prefix
    except HarnessError as error:
        pytest.skip(str(error))


def uses(prefix, objects):
    """{source: the sources that define what it calls or reads}, of objects by their sources."""
    defined, wanted = {}, {}
    for source, file in objects.items():
        listed = subprocess.check_output([f"{prefix}nm", file], text=True)
        for *_, kind, symbol in map(str.split, listed.splitlines()):
            if kind == "U":
                wanted.setdefault(source, set()).add(symbol)
            elif kind.isupper():
                defined[symbol] = source
    return {
        source: {defined[symbol] for symbol in symbols & defined.keys()}
        for source, symbols in wanted.items()
    }


def circle(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_a_circle_is_found(prefix, tmp_path):
    texts = {
        "a": "void b(void); void a(void) { b(); }",
        "b": "extern int c; void b(void) { c = 1; }",
        "c": "void a(void); int c; void other(void) { a(); }",
        "d": "void a(void); void d(void) { a(); }",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.c").write_text(text)
    subprocess.run(
        [f"{prefix}gcc", "-c", *(f"{name}.c" for name in texts)], cwd=tmp_path, check=True
    )
    objects = {name: tmp_path / f"{name}.o" for name in texts}
    assert set(circle(uses(prefix, objects))) == {"a", "b", "c"}
    del objects["c"]
    assert circle(uses(prefix, objects)) == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_circle_between_the_files_of_a_guest(prefix, tmp_path, name):
    """Of what its Makefile builds, with the shared files; assembly is called from both sides."""
    for header, text in GENERATED.items():
        (tmp_path / header).write_text(text)
    # With -save-temps it leaves objects also where it makes none.
    variables = (f"O={tmp_path}", f"CROSS_COMPILE={prefix}", f"CC={prefix}gcc -save-temps=obj")
    subprocess.run(["make", "-s", "-C", IMAGES / name, *variables], check=True, capture_output=True)
    objects = {path.stem.removeprefix(f"{name}-"): path for path in tmp_path.glob("*.o")}
    graph = uses(prefix, {stem: path for stem, path in objects.items() if stem in SOURCES})
    assert "main" in graph
    assert circle(graph) == []
