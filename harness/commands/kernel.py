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


def build_kernel(track: str, wanted: str | None, settings: Sequence[str], update: bool) -> Kernel:
    """Build the kernel of `track` with the series' parameters `settings` (NAME=VALUE)."""
    cache, progress, line = Cache.default(), Progress(), Track.load(track)
    chosen = _settings(settings)
    line.series.values(chosen)  # refuses what is unknown, before a source is downloaded
    with progress.stage("kernel source"):
        source = find(cache, line, wanted=wanted, update=update)
    with progress.stage(f"kernel {source.version}"):
        return build(cache, source, line, chosen)


def render_patches(
    track: str, settings: Sequence[str], wanted: str | None, *, cover: bool
) -> dict[str, str]:
    """{file name: mail} of the series, for Linux `wanted` or the newest source in the cache, with
    its `cover` letter or without."""
    line = Track.load(track)
    version = _version(line, wanted)
    patches = render(line.series, version, line.series.values(_settings(settings)))
    found = mails(line.series.folder, patches, identity(), version)
    return {f"{name}.patch": text for name, text in found if cover or name != COVER}


def edit_series(
    track: str, settings: Sequence[str], wanted: str | None, output: Path | None
) -> tuple[Path, str, int]:
    """Lay the series out as a git repository: its folder, the version, the number of patches."""
    line, progress = Track.load(track), Progress()
    values = line.series.values(_settings(settings))
    folder = output or Path(f"linux-{track}")
    with progress.stage("kernel source"):
        source = find(Cache.default(), line, wanted=wanted)
    with progress.stage(f"repository of Linux {source.version}"):
        patches = edit(source, line.series, values, folder)
    return folder, source.version, len(patches)


def save_series(track: str, folder: Path) -> Saved:
    """Bring the commits of the repository in `folder` back into the series.

    Raises UserError if the series is not that of a checkout.
    """
    if CHECKOUT is None:
        raise UserError(
            f"{KERNEL_PATCHES} is a part of the installed program: patches are saved in a checkout "
            "of its repository, by the neve that `make venv` makes there"
        )
    with Progress().stage("patches of the commits"):
        return save(Track.load(track), folder)


def files_that_change(track: str, wanted: str | None) -> list[str]:
    """The files of the release that the series changes: what a manifest lists."""
    line = Track.load(track)
    return changed_files(line.series, _version(line, wanted))


def _version(line: Track, wanted: str | None) -> str:
    """`wanted`, else of the newest source in the cache, else the oldest that the track takes."""
    known = sources(Cache.default(), line)
    version = wanted or (known[-1].version if known else line.origin.example)
    line.check(version, "--version")
    return version


def _settings(settings: Sequence[str]) -> dict[str, str]:
    chosen = dict(item.partition("=")[::2] for item in settings)
    if not all("=" in item for item in settings):
        raise UserError(f"--set {' '.join(settings)}: expected NAME=VALUE")
    return chosen


def import_kernel(track: str, path: Path, revision: str | None) -> Source:
    """Take the source at `path` into the cache (of a git repository: its `revision`)."""
    return import_source(Cache.default(), Track.load(track), path, revision=revision)


def list_kernels() -> Sequence[dict[str, str]]:
    """Sources and kernels in the cache."""
    cache = Cache.default()
    listed = []
    for name in track_names():
        line = Track.load(name)
        for source in sources(cache, line):
            listed.append(
                {
                    "what": "source",
                    "track": line.name,
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
