# SPDX-License-Identifier: MIT
"""Kernel sources: found in Debian's archive or imported by hand, verified, kept in the cache.

    trees/sources/<track>/<sha256, 16 digits>/linux.tar.*   the archive
    trees/sources/<track>/<sha256, 16 digits>/source.json   version, origin, hash
    trees/<track>-<sha256, 16 digits>/src                   the pristine tree
"""

import json
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.cache import Cache, file_sha256, write_atomically
from harness.debian import AptRoot, Debian
from harness.errors import UserError
from harness.kernel.track import Track
from harness.kernel.version import parse_version
from harness.process import ProcessError, run

_MAKEFILE_HEAD = 2000


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

    def verify(self) -> None:
        """Raise UserError if the archive is no longer what was verified."""
        if not self.archive.exists() or file_sha256(self.archive) != self.sha256:
            raise UserError(
                f"{self.archive} is damaged (its SHA-256 changed): "
                f"remove {self.archive.parent} and repeat"
            )


def sources(cache: Cache, track: Track) -> list[Source]:
    """The track's sources that are in the cache, newest last."""
    found = []
    for file in (cache.trees / "sources" / track.name).glob("*/source.json"):
        data = json.loads(file.read_text())
        found.append(Source(**{**data, "archive": file.parent / data["archive"]}))
    return sorted(found, key=lambda source: (parse_version(source.version), source.sha256))


def find(
    cache: Cache, track: Track, *, wanted: str | None = None, update: bool = False
) -> Source:
    """The newest source in the cache, of Linux `wanted` ("7.2", "7.2.12") if that is given.

    Taken from Debian's archive if there is none, or on `update`.
    """
    if wanted:
        track.check(wanted, "the kernel that the playbook asks for")
    with cache.lock(f"source-{track.name}"):
        known = [source for source in sources(cache, track) if _is(source.version, wanted)]
        if known and not update:
            return known[-1]
        return _from_debian(cache, track, wanted)


def _is(version: str, wanted: str | None) -> bool:
    """Whether `version` is the line or the release that was asked for."""
    if wanted is None:
        return True
    prefix = parse_version(wanted)
    return parse_version(version)[: len(prefix)] == prefix


def _from_debian(cache: Cache, track: Track, wanted: str | None) -> Source:
    apt = AptRoot.create(cache, Debian.load())
    apt.update()
    usable = [
        (parse_version(version), package, version)
        for package, version in apt.versions(track.package)
        if parse_version(version) >= track.oldest and _is(version, wanted)
    ]
    if not usable:
        raise UserError(
            f"Debian's archive has no {track.package} of Linux {wanted or track.oldest} "
            f"for track {track.name}"
        )
    _, package, version = max(usable)
    with tempfile.TemporaryDirectory(prefix="deb-", dir=_folder(cache.downloads)) as temporary:
        file = apt.download(package, version, Path(temporary))
        return import_source(cache, track, file, origin=f"Debian {package} {version}")


def import_source(cache: Cache, track: Track, path: Path, *, origin: str | None = None) -> Source:
    """Take a source package, a tarball or a tree into the cache.

    Raises UserError if it is no kernel source or one of the wrong version.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or directory")
    parent = _folder(cache.trees / "sources" / track.name)
    with tempfile.TemporaryDirectory(prefix=".import-", dir=parent) as temporary:
        archive = _archive_of(path, Path(temporary))
        version = _version_of(archive, path)
        track.check(version, str(path))
        sha256 = file_sha256(archive)
        source = Source(track.name, version, sha256, origin or f"imported from {path}",
                        parent / sha256[:16] / archive.name)
        shutil.rmtree(source.archive.parent, ignore_errors=True)
        staged = Path(temporary) / "staged"
        staged.mkdir()
        archive.replace(staged / archive.name)
        record = {**asdict(source), "archive": archive.name}
        write_atomically(staged / "source.json", json.dumps(record, indent=2) + "\n")
        staged.replace(source.archive.parent)
    return source


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _archive_of(path: Path, into: Path) -> Path:
    """A tar archive of the source, compressed or not, in `into`."""
    if path.is_dir():
        if not (path / "Makefile").exists() or not (path / "arch" / "arm64").is_dir():
            raise UserError(f"{path} is not a Linux source tree")
        archive = into / "linux.tar"
        run(["tar", "--sort=name", "--owner=0", "--group=0", "--mtime=@0", "--exclude=.git",
             "--transform=s,^\\.,linux,", "-cf", str(archive), "-C", str(path), "."])
        return archive
    if path.suffix == ".deb":
        return _archive_in_deb(path, into)
    if ".tar" not in path.name:
        raise UserError(f"{path}: expected a source tree, a tarball or a linux-source package")
    return Path(shutil.copy2(path, into / path.name))


def _archive_in_deb(path: Path, into: Path) -> Path:
    try:
        run(["dpkg-deb", "-x", str(path), str(into / "deb")])
        archive = next((into / "deb" / "usr" / "src").glob("linux-source-*.tar.xz"))
    except (ProcessError, StopIteration) as error:
        raise UserError(f"{path} is not a whole linux-source package") from error
    return archive.rename(into / archive.name)


def _version_of(archive: Path, path: Path) -> str:
    """VERSION.PATCHLEVEL.SUBLEVEL out of the top Makefile, read without unpacking the rest."""
    try:
        # The top Makefile is one of the first members; --occurrence lets tar stop there.
        head = run(["tar", "-xOf", str(archive), "--wildcards", "--no-wildcards-match-slash",
                    "--occurrence=1", "*/Makefile"])[:_MAKEFILE_HEAD]
    except ProcessError as error:
        raise UserError(f"{path} is not a whole kernel source archive: {error.tail}") from error
    numbers = [re.search(rf"^{name} = (\d+)$", head, re.M)
               for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    if not all(numbers):
        raise UserError(f"{path} is not a kernel source: its Makefile names no version")
    return ".".join(match[1] for match in numbers if match)


def unpack(cache: Cache, source: Source) -> Path:
    """The pristine source tree of `source`, unpacked once."""
    tree = cache.trees / f"{source.track}-{source.key}" / "src"
    if tree.is_dir():
        return tree
    source.verify()
    parent = _folder(tree.parent)
    for stale in parent.glob(".src-*"):
        shutil.rmtree(stale)
    temporary = Path(tempfile.mkdtemp(prefix=".src-", dir=parent))
    try:
        run(["tar", "-xf", str(source.archive), "-C", str(temporary), "--strip-components=1"])
        temporary.chmod(0o755)
        temporary.replace(tree)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return tree
