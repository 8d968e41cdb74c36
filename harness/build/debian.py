# SPDX-License-Identifier: MIT
"""Debian's archive: signed metadata, through an apt configuration of our own that leaves the user's
alone."""

import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.build.architecture import architecture
from harness.cache import Cache
from harness.errors import InfrastructureError, MissingToolError, UserError
from harness.holding import hold_new
from harness.paths import IMAGES
from harness.process import ProcessError, require, run

_DAMAGED = "Hash Sum mismatch|unexpected size|is not signed|signatures (were|could)"


@dataclass(frozen=True)
class Debian:
    """Archive, suites and keyring, as `images/debian.toml` names them."""

    archive: str
    keyring: Path
    suites: tuple[str, ...]
    roots: dict[str, Any]

    @classmethod
    def load(cls) -> "Debian":
        data = tomllib.loads((IMAGES / "debian.toml").read_text(encoding="utf-8"))
        return cls(
            archive=os.environ.get("NEVE_DEBIAN_MIRROR") or data["mirror"],
            keyring=Path(data["keyring"]),
            suites=tuple(data["suites"]),
            roots={
                name: {"architecture": architecture(), **data[name]}
                for name in ("rootfs", "tools", "server", "applications")
            },
        )

    def sources(self, components: Iterable[str] = ("main",)) -> str:
        """Contents of a sources.list that trusts this keyring alone."""
        if not self.keyring.exists():
            raise MissingToolError(
                f"{self.keyring} is missing: apt-get install debian-archive-keyring"
            )
        return "".join(
            f"deb [signed-by={self.keyring}] {self.archive} {suite} {' '.join(components)}\n"
            for suite in self.suites
        )


@dataclass(frozen=True)
class AptRoot:
    """An apt with its own sources, lists, cache and status under `folder`."""

    folder: Path
    debian: Debian

    @classmethod
    def create(cls, cache: Cache, debian: Debian) -> "AptRoot":
        folder = hold_new(cache.root / "apt")
        for name in ("state/lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(debian.sources(), encoding="utf-8")
        return cls(folder, debian)

    def _options(self) -> list[str]:
        settings = {
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "-",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "-",
            "Dir::State": self.folder / "state",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder,
            "APT::Architecture": "arm64",
            "APT::Architectures": "arm64",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        return [f"-o{name}={value}" for name, value in settings.items()]

    def _apt(self, tool: str, *arguments: str, cwd: Path | None = None) -> str:
        try:
            return run([require(tool, "apt"), *self._options(), *arguments], cwd=cwd)
        except ProcessError as error:
            if re.search(_DAMAGED, error.tail):
                raise UserError(
                    f"Debian's archive: a download is damaged or not Debian's: {error.tail}"
                ) from error
            raise InfrastructureError(f"Debian's archive: {error.tail}") from error

    def update(self) -> None:
        """Fetch the signed lists; apt refuses a list whose signature does not hold."""
        self._apt("apt-get", "-qq", "--error-on=any", "update")

    def versions(self, pattern: str) -> list[tuple[str, str]]:
        """(package, version) of all whose name `pattern` matches; a package's newest first."""
        names = self._apt("apt-cache", "pkgnames", _literal_prefix(pattern)).split()
        found = sorted(name for name in names if re.fullmatch(pattern, name))
        table = self._apt("apt-cache", "madison", *found) if found else ""
        # package | version | where from: once for each suite that has it
        rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
        return list(dict.fromkeys((row[0], row[1]) for row in rows))

    def download(self, package: str, version: str, into: Path) -> Path:
        """The package's file in `into`; apt has compared its hash with the signed lists."""
        into.mkdir(parents=True, exist_ok=True)
        self._apt("apt-get", "-qq", "download", f"{package}={version}", cwd=into)
        files = sorted(into.glob(f"{package}_*.deb"), key=lambda file: file.stat().st_mtime)
        return files[-1]


def _literal_prefix(pattern: str) -> str:
    return re.split(r"[\\\[(.*+?]", pattern)[0]
