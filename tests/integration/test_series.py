# SPDX-License-Identifier: MIT
"""The series on the real trees that they are for."""

import shutil
import subprocess
import tarfile
from dataclasses import replace

import pytest

from harness.build.kernel import origin, source
from harness.build.kernel.applying import apply_series
from harness.build.kernel.edit import edit
from harness.build.kernel.mails import mails
from harness.build.kernel.patches import changed_files, render
from harness.build.kernel.save import save
from harness.cache import Cache, file_sha256
from harness.errors import InfrastructureError
from harness.model.series import PatchSeries
from harness.model.track import Track
from harness.model.version import is_version, parse_version
from tests.checkpatch import DEVELOPER, SCRIPTS, complaints, unpack


@pytest.fixture(scope="module")
def offered():
    """Versions that Debian's archive has for track upstream; None if it can't be reached."""
    try:
        return origin.offered(Cache.default(), Track.load("upstream").origin)
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
    """What the tests look at: the files of a source that the series changes, and checkpatch."""
    return unpack(found, [*SCRIPTS, *changed_files(track.series, found.version)], folder)


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
            pytest.skip(
                "no source of track upstream: the cache has none, nor can Debian's archive "
                "be reached"
            )
        assert found, f"Debian's archive has no Linux {track.origin.accepted}"
    folder = tmp_path_factory.mktemp("trees")
    return track, {
        each.version: extracted(each, folder / each.version / "src", track) for each in found
    }


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_every_variant_applies_with_fuzz_0_and_leaves_the_tree_pristine(trees):
    track, folders = trees
    for version, folder in folders.items():
        before = contents(folder)
        for values in track.series.variants():
            rendered = render(track.series, version, values)
            apply_series(folder, version, rendered)
            after = contents(folder)
            changed = {
                str(path)
                for path in after.keys() | before.keys()
                if after.get(path) != before.get(path)
            }
            assert changed == {file for patch in rendered for file in patch.files}, version
        apply_series(folder, version, [])
        assert contents(folder) == before, version


def test_oldest_version_is_one_that_was_tried(trees):
    """An older one would be a guess. It is tried as long as the archive has it."""
    track, folders = trees
    oldest, tried = track.origin.example, min(folders, key=parse_version)
    if not is_version(tried, oldest):
        pytest.skip(
            f"no Linux {oldest}, the oldest of track {track.name}, is to be had: {tried} "
            "is the oldest that was tried"
        )


def test_mails_are_checkpatch_clean(trees, tmp_path):
    track, folders = trees
    if not shutil.which("perl"):
        pytest.skip("checkpatch needs perl")
    for version, folder in folders.items():
        (tmp_path / version).mkdir()
        assert not complaints(track.series, version, folder, tmp_path / version)


def archived(folder, version, track, path):
    """A source with nothing but the files in `folder`."""
    with tarfile.open(path, "w") as tar:
        tar.add(folder, "linux")
    return source.Source(track.name, version, file_sha256(path), "a test", path)


# The first two variants differ in what is rendered.
@pytest.mark.parametrize("most", [2, pytest.param(None, marks=pytest.mark.stress)])
def test_repository_is_what_a_build_applies_and_comes_back_byte_for_byte(
    trees, tmp_path, monkeypatch, most
):
    (tmp_path / "gitconfig").write_text(
        f"[user]\nname = {DEVELOPER.name}\nemail = {DEVELOPER.email}\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    track, folders = trees
    copy = tmp_path / track.name
    shutil.copytree(track.series.folder, copy)
    before = contents(copy)
    for version, folder in folders.items():
        taken = archived(folder, version, track, tmp_path / "linux.tar")
        seen = []
        for values in track.series.variants():
            rendered = render(track.series, version, values)
            if rendered in seen or len(seen) == most:
                continue
            seen.append(rendered)
            repository = tmp_path / "repository"
            edit(taken, track.series, values, repository)
            apply_series(folder, version, rendered)
            laid_out = {
                path: text for path, text in contents(repository).items() if path.parts[0] != ".git"
            }
            assert laid_out == contents(folder), (version, values)
            if len(seen) <= 2:
                assert str(save(replace(track, series=PatchSeries.load(copy)), repository)) == (
                    "nothing changed"
                )
                assert contents(copy) == before
            shutil.rmtree(repository)
        apply_series(folder, version, [])


def test_mails_give_git_the_same_tree(trees, tmp_path):
    track, folders = trees
    values = track.series.values({})
    for version, folder in folders.items():
        tree = tmp_path / version
        shutil.copytree(folder, tree)
        rendered = render(track.series, version, values)
        git = ["git", "-c", f"user.name={DEVELOPER.name}", "-c", f"user.email={DEVELOPER.email}"]
        for command in (["init", "-q", "."], ["add", "-Af"], ["commit", "-qm", "base"]):
            subprocess.run([*git, *command], cwd=tree, check=True)
        box = tmp_path / f"{version}-mails"
        box.mkdir()
        for name, text in mails(track.series.folder, rendered, DEVELOPER, version):
            (box / f"{name}.patch").write_text(text)
        subprocess.run(
            [*git, "am", "-q", "--empty=drop", *sorted(box.iterdir())], cwd=tree, check=True
        )
        log = subprocess.run(
            ["git", "log", "--reverse", "--format=%s%x00%B%x01"],
            cwd=tree,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        messages = [entry.strip("\n") for entry in log.split("\x01")[1:-1]]
        assert len(messages) == len(rendered)
        assert all(f"Signed-off-by: {DEVELOPER}" in entry for entry in messages)
        apply_series(folder, version, rendered)
        assert {
            path: text for path, text in contents(tree).items() if path.parts[0] != ".git"
        } == contents(folder)
        apply_series(folder, version, [])
