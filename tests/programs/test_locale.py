# SPDX-License-Identifier: MIT
"""Files are UTF-8 in every locale, and letters that a terminal lacks end no run."""

import ast
import os
import shutil
import subprocess
import sys

import pytest

from harness.paths import ROOT

_MODES = set("rwaxt+")
LOCALES = [("en_US", "ISO-8859-1"), ("tr_TR", "ISO-8859-9"), ("ja_JP", "EUC-JP")]


def in_the_locale(call):
    """Whether `call` reads or writes text in the encoding of the locale."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if ast.unparse(call.func) == "tarfile.open":
        return False
    named = {keyword.arg for keyword in call.keywords}
    if "encoding" in named:
        return False
    if name in ("read_text", "write_text"):
        return True
    if name in ("run", "Popen", "check_output"):
        return bool(named & {"text", "universal_newlines"})
    modes = [
        word.value
        for word in call.args
        if isinstance(word, ast.Constant)
        and isinstance(word.value, str)
        and word.value
        and set(word.value) <= _MODES | {"b"}
    ]
    return name in ("open", "fdopen") and (
        (isinstance(call.func, ast.Name) and not modes) or any("b" not in mode for mode in modes)
    )


def test_every_text_names_its_encoding():
    files = [file for folder in ("harness", "playbooks") for file in (ROOT / folder).rglob("*.py")]
    found = [
        f"{file.relative_to(ROOT)}:{call.lineno}"
        for file in files
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and in_the_locale(call)
    ]
    assert not found


@pytest.fixture(params=LOCALES, ids=".".join)
def foreign(request, tmp_path):
    """The environment of somebody with that locale, made for the test."""
    language, charmap = request.param
    if shutil.which("localedef") is None:
        pytest.skip("no localedef on this machine: apt-get install locales")
    name = f"{language}.{charmap}"
    (tmp_path / "locales").mkdir()
    made = subprocess.run(
        ["localedef", "-i", language, "-f", charmap, "--no-archive", tmp_path / "locales" / name],
        capture_output=True,
        check=False,
    )
    if not (tmp_path / "locales" / name).is_dir():
        pytest.skip(f"no {name}: {made.stderr.decode(errors='replace')}")
    return {
        **os.environ,
        "LOCPATH": str(tmp_path / "locales"),
        "LC_ALL": name,
        "PYTHONPATH": str(ROOT),
    }


def python(foreign, cwd, *words):
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=foreign, capture_output=True, check=False
    )


def test_files_are_utf_8_in_every_locale(foreign, tmp_path):
    done = python(foreign, tmp_path, "-c", "import locale; print(locale.getencoding())")
    assert done.stdout.strip().lower() not in (b"utf-8", b"utf8"), "the locale did not take"
    (tmp_path / "p.yaml").write_text(
        "# ± − 測定 ğ\nconfigurations: [vm]\nbenchmarks: [hypercall]\n", encoding="utf-8"
    )
    assert python(foreign, tmp_path, "-m", "harness", "plan", "p.yaml").returncode == 0
    writes = (
        "from pathlib import Path; from harness.cache import write_atomically; "
        "write_atomically(Path('f'), '\\u2212 \\u6e2c')"
    )
    assert python(foreign, tmp_path, "-c", writes).returncode == 0
    assert (tmp_path / "f").read_text(encoding="utf-8") == "− 測"


def test_letters_that_a_terminal_lacks_end_nothing(foreign, tmp_path):
    prints = (
        "import click; from harness import cli; "
        "cli.cli.add_command(click.Command('say', callback=lambda: "
        "click.echo('a \\u2212 \\u6e2c b \\u011f'))); cli.main(['say'])"
    )
    done = python(foreign, tmp_path, "-c", prints)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"a ")
