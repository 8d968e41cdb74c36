# SPDX-License-Identifier: MIT
"""`neve kernel …`."""

import json
from collections.abc import Sequence
from pathlib import Path

from harness.build.kernel.build import Kernel, build
from harness.build.kernel.edit import edit
from harness.build.kernel.mails import COVER, mails
from harness.build.kernel.patches import changed_files, render
from harness.build.kernel.repository import identity
from harness.build.kernel.save import save
from harness.build.kernel.source import Source, find, import_source, sources
from harness.build.kernel.staging import Saved
from harness.cache import Cache
from harness.errors import UserError
from harness.model.track import Track, track_names
from harness.paths import CHECKOUT, KERNEL_PATCHES
from harness.progress import Progress


def build_kernel(name: str, wanted: str | None, settings: Sequence[str], update: bool) -> Kernel:
    """Build the kernel of `track` with the series' parameters `settings` (NAME=VALUE)."""
    cache, progress, track = Cache.default(), Progress(), Track.load(name)
    chosen = _settings(settings)
    track.series.values(chosen)  # refuses what is unknown, before a source is downloaded
    with progress.stage("kernel source"):
        source = find(cache, track, wanted=wanted, update=update)
    with progress.stage(f"kernel {source.version}"):
        return build(cache, source, track, chosen)


def render_patches(
    name: str, settings: Sequence[str], wanted: str | None, *, cover: bool
) -> dict[str, str]:
    """{file name: mail} of the series, for Linux `wanted` or the newest source in the cache, with
    its `cover` letter or without."""
    track = Track.load(name)
    version = _version(track, wanted)
    patches = render(track.series, version, track.series.values(_settings(settings)))
    found = mails(track.series.folder, patches, identity(), version)
    return {f"{name}.patch": text for name, text in found if cover or name != COVER}


def edit_series(
    name: str, settings: Sequence[str], wanted: str | None, output: Path | None
) -> tuple[Path, str, int]:
    """Lay the series out as a git repository: its folder, the version, the number of patches."""
    track, progress = Track.load(name), Progress()
    values = track.series.values(_settings(settings))
    folder = output or Path(f"linux-{name}")
    with progress.stage("kernel source"):
        source = find(Cache.default(), track, wanted=wanted)
    with progress.stage(f"repository of Linux {source.version}"):
        patches = edit(source, track.series, values, folder)
    return folder, source.version, len(patches)


def save_series(name: str, folder: Path) -> Saved:
    """Bring the commits of the repository in `folder` back into the series.

    Raises UserError if the series is not that of a checkout.
    """
    if CHECKOUT is None:
        raise UserError(
            f"{KERNEL_PATCHES} is a part of the installed program: patches are saved in a checkout "
            "of its repository, by the neve that `make venv` makes there"
        )
    with Progress().stage("patches of the commits"):
        return save(Track.load(name), folder)


def files_that_change(name: str, wanted: str | None) -> list[str]:
    """The files of the release that the series changes: what a manifest lists."""
    track = Track.load(name)
    return changed_files(track.series, _version(track, wanted))


def _version(track: Track, wanted: str | None) -> str:
    """`wanted`, else of the newest source in the cache, else the oldest that the track takes."""
    known = sources(Cache.default(), track)
    version = wanted or (known[-1].version if known else track.origin.example)
    track.check(version, "--version")
    return version


def _settings(settings: Sequence[str]) -> dict[str, str]:
    chosen = dict(item.partition("=")[::2] for item in settings)
    if not all("=" in item for item in settings):
        raise UserError(f"--set {' '.join(settings)}: expected NAME=VALUE")
    return chosen


def import_kernel(name: str, path: Path, revision: str | None) -> Source:
    """Take the source at `path` into the cache (of a git repository: its `revision`)."""
    return import_source(Cache.default(), Track.load(name), path, revision=revision)


def list_kernels() -> Sequence[dict[str, str]]:
    """Sources and kernels in the cache."""
    cache = Cache.default()
    listed = []
    for name in track_names():
        track = Track.load(name)
        for source in sources(cache, track):
            listed.append(
                {
                    "what": "source",
                    "track": track.name,
                    "version": source.version,
                    "key": source.key,
                    "origin": source.origin,
                }
            )
    for file in sorted((cache.artifacts / "kernel").glob("*/kernel.json")):
        data = json.loads(file.read_text(encoding="utf-8"))
        listed.append(
            {
                "what": "kernel",
                "track": data["track"],
                "version": data["version"],
                "key": data["key"],
                "origin": data["origin"],
            }
        )
    return listed
