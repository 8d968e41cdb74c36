# SPDX-License-Identifier: MIT
"""The upstream series on the real trees of Debian's two newest lines."""

import shutil
import subprocess

import pytest

from harness.cache import Cache
from harness.kernel import patches, source
from harness.kernel.track import Track

# A MAINTAINERS entry is upstream's business; the mails carry no sign-off.
CHECKPATCH = ["--no-tree", "--no-signoff", "--terse", "--no-summary",
              "--ignore", "FILE_PATH_CHANGES"]


@pytest.fixture(scope="module", params=["7.2", "7.3"])
def tree(request, tmp_path_factory):
    """The files that the series touches, as that line has them, and its version."""
    track = Track.load("upstream")
    found = source.find(Cache.default(), track, wanted=request.param)
    touched = sorted({file for values in track.series.variants()
                      for patch in track.series.render(found.version, values)
                      for file in patch.files})
    folder = tmp_path_factory.mktemp("tree") / "src"
    folder.mkdir()
    subprocess.run(
        ["tar", "-xf", found.archive, "-C", folder, "--strip-components=1", "--wildcards",
         "*/scripts/checkpatch.pl", "*/scripts/spelling.txt", "*/scripts/const_structs.checkpatch",
         "*/arch/arm64/*", *(f"*/{file}" for file in touched
                             if file.startswith("Documentation/"))],
        check=True)
    return track, found.version, folder


def test_every_variant_applies_with_fuzz_0_and_leaves_the_tree_pristine(tree):
    track, version, folder = tree
    before = (folder / "arch/arm64/kvm/nested.c").read_text()
    for values in track.series.variants():
        patches.switch(folder, version, track.series.render(version, values))
        patched = (folder / "arch/arm64/kvm/nested.c").read_text()
        assert (patched != before) is values["nv_without_nv2"]
        assert (folder / "arch/arm64/kvm/trap_log.c").exists() is values["accounting"]
    patches.switch(folder, version, [])
    assert (folder / "arch/arm64/kvm/nested.c").read_text() == before


def test_mails_are_checkpatch_clean(tree, tmp_path):
    track, version, folder = tree
    if not shutil.which("perl"):
        pytest.skip("checkpatch needs perl")
    rendered = track.series.render(version, track.series.values({}))
    for number, patch in enumerate(rendered, start=1):
        mail = tmp_path / patch.name
        mail.write_text(patch.mail(number, len(rendered)))
        done = subprocess.run(["perl", folder / "scripts/checkpatch.pl", *CHECKPATCH, mail],
                              capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "", done.stdout
