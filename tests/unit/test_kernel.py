# SPDX-License-Identifier: MIT
"""Sources, configuration and builds, on a fake kernel tree that a real make builds."""

import json
import os
import shutil
import stat
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from harness.build import debian
from harness.build.kernel import build as builds
from harness.build.kernel import config, source
from harness.build.kernel.origin import bring, offered
from harness.build.toolchain import Toolchain
from harness.errors import InfrastructureError, UserError
from harness.model.origin import DebianOrigin
from harness.model.series import PatchSeries
from harness.model.track import Fragment, Track, track_names
from harness.model.version import VersionRange

MAKEFILE = """\
VERSION = {version}
PATCHLEVEL = {patchlevel}
SUBLEVEL = {sublevel}
.PHONY: allnoconfig Image
allnoconfig:
\t@grep -v CONFIG_LOST $(KCONFIG_ALLCONFIG) > $(O)/.config
\t@echo run >> $(O)/configured
Image:
\t@mkdir -p $(O)/arch/arm64/boot
\t@test ! -e broken || (echo 'broken.c:1: error: no'; exit 1)
\t@echo "$(CROSS_COMPILE) $(KBUILD_BUILD_TIMESTAMP)" > $(O)/arch/arm64/boot/Image
\t@echo map > $(O)/System.map
\t@echo run >> $(O)/built
"""


@pytest.fixture
def tree(tmp_path):
    def make(version="7.3.4", name="linux"):
        folder = tmp_path / name
        (folder / "arch" / "arm64").mkdir(parents=True)
        numbers = dict(zip(("version", "patchlevel", "sublevel"), version.split("."), strict=True))
        (folder / "Makefile").write_text(MAKEFILE.format(**numbers))
        (folder / "arch" / "arm64" / "kvm.c").write_text("int x;\n")
        return folder

    return make


@pytest.fixture
def track(tmp_path):
    fragment = tmp_path / "kernel.config"
    fragment.write_text("CONFIG_KVM=y\n# CONFIG_SVE is not set\n")
    return Track(
        "upstream",
        DebianOrigin("linux-source-.*", (6, 16)),
        (Fragment(fragment),),
        PatchSeries(tmp_path / "series", (), ()),
    )


@pytest.fixture(autouse=True)
def _toolchain(monkeypatch):
    monkeypatch.setattr(Toolchain, "find", classmethod(lambda cls: cls("fake-", "fakecc 1.0")))
    monkeypatch.setattr(builds, "require", lambda program, package: program)


@pytest.mark.parametrize("track", track_names())
def test_no_kernel_waits_for_an_event_for_ever(track):
    wanted = config.merge(fragment.path for fragment in Track.load(track).fragments)
    assert wanted["CONFIG_ARM_ARCH_TIMER_EVTSTREAM"] == "y"


@pytest.mark.parametrize("name", ["a:b,c d.tar", "-x.tar"])
def test_archives_of_any_name_are_imported(cache, tree, track, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with tarfile.open(tmp_path / name, "w") as archive:
        archive.add(tree(), "linux")
    taken = source.import_source(cache, track, Path(name))
    assert taken.version == "7.3.4"
    assert taken.origin == f"imported from {name}"
    assert (source.unpack(cache, taken) / "Makefile").exists()


def test_tree_is_imported_built_once_and_found_again(cache, tree, track):
    taken = source.import_source(cache, track, tree())
    assert taken.version == "7.3.4"
    assert source.find(cache, track) == taken
    kernel = builds.build(cache, taken, track)
    assert kernel.image.read_text() == "fake- 1970-01-01\n"
    assert (kernel.folder / "build.log").exists()
    assert builds.build(cache, taken, track) == kernel
    objects = cache.trees / f"upstream-{taken.key}" / "obj"
    assert (objects / "built").read_text() == "run\n", "the second time nothing is built"
    record = json.loads((kernel.folder / "kernel.json").read_text())
    assert record["source"] == taken.sha256


def test_kernels_with_and_without_a_network_do_not_undo_each_other(cache, tree, track):
    taken = source.import_source(cache, track, tree())
    plain = track.fragments[0].path.read_text()
    for options in (plain, f"{plain}CONFIG_NET=y\n"):
        track.fragments[0].path.write_text(options)
        builds.build(cache, taken, track)
    configured = (cache.trees / f"upstream-{taken.key}").glob("obj*/configured")
    assert [file.read_text() for file in configured] == ["run\n"] * 2


def test_key_follows_configuration_and_compiler(cache, tree, track, monkeypatch):
    taken = source.import_source(cache, track, tree())
    first = builds.recipe(taken, track, Toolchain("a-", "gcc 12")).key
    assert builds.recipe(taken, track, Toolchain("a-", "gcc 13")).key != first
    track.fragments[0].path.write_text("CONFIG_KVM=y\n")
    assert builds.recipe(taken, track, Toolchain("a-", "gcc 12")).key != first


def test_same_tree_gives_the_same_hash(cache, tree, track, tmp_path):
    folder = tree()
    first = source.import_source(cache, track, folder)
    os.utime(folder / "Makefile", (1, 1))
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert source.import_source(cache, track, copy).sha256 == first.sha256


@pytest.mark.parametrize("suffix", [".tar.xz", ".tar.gz", ".tar"])
def test_tarballs(cache, tree, track, tmp_path, suffix):
    archive = tmp_path / f"linux-7.3.4{suffix}"
    mode = "w:" + suffix.removeprefix(".tar").removeprefix(".")
    with tarfile.open(archive, mode) as stream:
        stream.add(tree(), "linux-7.3.4")
    taken = source.import_source(cache, track, archive)
    assert (source.unpack(cache, taken) / "arch" / "arm64" / "kvm.c").exists()


def test_newest_is_taken_unless_a_version_is_asked_for(cache, tree, track):
    for version in ("7.10.1", "7.2.12", "7.3.4"):
        source.import_source(cache, track, tree(version, version))
    assert source.find(cache, track).version == "7.10.1"
    assert source.find(cache, track, wanted="7.2").version == "7.2.12"
    with pytest.raises(UserError, match=r"asked for is Linux 6\.12; .* needs 6\.16 or newer"):
        source.find(cache, track, wanted="6.12")


def test_source_that_has_become_too_old_is_not_used(cache, tree, track):
    for version in ("6.18.0", "7.3.4"):
        source.import_source(cache, track, tree(version, version))
    raised = replace(track, origin=replace(track.origin, oldest=(7, 2)))
    assert [known.version for known in source.sources(cache, raised)] == ["7.3.4"]
    assert source.find(cache, raised).version == "7.3.4"


def test_archive_offers_what_the_track_takes(cache, track, tmp_path, monkeypatch):
    apt = tmp_path / "apt"
    apt.write_text("""#!/bin/sh
case "$*" in
*pkgnames*) printf 'linux-source-%s\\n' 7.3 7.2 6.12 ;;
*madison*)
    printf ' linux-source-%s | %s | http://deb.example suite/main arm64 Packages\\n' \\
        7.3 7.3.4-1 7.2 7.2.12-10 7.2 7.2.12-10 7.2 7.2.12-9 7.2 7.2.6-1 6.12 6.12.117-1 ;;
*download*) for last in "$@"; do :; done; : > "${last%=*}_${last#*=}_all.deb" ;;
esac
""")
    apt.chmod(0o755)
    monkeypatch.setattr(debian, "require", lambda program, package: str(apt))
    keyring = tmp_path / "keyring"
    keyring.touch()
    monkeypatch.setattr(
        debian.Debian,
        "load",
        classmethod(lambda cls: cls("http://deb.example", keyring, ("suite",), {})),
    )
    assert offered(cache, track.origin) == ["7.2.6", "7.2.12", "7.3.4"]
    for wanted, package in (
        ("7.2.6", "7.2_7.2.6-1"),
        ("7.2", "7.2_7.2.12-10"),
        (None, "7.3_7.3.4-1"),
    ):
        fetched = bring(cache, track, tmp_path / str(wanted), wanted)
        assert fetched.path.name == f"linux-source-{package}_all.deb"
    with pytest.raises(UserError, match=r"Linux 7\.1; of 6\.16 or newer it has 7\.2, 7\.3$"):
        bring(cache, track, tmp_path, "7.1")


def test_wrong_input_is_refused_and_leaves_nothing(cache, tree, track, tmp_path):
    (tmp_path / "empty").mkdir()
    torn = tmp_path / "torn.tar.xz"
    torn.write_bytes(b"\xfd7zXZ\x00 not really")
    (tmp_path / "a.zip").write_text("")
    for path, complaint in [
        (tree("6.12.0", "old"), r"is Linux 6\.12\.0; track upstream needs 6\.16 or newer"),
        (tmp_path / "none", "no such file"),
        (tmp_path / "empty", "not a Linux source tree"),
        (torn, "not a whole kernel source archive"),
        (tmp_path / "a.zip", "expected a source tree"),
    ]:
        with pytest.raises(UserError, match=complaint):
            source.import_source(cache, track, path)
    assert source.sources(cache, track) == []
    assert not list((cache.trees / "sources" / "upstream").iterdir())


def test_truncated_package_is_refused(cache, track, tmp_path):
    package = tmp_path / "linux-source-7.3_1_all.deb"
    package.write_bytes(b"!<arch>\ndebian-binary   ")
    with pytest.raises(UserError, match="not a whole linux-source package"):
        source.import_source(cache, track, package)


def test_damaged_archive_is_noticed_before_it_is_used(cache, tree, track):
    taken = source.import_source(cache, track, tree())
    with taken.archive.open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\xff")
    with pytest.raises(UserError, match="damaged"):
        builds.build(cache, taken, track)


def test_lost_option_is_named(cache, tree, track):
    track.fragments[0].path.write_text("CONFIG_KVM=y\nCONFIG_LOST=y\n")
    taken = source.import_source(cache, track, tree())
    with pytest.raises(UserError, match="CONFIG_LOST=y \\(became n\\)"):
        builds.build(cache, taken, track)


def test_build_error_carries_the_compilers_words_and_the_log(cache, tree, track):
    folder = tree()
    (folder / "broken").touch()
    taken = source.import_source(cache, track, folder)
    with pytest.raises(InfrastructureError) as caught:
        builds.build(cache, taken, track)
    assert "broken.c:1: error: no" in str(caught.value)
    log = Path(str(caught.value).rpartition("log: ")[2])
    assert "broken.c" in log.read_text()
    assert not list((cache.artifacts / "kernel").iterdir())


def test_unpacked_files_keep_their_execute_bits(cache, tree, track):
    folder = tree()
    script = folder / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    unpacked = source.unpack(cache, source.import_source(cache, track, folder))
    assert (unpacked / "run.sh").stat().st_mode & stat.S_IXUSR


def test_registers_of_graphics_cards_are_for_those_who_edit(cache, tree, track, tmp_path):
    folder = tree()
    large = Path("drivers/gpu/drm/amd/include/asic_reg/gc.h")
    (folder / large).parent.mkdir(parents=True)
    (folder / large).touch()
    (folder / large.parts[0] / "Kconfig").touch()
    taken = source.import_source(cache, track, folder)
    unpacked = source.unpack(cache, taken)
    assert (unpacked / "drivers" / "Kconfig").exists() and not (unpacked / large).exists()
    with source.extracted(taken, tmp_path, "edit-") as whole:
        assert (whole / large).exists()


def test_fragment_for_some_versions(track):
    other = Fragment(
        track.fragments[0].path.with_name("new.config"), VersionRange.of({"since": "7.3"})
    )
    both = replace(track, fragments=(*track.fragments, other))
    assert [path.name for path in both.fragments_for("7.2.12", {})] == ["kernel.config"]
    assert [path.name for path in both.fragments_for("7.3.0", {})] == [
        "kernel.config",
        "new.config",
    ]
    assert "7.3.4" not in VersionRange.of({"before": "7.3"})


def test_fragments_merge_and_render():
    text = config.render({"CONFIG_B": "y", "CONFIG_A": "n", "CONFIG_C": '"x"'})
    assert text == '# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C="x"\n'
    assert config.options(text) == {"CONFIG_A": "n", "CONFIG_B": "y", "CONFIG_C": '"x"'}
    config.verify({"CONFIG_X": "n"}, "")
