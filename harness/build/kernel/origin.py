# SPDX-License-Identifier: MIT
"""Brings a track's source when it is not in the cache: from Debian, or from kernel.org."""

import lzma
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.build.debian import AptRoot, Debian
from harness.build.download import fetch, fetch_plain
from harness.cache import Cache
from harness.errors import InfrastructureError, UserError
from harness.model.origin import DebianOrigin, ReleaseOrigin
from harness.model.track import Track
from harness.model.version import Version, dotted, is_version, parse_version
from harness.process import ProcessError, require, run


@dataclass(frozen=True)
class Fetched:
    """A source as it came, and where from."""

    path: Path
    origin: str


def bring(cache: Cache, track: Track, into: Path, wanted: str | None) -> Fetched:
    """The newest source of `track`, of Linux `wanted` if that is given; `into` is a scratch folder.

    Raises UserError if there is none such, InfrastructureError if it can't be reached.
    """
    if isinstance(track.origin, DebianOrigin):
        return _from_debian(cache, track.origin, into, wanted)
    return _from_kernel_org(cache, track, track.origin, into)


def offered(cache: Cache, origin: DebianOrigin) -> list[str]:
    """Versions of Linux that Debian's archive has of `origin` today, oldest first.

    Raises InfrastructureError if it can't be reached.
    """
    return list(dict.fromkeys(dotted(number) for number, *_ in _offers(_archive(cache), origin)))


def _from_debian(cache: Cache, origin: DebianOrigin, into: Path, wanted: str | None) -> Fetched:
    apt = _archive(cache)
    offers = _offers(apt, origin)
    usable = [offer for offer in offers if is_version(offer[2], wanted)]
    if not usable:
        lines = dict.fromkeys(dotted(number[:2]) for number, *_ in offers)
        raise UserError(
            f"Debian's archive has no source of Linux {wanted or origin.accepted}; "
            f"of {origin.accepted} it has {', '.join(lines) or 'none'}"
        )
    _, package, version = usable[-1]
    return Fetched(apt.download(package, version, into), f"Debian {package} {version}")


def _offers(apt: AptRoot, origin: DebianOrigin) -> list[tuple[Version, str, str]]:
    """(Linux, package, the package's version) of what belongs to the track, oldest first."""
    found = [
        (parse_version(version), package, version)
        for package, version in reversed(apt.versions(origin.package))
        if origin.accepts(version)
    ]
    return sorted(found, key=lambda offer: offer[0])  # of one release, the newest package last


def _archive(cache: Cache) -> AptRoot:
    """Debian's archive as it is now."""
    apt = AptRoot.create(cache, Debian.load())
    apt.update()
    return apt


def _from_kernel_org(cache: Cache, track: Track, origin: ReleaseOrigin, into: Path) -> Fetched:
    """`$NEVE_KERNEL_MIRROR`, a URL of the folder that holds the tarball, is asked first. Where gpg
    has the key of the signer, the release's signature is looked at too."""
    urls = list(origin.urls)
    name = urls[0].rpartition("/")[2]
    if mirror := os.environ.get("NEVE_KERNEL_MIRROR"):
        urls.insert(0, f"{mirror.rstrip('/')}/{name}")
    try:
        path, url = fetch(urls, origin.sha256, cache.downloads)
    except InfrastructureError as error:
        raise InfrastructureError(
            f"Linux {origin.version} can't be downloaded ({error}). Get {origin.urls[0]} (SHA-256 "
            f"{origin.sha256}) on another machine and give it to "
            f"`neve kernel import --track {track.name} {name}`, as you may a source tree or "
            "a git repository; playbooks of track upstream run without it"
        ) from error
    return Fetched(path, f"{url}{_signed(origin, path, into)}")


def _signed(origin: ReleaseOrigin, path: Path, into: Path) -> str:
    """What gpg says of the release, for its origin; nothing where gpg or the key is missing.

    Raises UserError if the signature does not hold.
    """
    try:
        gpg = require("gpg", "gnupg")
        run([gpg, "--batch", "--list-keys", origin.signer])
    except (ProcessError, UserError):
        return ""
    try:
        signature = fetch_plain(origin.signature, into)
    except ProcessError as error:
        return f", its signature could not be downloaded ({error.complaint})"
    tar = into / "linux.tar"  # what is signed is the archive before its compression
    with lzma.open(path) as source, tar.open("wb") as target:
        shutil.copyfileobj(source, target)
    try:
        run([gpg, "--batch", "--verify", str(signature), str(tar)])
    except ProcessError as error:
        raise UserError(f"{path}: the signature does not hold: {_last(error.tail)}") from error
    finally:
        tar.unlink()
    return f", signed by {origin.signer}"


def _last(lines: str) -> str:
    return lines.rpartition("\n")[2]
