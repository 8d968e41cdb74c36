# SPDX-License-Identifier: MIT
"""The series on the real trees that they are for."""

import shutil
import subprocess

import pytest

from harness.cache import Cache
from harness.errors import InfrastructureError
from harness.kernel import patches, source
from harness.kernel.origin import is_version
from harness.kernel.track import Track
from harness.kernel.version import parse_version

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


# What the tests look at beside the files that the series changes.
SCRIPTS = ("scripts/checkpatch.pl", "scripts/spelling.txt", "scripts/const_structs.checkpatch")


@pytest.fixture(scope="module")
def offered():
    """Versions that Debian's archive has for track upstream; None if it can't be reached."""
    try:
        return Track.load("upstream").origin.offered(Cache.default())
    except InfrastructureError:
        return None


def sources_of(track, offered):
    """The sources that the series must apply to: the oldest of all that the archive has, and the
    newest release of each line. Without a network, those in the cache."""
    cache = Cache.default()
    if offered is None:
        return source.sources(cache, track)
    newest = {parse_version(version)[:2]: version for version in offered}
    wanted = dict.fromkeys([*offered[:1], *newest.values()])
    return [source.find(cache, track, wanted=version) for version in wanted]


def extracted(found, folder, track):
    """The files of a source that the series changes, in `folder`, which is new."""
    folder.mkdir(parents=True)
    files = [*SCRIPTS, *track.series.changed_files(found.version)]
    subprocess.run(
        ["tar", "-xf", found.archive, "-C", folder, "--strip-components=1", "--wildcards",
         "--no-wildcards-match-slash", *(f"*/{file}" for file in files)], check=True)
    return folder


@pytest.fixture(scope="module", params=["v4.10", "upstream"])
def trees(request, tmp_path_factory):
    """The track, and by version a folder with the files that the series changes.

    Each version of track upstream is a package of some 165 MB, which stays in the cache; to read it
    takes some ten seconds.
    """
    track = Track.load(request.param)
    if track.name == "v4.10":
        found = [request.getfixturevalue("v4_10")]
    else:
        offered = request.getfixturevalue("offered")
        found = sources_of(track, offered)
        if not found and offered is None:
            pytest.skip("no source of track upstream: the cache has none, nor can Debian's archive "
                        "be reached")
        assert found, f"Debian's archive has no Linux {track.origin.accepted}"
    folder = tmp_path_factory.mktemp("trees")
    return track, {
        each.version: extracted(each, folder / each.version / "src", track) for each in found}


def contents(folder):
    return {path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def test_every_variant_applies_with_fuzz_0_and_leaves_the_tree_pristine(trees):
    track, folders = trees
    for version, folder in folders.items():
        before = contents(folder)
        for values in track.series.variants():
            rendered = track.series.render(version, values)
            patches.switch(folder, version, rendered)
            after = contents(folder)
            changed = {str(path) for path in after.keys() | before.keys()
                       if after.get(path) != before.get(path)}
            assert changed == {file for patch in rendered for file in patch.files}, version
        patches.switch(folder, version, [])
        assert contents(folder) == before, version


def test_oldest_version_is_one_that_was_tried(trees):
    """An older one would be a guess. It is tried as long as the archive has it."""
    track, folders = trees
    oldest, tried = track.origin.example, min(folders, key=parse_version)
    if not is_version(tried, oldest):
        pytest.skip(f"no Linux {oldest}, the oldest of track {track.name}, is to be had: {tried} "
                    "is the oldest that was tried")


def test_mails_are_checkpatch_clean(trees, tmp_path):
    track, folders = trees
    if not shutil.which("perl"):
        pytest.skip("checkpatch needs perl")
    for version, folder in folders.items():
        for values in track.series.variants():
            rendered = track.series.render(version, values)
            for number, patch in enumerate(rendered, start=1):
                mail = tmp_path / patch.name
                mail.write_text(patch.mail(number, len(rendered)))
                ignored = ",".join(filter(None, [IGNORED, MACROS.get(patch.name)]))
                done = subprocess.run(
                    ["perl", folder / "scripts/checkpatch.pl", *CHECKPATCH, ignored, mail],
                    capture_output=True, text=True, check=False)
                assert done.stdout.strip() == "", f"{version}: {done.stdout}"
