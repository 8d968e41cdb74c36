# SPDX-License-Identifier: MIT
"""The patch engine, on a small tree that GNU patch and git really patch."""

import re
import subprocess
from pathlib import Path

import pytest

from harness.build.kernel.applying import apply_series
from harness.build.kernel.mails import mails
from harness.build.kernel.patches import render
from harness.build.kernel.repository import Identity
from harness.errors import UserError
from harness.model.series import PatchSeries
from harness.model.track import Track
from harness.paths import KERNEL_PATCHES

SOURCE = "".join(f"line {number}\n" for number in range(1, 7)) + "\nline 8\n"
TEMPLATE = """\
Subject: Change line five

Because {{ word }}.
---
--- a/dir/file.c
+++ b/dir/file.c
@@ -3,5 +3,5 @@
 line 3
 line 4
-line 5
+line {{ word }}
 line 6
\x20
"""
NEW_FILE = "int {{ word }};\n{% if extra %}\nint extra;\n{% endif %}\n"


@pytest.fixture
def series(tmp_path):
    folder = tmp_path / "series"
    (folder / "files" / "dir").mkdir(parents=True)
    (folder / "0001-five.patch.j2").write_text(TEMPLATE)
    (folder / "files" / "dir" / "new.c.j2").write_text(NEW_FILE)
    return PatchSeries.of(
        folder,
        {
            "patches": [{"name": "0001-five", "adds": ["dir/new.c"]}],
            "parameters": {
                "word": {"type": "choice", "values": ["five", "cinq"], "default": "five"},
                "extra": {"type": "bool", "default": False},
            },
        },
    )


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree" / "src"
    (folder / "dir").mkdir(parents=True)
    (folder / "dir" / "file.c").write_text(SOURCE)
    (folder / "untouched.c").write_text("x\n")
    return folder


def contents(tree):
    return {
        str(path.relative_to(tree)): path.read_text()
        for path in sorted(tree.rglob("*"))
        if path.is_file()
    }


def rendered(series, **chosen):
    return render(series, "7.3.4", series.values(chosen))


def test_variants_are_switched_and_the_pristine_tree_comes_back(series, tree):
    pristine = contents(tree)
    apply_series(tree, "7.3.4", rendered(series))
    assert "line five\n" in contents(tree)["dir/file.c"]
    assert contents(tree)["dir/new.c"] == "int five;\n"
    apply_series(tree, "7.3.4", rendered(series, word="cinq", extra="true"))
    assert contents(tree)["dir/new.c"] == "int cinq;\nint extra;\n"
    assert "line cinq\n" in contents(tree)["dir/file.c"]
    apply_series(tree, "7.3.4", [])
    assert contents(tree) == pristine


def test_only_what_changes_is_written(series, tree):
    apply_series(tree, "7.3.4", rendered(series))
    before = (tree / "dir" / "file.c").stat().st_mtime_ns
    apply_series(tree, "7.3.4", rendered(series, extra="true"))
    assert (tree / "dir" / "file.c").stat().st_mtime_ns == before
    assert "extra" in contents(tree)["dir/new.c"]


def test_rendering_is_deterministic_and_follows_parameters(series):
    assert rendered(series) == rendered(series)
    assert rendered(series) != rendered(series, word="cinq")
    assert len(list(series.variants())) == 4


@pytest.mark.parametrize(
    ("chosen", "complaint"),
    [
        ({"wort": "five"}, "unknown parameter 'wort': known are word, extra"),
        ({"word": "six"}, "parameter word can't be 'six': one of five, cinq"),
        ({"extra": "maybe"}, "one of false, true"),
    ],
)
def test_wrong_parameters(series, chosen, complaint):
    with pytest.raises(UserError, match=complaint):
        series.values(chosen)


def test_variants_leave_out_what_makes_no_difference(series):
    folder = series.folder
    data = {
        "patches": [],
        "parameters": {
            "role": {"type": "choice", "values": ["host", "guest"], "default": "host"},
            "fast": {"type": "bool", "default": False, "when": {"role": "guest"}},
        },
    }
    (folder / "bare").mkdir()
    assert list(PatchSeries.of(folder / "bare", data).variants()) == [
        {"role": "host", "fast": False},
        {"role": "guest", "fast": False},
        {"role": "guest", "fast": True},
    ]


def test_undefined_name_in_a_template_is_an_error(series):
    (series.folder / "0001-five.patch.j2").write_text("{{ wrod }}")
    with pytest.raises(UserError, match="'wrod' is undefined"):
        rendered(series)


def test_new_file_that_no_patch_adds_is_an_error(series):
    (series.folder / "files" / "dir" / "other.c.j2").write_text("int other;\n")
    with pytest.raises(UserError, match=r"what the patches add differ: dir/other\.c"):
        PatchSeries.of(series.folder, {"patches": [{"name": "0001-five", "adds": ["dir/new.c"]}]})


@pytest.mark.parametrize(
    "change",
    [
        ("line 4\n", "line four\n"),  # context that fuzz 1 would forgive
        ("line 6\n", ""),
    ],
)
def test_rejected_hunk_names_patch_file_hunk_and_version(series, tree, change):
    (tree / "dir" / "file.c").write_text(SOURCE.replace(*change))
    before = contents(tree)
    with pytest.raises(UserError) as caught:
        apply_series(tree, "7.3.4", rendered(series))
    message = str(caught.value)
    assert "0001-five.patch does not apply to Linux 7.3.4" in message
    assert "dir/file.c" in message
    assert "Hunk #1 FAILED" in message
    assert contents(tree) == before


def test_names_stand_for_plain_files_and_templates_alike(series, tree):
    patch, new = series.folder / "0001-five.patch.j2", series.folder / "files" / "dir" / "new.c.j2"
    wanted = rendered(series)
    for path, text in ((patch, wanted[0].stored), (new, wanted[0].adds["dir/new.c"])):
        path.unlink()
        path.with_suffix("").write_text(text)
    assert rendered(series) == wanted
    (series.folder / "0001-five.patch").write_text(wanted[0].stored.replace("five", "{{ word }}"))
    assert "{{ word }}" in rendered(series)[0].text, "no template, so taken as it is"
    (series.folder / "0001-five.patch").unlink()
    with pytest.raises(UserError, match=r"names 0001-five\.patch, but there is no such file"):
        rendered(series)


def test_patch_is_for_the_variants_that_its_entry_names(series):
    data = {
        "patches": [{"name": "0001-five", "adds": ["dir/new.c"], "when": {"extra": True}}],
        "parameters": {
            "word": {"type": "choice", "values": ["five"], "default": "five"},
            "extra": {"type": "bool", "default": False},
        },
    }
    series = PatchSeries.of(series.folder, data)
    assert rendered(series) == []
    assert [patch.name for patch in rendered(series, extra="true")] == ["0001-five"]


def test_patches_have_names_of_their_own(series):
    with pytest.raises(UserError, match="has two patches named five"):
        PatchSeries.of(
            series.folder,
            {"patches": [{"name": "0001-five", "adds": ["dir/new.c"]}, {"name": "0002-five"}]},
        )


def test_series_without_a_patch_has_no_mails(series):
    (series.folder / "cover-letter.txt").write_text("A series\n\nWhat it is.\n")
    assert list(mails(series.folder, [], Identity("A", "a@b"), "7.3.4")) == []


@pytest.mark.parametrize("name", ["A Developer", "Jürgen Groß", "A. B. Developer"])
def test_mails_are_what_git_am_takes(series, tree, name):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q", "."], ["add", "-A"], ["commit", "-qm", "base"]):
        subprocess.run([*git, *command], cwd=tree, check=True)
    (series.folder / "cover-letter.txt").write_text("A series\n\nWhat it is.\n")
    patches = rendered(series)
    found = dict(mails(series.folder, patches, Identity(name, "dev@example.org"), "7.3.4"))
    assert list(found) == ["0000-cover-letter", "0001-five"]
    cover = found["0000-cover-letter"]
    assert "Subject: [PATCH 0/1] A series\n" in cover
    assert f"What it is.\n\n{name} (1):\n  Change line five\n" in cover
    assert " dir/file.c | 2 +-\n dir/new.c  | 1 +\n 2 files changed, 2 insertions(+), " in cover
    subprocess.run([*git, "am", "-q"], input=found["0001-five"], text=True, cwd=tree, check=True)
    log = subprocess.run(
        ["git", "log", "-1", "--format=%s%n%an <%ae>%n%B"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert log == (
        f"Change line five\n{name} <dev@example.org>\nChange line five\n\n"
        f"Because five.\n\nSigned-off-by: {name} <dev@example.org>\n\n"
    )
    assert (tree / "dir" / "new.c").read_text() == "int five;\n"


@pytest.mark.parametrize(
    "track", [path.parent.name for path in sorted(KERNEL_PATCHES.glob("*/series.toml"))]
)
def test_shipped_series_renders_and_parses_in_every_variant(track):
    loaded = Track.load(track)
    for version in filter(loaded.origin.accepts, ("4.10.0", "7.2.6", "7.3.4")):
        for values in loaded.series.variants():
            for patch in render(loaded.series, version, values):
                assert patch.files
                assert patch.text.startswith("Subject: ")
                assert not re.search(r"^(index |new file)", patch.stored, re.M)


@pytest.mark.parametrize(
    "folder",
    [path.parent for path in sorted(KERNEL_PATCHES.glob("*/series.toml"))],
    ids=lambda path: path.name,
)
def test_shipped_series_has_templates_only_where_something_is_rendered(folder):
    files = [*folder.glob("*.patch*"), *folder.glob("files/**/*.*")]
    assert files
    for path in filter(Path.is_file, files):
        assert (path.suffix == ".j2") == bool(re.search(r"{{|{%", path.read_text())), path


@pytest.mark.parametrize(
    "track", [path.parent.name for path in sorted(KERNEL_PATCHES.glob("*/series.toml"))]
)
def test_shipped_patch_can_be_reviewed(track):
    loaded = Track.load(track)
    for patch in render(loaded.series, loaded.origin.example, loaded.series.values({})):
        assert len(patch.text.splitlines()) <= 800, patch.name
