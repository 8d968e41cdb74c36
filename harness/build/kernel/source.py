# SPDX-License-Identifier: MIT
"""Kernel sources: brought from a track's origin or imported by hand, verified, kept in the cache.

trees/sources/<track>/<sha256, 16 digits>/linux.tar.*   the archive
trees/sources/<track>/<sha256, 16 digits>/source.json   version, origin, hash
trees/sources/<track>/named/…                           those that a playbook or --kernel names
trees/<track>-<sha256, 16 digits>/src                   the pristine tree
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness.build.kernel.applying import apply_series
from harness.build.kernel.manifest import Manifest
from harness.build.kernel.origin import bring
from harness.build.kernel.patches import Patch
from harness.cache import Cache, file_sha256, write_atomically
from harness.errors import UserError
from harness.holding import hold, hold_new
from harness.model.track import Track
from harness.model.version import is_version, parse_version
from harness.process import ProcessError, require, run

_MAKEFILE_HEAD = 2000
# Half a gigabyte of register tables for graphics cards, which our kernels don't drive.
_LARGE = ("drivers/gpu/drm/amd/include/asic_reg",)


@dataclass(frozen=True)
class Source:
    """A verified source archive. `origin` says where it came from, for the metadata."""

    track: str
    version: str
    sha256: str
    origin: str
    archive: Path

    @property
    def key(self) -> str:
        return self.sha256[:16]

    @property
    def content(self) -> str:
        """Names the files that are in it."""
        return self.sha256

    @property
    def commit(self) -> str:
        """None that is known."""
        return ""

    @property
    def tree_name(self) -> str:
        """The folder of its tree."""
        return f"{self.track}-{self.key}"

    def patched(self, cache: Cache, patches: Sequence[Patch]) -> Path:
        """Its tree with `patches`, which the caller has locked. Raises UserError naming the patch
        that does not apply, or if the archive is damaged."""
        tree = unpack(cache, self)
        apply_series(tree, self.version, patches)
        return tree

    def verify(self) -> None:
        """Raise UserError if the archive is no longer what was verified."""
        if not self.archive.exists() or file_sha256(self.archive) != self.sha256:
            raise UserError(
                f"{self.archive} is damaged (its SHA-256 changed): "
                f"remove {self.archive.parent} and repeat"
            )


def sources(cache: Cache, track: Track) -> list[Source]:
    """The track's sources that are in the cache, newest last; not those that it no longer takes."""
    found = []
    for file in (cache.trees / "sources" / track.name).glob("*/source.json"):
        source = _read(file)
        if track.origin.accepts(source.version):
            found.append(source)
    return sorted(found, key=lambda source: (parse_version(source.version), source.sha256))


def find(cache: Cache, track: Track, *, wanted: str | None = None, update: bool = False) -> Source:
    """The newest source in the cache, of Linux `wanted` ("7.2", "7.2.12") if that is given.

    Brought from the track's origin if there is none, or on `update`.
    """
    if wanted:
        track.check(wanted, "the kernel that is asked for")
    with cache.lock(f"source-{track.name}"):
        known = [source for source in sources(cache, track) if is_version(source.version, wanted)]
        if known and not update and hold(known[-1].archive.parent):
            return known[-1]
        scratch = _folder(cache.downloads)
        with tempfile.TemporaryDirectory(prefix="source-", dir=scratch) as temporary:
            fetched = bring(cache, track, Path(temporary), wanted)
            return import_source(cache, track, fetched.path, origin=fetched.origin)


def import_source(
    cache: Cache,
    track: Track,
    path: Path,
    *,
    origin: str | None = None,
    revision: str | None = None,
    named: bool = False,
) -> Source:
    """Take a source package, a tarball, a tree or a git repository's `revision` into the cache; one
    that is only `named` for a kernel is none of the track's, of which the newest is the default.

    Raises UserError if it is no kernel source, one of the wrong version, or has changes of
    somebody's own in files that the track's series touches.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or directory")
    parent = _folder(cache.trees / "sources" / track.name / ("named" if named else ""))
    told = origin or f"imported from {path}"
    if named and path.is_file() and (known := _known(parent, file_sha256(path))):
        return replace(known, origin=told)
    with tempfile.TemporaryDirectory(prefix=".import-", dir=parent) as temporary:
        # tar takes `a:b` for a file of the machine a, and programs take `-a` for an option.
        archive = _archive_of(path.absolute(), Path(temporary), revision)
        version = _version_of(archive, path)
        track.check(version, str(path))
        if track.manifest:
            Manifest.load(track.manifest).check(archive, str(path))
        sha256 = file_sha256(archive)
        if named and (known := _known(parent, sha256)):
            return replace(known, origin=told)
        source = Source(track.name, version, sha256, told, parent / sha256[:16] / archive.name)
        shutil.rmtree(source.archive.parent, ignore_errors=True)
        staged = Path(temporary) / "staged"
        staged.mkdir()
        archive.replace(staged / archive.name)
        record = {**asdict(source), "archive": archive.name}
        write_atomically(staged / "source.json", json.dumps(record, indent=2) + "\n")
        hold(staged)  # before anybody else can see it
        staged.replace(source.archive.parent)
    return source


def _read(file: Path) -> Source:
    data = json.loads(file.read_text(encoding="utf-8"))
    return Source(**{**data, "archive": file.parent / data["archive"]})


def _known(parent: Path, sha256: str) -> Source | None:
    """The one in `parent` whose archive has that hash; it is held."""
    file = parent / sha256[:16] / "source.json"
    return _read(file) if hold(file.parent) and file.exists() else None


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _archive_of(path: Path, into: Path, revision: str | None) -> Path:
    """A tar archive of the source, compressed or not, in `into`."""
    if revision or (path / "objects").is_dir():
        return _archive_of_revision(path, into, revision or "HEAD")
    if path.is_dir():
        return _archive_of_tree(path, into)
    if path.suffix == ".deb":
        return _archive_in_deb(path, into)
    if ".tar" not in path.name:
        raise UserError(
            f"{path}: expected a source tree, a tarball, a git repository or a linux-source package"
        )
    try:
        run(["tar", "-tf", str(path)])
    except ProcessError as error:
        raise UserError(
            f"{path} is not a whole kernel source archive: {error.complaint}"
        ) from error
    return Path(shutil.copy2(path, into / path.name))


def _archive_of_revision(path: Path, into: Path, revision: str) -> Path:
    archive = into / "linux.tar"
    try:
        run(
            [
                require("git", "git"),
                "-c",
                "safe.directory=*",
                "-C",
                str(path),
                "archive",
                "--format=tar",
                "--prefix=linux/",
                f"--output={archive}",
                revision,
            ]
        )
    except ProcessError as error:
        raise UserError(f"{path}: git has no archive of {revision}: {error.complaint}") from error
    return archive


def _archive_of_tree(path: Path, into: Path) -> Path:
    if not (path / "Makefile").exists() or not (path / "arch" / "arm64").is_dir():
        raise UserError(f"{path} is not a Linux source tree")
    if (path / ".config").exists() or (path / "include" / "config").is_dir():
        raise UserError(f"{path} was built in: `make mrproper` there, then import it")
    archive = into / "linux.tar"
    run(
        [
            "tar",
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--mtime=@0",
            "--exclude=.git",
            "--transform=s,^\\.,linux,",
            "-cf",
            str(archive),
            "-C",
            str(path),
            ".",
        ]
    )
    return archive


def _archive_in_deb(path: Path, into: Path) -> Path:
    try:
        run(["dpkg-deb", "-x", str(path), str(into / "deb")])
        archive = next((into / "deb" / "usr" / "src").glob("linux-source-*.tar.xz"))
    except (ProcessError, StopIteration) as error:
        raise UserError(f"{path} is not a whole linux-source package") from error
    return archive.rename(into / archive.name)


def _version_of(archive: Path, path: Path) -> str:
    """Out of the top Makefile, read without unpacking the rest: `7.3.4`, or `7.3.0-rc1`."""
    try:
        # The top Makefile is one of the first members; --occurrence lets tar stop there.
        head = run(
            [
                "tar",
                "-xOf",
                str(archive),
                "--wildcards",
                "--no-wildcards-match-slash",
                "--occurrence=1",
                "*/Makefile",
            ]
        )
    except ProcessError as error:
        raise UserError(f"{path} is not a kernel source: it has no Makefile") from error
    return version_of_makefile(head, str(path))


def version_of_makefile(text: str, what: str) -> str:
    """What the top Makefile of `what` says: `7.3.4`, or `7.3.0-rc1`."""
    head = text[:_MAKEFILE_HEAD]
    numbers = [
        re.search(rf"^{name} = (\d+)$", head, re.M)
        for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL")
    ]
    if not all(numbers):
        raise UserError(f"{what} is not a kernel source: its Makefile names no version")
    extra = re.search(r"^EXTRAVERSION = (-rc\d+)$", head, re.M)
    return ".".join(match[1] for match in numbers if match) + (extra[1] if extra else "")


def unpack(cache: Cache, source: Source) -> Path:
    """The pristine source tree of `source`, unpacked once; its folder is held."""
    parent = hold_new(cache.trees / source.tree_name)
    tree = parent / "src"
    if tree.is_dir():
        return tree
    for stale in parent.glob(".src-*"):
        shutil.rmtree(stale)
    with extracted(source, parent, ".src-", without=_LARGE) as temporary:
        temporary.replace(tree)
    return tree


@contextmanager
def extracted(
    source: Source, parent: Path, prefix: str, *, without: Sequence[str] = ()
) -> Iterator[Path]:
    """The pristine source tree in a new folder in `parent`, to be renamed to where it belongs; it
    is removed if that fails. `without` are folders that are left out. Raises UserError if the
    archive is damaged."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        source.verify()
        run(
            [
                "tar",
                "-xf",
                str(source.archive),
                "-C",
                str(folder),
                "--strip-components=1",
                *(f"--exclude=*/{name}" for name in without),
            ]
        )
        _make_scripts_executable(folder)
        folder.chmod(0o755)
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _make_scripts_executable(tree: Path) -> None:
    """Give scripts the execute bit that a copy without permissions has lost: kbuild calls them."""
    for folder in ("arch/arm64", "scripts"):
        for path in (tree / folder).rglob("*"):
            if path.is_file() and not path.is_symlink() and not path.stat().st_mode & 0o100:
                with path.open("rb") as stream:
                    script = stream.read(2) == b"#!"
                if script:
                    path.chmod(path.stat().st_mode | 0o111)
