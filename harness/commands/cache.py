# SPDX-License-Identifier: MIT
"""`neve cache`."""

from datetime import datetime, timedelta
from typing import Any

from harness.amounts import size
from harness.build.stock import Entry, entries, prune
from harness.cache import Cache, size_of


def listed() -> dict[str, Any]:
    """The cache's folder, its size in bytes, and what may be removed of it."""
    cache = Cache.default()
    found = [_described(entry) for entry in entries(cache)]
    return {"cache": str(cache.root), "size": size_of(cache.root), "entries": found}


def pruned(older: timedelta | None, keep_last: bool) -> dict[str, Any]:
    """Which entries were removed, how many bytes that freed, and which stay as they are in use."""
    gone, kept = prune(Cache.default(), older=older, keep_last=keep_last)
    return {
        "removed": [_described(entry) for entry in gone],
        "freed": sum(entry.size for entry in gone),
        "in_use": [_described(entry) for entry in kept],
    }


def _described(entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "track": entry.track,
        "name": entry.name,
        "about": entry.about,
        "path": str(entry.path),
        "size": entry.size,
        "used": entry.used.isoformat(timespec="seconds"),
        "held": entry.held,
    }


def readable(listed: dict[str, Any]) -> str:
    """A line for each entry, and one for the whole."""
    lines = [line(entry) for entry in listed["entries"]]
    return "\n".join([*lines, f"{size(listed['size'])} in {listed['cache']}"])


def line(entry: dict[str, Any]) -> str:
    """Kind, name, size, last use, and what it is."""
    used = datetime.fromisoformat(entry["used"]).astimezone()
    about = "; ".join(filter(None, (entry["about"], "in use" if entry["held"] else "")))
    kind = f"{entry['kind']} {entry['track']}".rstrip()
    words = f"{kind:<17} {entry['name']:<16} {size(entry['size']):>9}  {used:%F %H:%M}  {about}"
    return words.rstrip()
