# SPDX-License-Identifier: MIT
"""The series on the real trees that they are for."""

import shutil
import subprocess

import pytest

from harness.cache import Cache
from harness.kernel import patches, source
from harness.kernel.track import Track

# A MAINTAINERS entry is upstream's business; the mails carry no sign-off.
CHECKPATCH = ["--no-tree", "--no-signoff", "--terse", "--no-summary",
              "--ignore"]
IGNORED = "FILE_PATH_CHANGES"
# Lists of registers as X-macros, and macros of the assembler: not what these checks are for.
MACROS = {
    "0013-pv-el2-operations.patch": "COMPLEX_MACRO",
    "0014-mark-el2-code.patch": "LINE_CONTINUATIONS,MULTISTATEMENT_MACRO_USE_DO_WHILE,SPACING,"
                                "SPLIT_STRING,TRAILING_SEMICOLON",
    "0016-vel2-state.patch": "COMPLEX_MACRO",
    "0017-vel2-emulation.patch": "MULTISTATEMENT_MACRO_USE_DO_WHILE,SPACING,TRAILING_SEMICOLON",
    "0018-vel2-traps.patch": "LEADING_SPACE",   # asm-offsets.c has a style of its own
    "0038-pv-el2-neve.patch": "MULTISTATEMENT_MACRO_USE_DO_WHILE,SPACING,TRAILING_SEMICOLON",
}


@pytest.fixture(scope="module", params=["v4.10", "7.2", "7.3"])
def tree(request, tmp_path_factory):
    """The track, the version, and a folder with the files that the series changes."""
    if request.param == "v4.10":
        track, found = Track.load("v4.10"), request.getfixturevalue("v4_10")
    else:
        track = Track.load("upstream")
        found = source.find(Cache.default(), track, wanted=request.param)
    folder = tmp_path_factory.mktemp("tree") / "src"
    folder.mkdir()
    subprocess.run(
        ["tar", "-xf", found.archive, "-C", folder, "--strip-components=1", "--wildcards",
         "--no-wildcards-match-slash",
         "*/scripts/checkpatch.pl", "*/scripts/spelling.txt", "*/scripts/const_structs.checkpatch",
         *(f"*/{file}" for file in track.series.changed_files(found.version))],
        check=True)
    return track, found.version, folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def test_every_variant_applies_with_fuzz_0_and_leaves_the_tree_pristine(tree):
    track, version, folder = tree
    before = contents(folder)
    for values in track.series.variants():
        rendered = track.series.render(version, values)
        patches.switch(folder, version, rendered)
        after = contents(folder)
        changed = {str(path) for path in after.keys() | before.keys()
                   if after.get(path) != before.get(path)}
        assert changed == {file for patch in rendered for file in patch.files}
    patches.switch(folder, version, [])
    assert contents(folder) == before


def test_mails_are_checkpatch_clean(tree, tmp_path):
    track, version, folder = tree
    if not shutil.which("perl"):
        pytest.skip("checkpatch needs perl")
    for values in track.series.variants():
        rendered = track.series.render(version, values)
        for number, patch in enumerate(rendered, start=1):
            mail = tmp_path / patch.name
            mail.write_text(patch.mail(number, len(rendered)))
            ignored = ",".join(filter(None, [IGNORED, MACROS.get(patch.name)]))
            done = subprocess.run(
                ["perl", folder / "scripts/checkpatch.pl", *CHECKPATCH, ignored, mail],
                capture_output=True, text=True, check=False)
            assert done.stdout.strip() == "", done.stdout
