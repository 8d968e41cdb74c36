# SPDX-License-Identifier: MIT
"""What is in the cache: its size, when it was last used, and what may be removed."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import Timeout

from harness.cache import Cache, size_of
from harness.holding import REMOVED, is_held, remove


@dataclass(frozen=True)
class Entry:
    """A folder that is removed as a whole. `track` is empty where all share it, `size` is in bytes
    on the disk, `used` is when a command used it last."""

    kind: str
    track: str
    name: str
    about: str
    path: Path
    size: int
    used: datetime

    @property
    def held(self) -> bool:
        """Whether a process uses it now."""
        return is_held(self.path)


def entries(cache: Cache) -> list[Entry]:
    """All that may be removed, by kind and track, what was used last at the end."""
    found = [
        *_artifacts(cache),
        *_sources(cache),
        *_trees(cache),
        *([_entry("apt", cache.root / "apt")] if (cache.root / "apt").is_dir() else []),
    ]
    return sorted(found, key=lambda each: (each.kind, each.track, each.used, each.name))


def has_kernel(cache: Cache, track: str) -> bool:
    """Whether there is a kernel of `track`, whichever."""
    return any(
        _record(file).get("track") == track for file in cache.artifacts.glob("kernel/*/kernel.json")
    )


def has_images(cache: Cache) -> bool:
    """Whether there is something to boot with a kernel."""
    return any(cache.artifacts.glob("rootfs/*/packages.txt"))


def prune(
    cache: Cache, *, older: timedelta | None, keep_last: bool
) -> tuple[list[Entry], list[Entry]]:
    """Remove what was not used for as long as `older` says and, with `keep_last`, was not used by
    the last command that used its kind (on its track): what has gone, and what would have if no
    process used it. What killed commands left goes, too."""
    with cache.lock("prune"):
        _sweep(cache)
        found = entries(cache)
        last: dict[tuple[str, str], datetime] = {}
        for entry in found:
            group = (entry.kind, entry.track)
            last[group] = max(entry.used, last.get(group, entry.used))
        now = datetime.now(UTC)
        doomed = [
            entry
            for entry in found
            if (older is None or now - entry.used > older)
            and not (keep_last and entry.used == last[entry.kind, entry.track])
        ]
        gone = [entry for entry in doomed if _removed(cache, entry)]
        return gone, [entry for entry in doomed if entry not in gone]


def _entry(
    kind: str, path: Path, *, track: str = "", name: str | None = None, about: str = ""
) -> Entry:
    used = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Entry(kind, track, name or path.name, about, path, size_of(path), used)


def _artifacts(cache: Cache) -> Iterator[Entry]:
    for path in _folders(cache.artifacts.glob("*/*")):
        said = _record(path / "kernel.json")
        yield _entry(
            path.parent.name,
            path,
            track=said.get("track", ""),
            about=f"Linux {said['version']}" if said else "",
        )


def _sources(cache: Cache) -> Iterator[Entry]:
    sources = cache.trees / "sources"
    for path in _folders(file.parent for file in sources.glob("*/**/source.json")):
        track, *below = path.relative_to(sources).parts
        if any(name.startswith(".") for name in below):  # it is being imported
            continue
        said = _record(path / "source.json")
        about = f"Linux {said['version']}, {said['origin']}"
        yield _entry("source", path, track=track, about=about)


def _trees(cache: Cache) -> Iterator[Entry]:
    for path in _folders(cache.trees.glob("*")):
        if path.name != "sources" and (path / "src").is_dir():
            track, _, key = path.name.rpartition("-")
            yield _entry("tree", path, track=track, name=key, about="a source and its objects")


def _folders(paths: Iterable[Path]) -> list[Path]:
    """Of `paths`, those that are no temporary ones."""
    return [path for path in paths if path.is_dir() and not path.name.startswith(".")]


def _record(file: Path) -> dict[str, str]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def _removed(cache: Cache, entry: Entry) -> bool:
    """Whether it could be removed. Who builds in a tree has its lock."""
    if entry.kind != "tree":
        return remove(entry.path)
    try:
        with cache.lock(f"tree-{entry.path.name}", wait=0):
            return remove(entry.path)
    except Timeout:
        return False


def _sweep(cache: Cache) -> None:
    """Remove what commands left that were killed while they made or removed something."""
    for path in cache.artifacts.glob("*/.*"):
        key = path.name[1:].rpartition("-")[0]
        try:
            with cache.lock(f"{path.parent.name}-{key}", wait=0):
                remove(path)
        except Timeout:  # it is being made
            continue
    for folder in (cache.root, cache.trees, *(cache.trees / "sources").glob("*")):
        for path in folder.glob(f"{REMOVED}*"):
            remove(path)
