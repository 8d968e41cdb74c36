# SPDX-License-Identifier: MIT
"""Where a track's source comes from when it is not in the cache: Debian, or kernel.org."""

import lzma
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.cache import Cache
from harness.debian import AptRoot, Debian
from harness.download import fetch, fetch_plain
from harness.errors import InfrastructureError, UserError
from harness.kernel.version import Version, parse_version
from harness.process import ProcessError, require, run


@dataclass(frozen=True)
class Fetched:
    """A source as it came, and where from."""

    path: Path
    origin: str


class Origin(Protocol):
    """Says which versions belong to a track, and brings one."""

    @property
    def accepted(self) -> str:
        """The versions that `accepts` holds for, in words."""

    @property
    def example(self) -> str:
        """A version that `accepts` holds for."""

    def accepts(self, version: str) -> bool: ...

    def fetch(self, cache: Cache, into: Path, wanted: str | None) -> Fetched:
        """The newest source, of Linux `wanted` if that is given; `into` is a scratch folder.

        Raises UserError if there is none such, InfrastructureError if it can't be reached.
        """


@dataclass(frozen=True)
class DebianOrigin:
    """A linux-source package of Debian's archive."""

    package: str
    oldest: Version

    @property
    def accepted(self) -> str:
        return f"{self.example} or newer"

    @property
    def example(self) -> str:
        return _dotted(self.oldest)

    def accepts(self, version: str) -> bool:
        return parse_version(version) >= self.oldest

    def offered(self, cache: Cache) -> list[str]:
        """Versions of Linux that the archive has for the track today, oldest first.

        Raises InfrastructureError if it can't be reached.
        """
        return list(dict.fromkeys(_dotted(number) for number, *_ in self._offers(_archive(cache))))

    def fetch(self, cache: Cache, into: Path, wanted: str | None) -> Fetched:
        apt = _archive(cache)
        offers = self._offers(apt)
        usable = [offer for offer in offers if is_version(offer[2], wanted)]
        if not usable:
            lines = dict.fromkeys(_dotted(number[:2]) for number, *_ in offers)
            raise UserError(
                f"Debian's archive has no source of Linux {wanted or self.accepted}; "
                f"of {self.accepted} it has {', '.join(lines) or 'none'}"
            )
        _, package, version = usable[-1]
        return Fetched(apt.download(package, version, into), f"Debian {package} {version}")

    def _offers(self, apt: AptRoot) -> list[tuple[Version, str, str]]:
        """(Linux, package, the package's version) of what belongs to the track, oldest first."""
        found = [
            (parse_version(version), package, version)
            for package, version in reversed(apt.versions(self.package))
            if self.accepts(version)
        ]
        return sorted(found, key=lambda offer: offer[0])  # of one release, the newest package last


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _archive(cache: Cache) -> AptRoot:
    """Debian's archive as it is now."""
    apt = AptRoot.create(cache, Debian.load())
    apt.update()
    return apt


@dataclass(frozen=True)
class ReleaseOrigin:
    """One release of kernel.org, known by its hash.

    `$NEVE_KERNEL_MIRROR`, a URL of the folder that holds the tarball, is asked first. Where gpg
    has the key of `signer`, the release's signature is looked at too.
    """

    track: str
    version: str
    sha256: str
    urls: tuple[str, ...]
    signature: str
    signer: str

    @property
    def accepted(self) -> str:
        return f"the release {self.version} itself"

    @property
    def example(self) -> str:
        return self.version

    def accepts(self, version: str) -> bool:
        return version == self.version

    def fetch(self, cache: Cache, into: Path, wanted: str | None) -> Fetched:
        urls = list(self.urls)
        name = urls[0].rpartition("/")[2]
        if mirror := os.environ.get("NEVE_KERNEL_MIRROR"):
            urls.insert(0, f"{mirror.rstrip('/')}/{name}")
        try:
            path, url = fetch(urls, self.sha256, cache.downloads)
        except InfrastructureError as error:
            raise InfrastructureError(
                f"Linux {self.version} can't be downloaded ({error}). Get {self.urls[0]} (SHA-256 "
                f"{self.sha256}) on another machine and give it to "
                f"`neve kernel import --track {self.track} {name}`, as you may a source tree or "
                "a git repository; playbooks of track upstream run without it"
            ) from error
        return Fetched(path, f"{url}{self._signed(path, into)}")

    def _signed(self, path: Path, into: Path) -> str:
        """What gpg says of the release, for its origin; nothing where gpg or the key is missing.

        Raises UserError if the signature does not hold.
        """
        try:
            gpg = require("gpg", "gnupg")
            run([gpg, "--batch", "--list-keys", self.signer])
        except (ProcessError, UserError):
            return ""
        try:
            signature = fetch_plain(self.signature, into)
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
        return f", signed by {self.signer}"


def _last(lines: str) -> str:
    return lines.rpartition("\n")[2]


def is_version(version: str, wanted: str | None) -> bool:
    """Whether `version` is the line or the release that was asked for."""
    if wanted is None:
        return True
    prefix = parse_version(wanted)
    return parse_version(version)[: len(prefix)] == prefix


def origin_of(data: Mapping[str, Any], track: str) -> Origin:
    """From the table [origin.debian] or [origin.release] of a series.toml."""
    makers: dict[str, Callable[[Mapping[str, Any]], Origin]] = {
        "debian": lambda item: DebianOrigin(item["package"], parse_version(item["oldest"])),
        "release": lambda item: ReleaseOrigin(
            track, item["version"], item["sha256"], tuple(item["urls"]), item["signature"],
            item["signer"],
        ),
    }
    ((kind, item),) = data.items()
    return makers[kind](item)
