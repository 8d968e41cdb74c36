# SPDX-License-Identifier: MIT
"""Builds kernels, once per key: source + patches + configuration + compiler + settings."""

import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from harness.build.kernel import config
from harness.build.kernel.applying import DoesNotApplyError
from harness.build.kernel.patches import Patch, render
from harness.build.toolchain import Toolchain
from harness.cache import Cache, content_key, write_atomically
from harness.errors import InfrastructureError
from harness.model.track import Track
from harness.process import ProcessError, mortal, refuse_full, require, run

# Nothing of the machine, the user or the hour goes into the image.
_REPRODUCIBLE = {
    "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
    "KBUILD_BUILD_USER": "neve",
    "KBUILD_BUILD_HOST": "neve",
    "KBUILD_BUILD_VERSION": "1",
}


@dataclass(frozen=True)
class Kernel:
    """A kernel that is ready to boot. `commit` is that of its source, if it is a repository's;
    `without` are the series' parameters whose patches do not apply to it."""

    version: str
    key: str
    origin: str
    image: Path
    commit: str = ""
    without: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return self.image.parent


class Source(Protocol):
    """What a kernel is made of. `content` names its files, wherever they came from, `tree_name` the
    folder that it is built in."""

    @property
    def track(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def tree_name(self) -> str: ...
    @property
    def commit(self) -> str: ...
    def patched(self, cache: Cache, patches: Sequence[Patch]) -> Path: ...


@dataclass(frozen=True)
class _Recipe:
    """All that decides what a kernel is."""

    source: Source
    options: dict[str, str]
    patches: list[Patch]
    toolchain: Toolchain

    @property
    def key(self) -> str:
        return content_key(
            [
                self.source.content,
                self.options,
                [patch.text for patch in self.patches],
                self.toolchain.version,
                _REPRODUCIBLE,
            ]
        )


def recipe(
    source: Source, track: Track, toolchain: Toolchain, chosen: Mapping[str, str] | None = None
) -> _Recipe:
    """What `source` becomes on `track`, with the series' parameters that are `chosen`."""
    values = track.series.values(chosen or {})
    return _Recipe(
        source,
        config.merge(track.fragments_for(source.version, values)),
        render(track.series, source.version, values),
        toolchain,
    )


def build(
    cache: Cache, source: Source, track: Track, chosen: Mapping[str, str] | None = None
) -> Kernel:
    """The kernel of `source`; built unless one with the same key is in the cache.

    Variants of the series share one object tree, or one with a network and one without, so another
    one costs only what differs.
    Raises DoesNotApplyError if a patch does not apply, DoesNotBuildError with the compiler's last
    lines and the path of the build log.
    """
    made_of = recipe(source, track, Toolchain.find(), chosen)
    key = made_of.key

    def make(folder: Path) -> None:
        with cache.lock(f"tree-{source.tree_name}"):
            _build_in_tree(cache, made_of, folder)
        record = {
            "track": track.name,
            "version": source.version,
            "key": key,
            "source": source.content,
            "origin": source.origin,
            "patches": [patch.name for patch in made_of.patches],
            "parameters": track.series.values(chosen or {}),
            "compiler": made_of.toolchain.version,
            "settings": _REPRODUCIBLE,
        }
        write_atomically(folder / "kernel.json", json.dumps(record, indent=2) + "\n")

    folder = cache.artifact("kernel", key, make)
    return Kernel(source.version, key, source.origin, folder / "Image", source.commit)


def build_what_applies(
    cache: Cache,
    source: Source,
    track: Track,
    chosen: Mapping[str, str],
    spare: Collection[str],
) -> Kernel:
    """As `build`, without the patches that do not apply if they belong to parameters of the series
    that are `spare`."""
    without: list[str] = []
    while True:
        values = {**chosen, **dict.fromkeys(without, "false")}
        try:
            return replace(build(cache, source, track, values), without=tuple(without))
        except DoesNotApplyError as error:
            switch = track.series.switch_of(error.patch)
            if switch is None or switch not in spare or switch in without:
                raise
            without.append(switch)


class DoesNotBuildError(InfrastructureError):
    """The compiler, or what it calls, ended with an error. Exit code 75."""


def kbuild(
    tree: Path,
    objects: Path,
    toolchain: Toolchain,
    log: Path,
    goals: Sequence[str],
    env: Mapping[str, str] | None = None,
) -> None:
    """Make `goals` of the kernel in `tree`, whose lock the caller has, into the folder `objects`.
    Raises ProcessError with the compiler's last lines."""
    # One more than there are CPUs, as some wait for the disk or for the linker.
    jobs = len(os.sched_getaffinity(0)) + 1
    # Nobody may go on building in a tree whose lock has gone with its owner.
    run(
        mortal(
            [
                require("make", "make"),
                "-s",
                f"-j{jobs}",
                f"O={objects}",
                "ARCH=arm64",
                f"CROSS_COMPILE={toolchain.prefix}",
                *([f"CC=ccache {toolchain.prefix}gcc"] if shutil.which("ccache") else []),
                *goals,
            ]
        ),
        cwd=tree,
        log=log,
        env=env,
    )


def _first(tail: str, tree: Path) -> str:
    """The last lines of a build of `tree`, from the first error on."""
    lines = [line.replace(f"{tree}/", "") for line in tail.splitlines()]
    start = next((place for place, line in enumerate(lines) if "error:" in line.lower()), 0)
    return "\n".join(lines[start:])


def _build_in_tree(cache: Cache, made_of: _Recipe, folder: Path) -> None:
    source, wanted = made_of.source, made_of.options
    tree = source.patched(cache, made_of.patches)
    # Nearly all is compiled anew where the other one was built last: so many headers look at this.
    objects = tree.parent / ("obj-net" if wanted.get("CONFIG_NET") == "y" else "obj")
    objects.mkdir(exist_ok=True)
    log = cache.log(f"kernel-{source.track}-{source.version}")
    fragment = objects / "requested.config"
    fragment.write_text(config.render(wanted), encoding="utf-8")

    def make(goal: str) -> None:
        kbuild(
            tree,
            objects,
            made_of.toolchain,
            log,
            [goal],
            {**_REPRODUCIBLE, "KCONFIG_ALLCONFIG": str(fragment)},
        )

    for program in ("flex", "bison", "bc"):
        require(program, program)
    try:
        make("allnoconfig")
        config.verify(wanted, (objects / ".config").read_text(encoding="utf-8"))
        make("Image")
    except ProcessError as error:
        refuse_full(objects)
        raise DoesNotBuildError(
            f"Linux {source.version} did not build: {_first(error.tail, tree)}\nlog: {log}"
        ) from error
    for name, kept in (
        ("arch/arm64/boot/Image", "Image"),
        (".config", "config"),
        ("System.map", "System.map"),
    ):
        shutil.copy2(objects / name, folder / kept)
    shutil.copy2(log, folder / "build.log")
