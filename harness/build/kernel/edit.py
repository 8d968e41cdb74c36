# SPDX-License-Identifier: MIT
"""Lays a series out as a git repository: the pristine release, then a commit a patch.

The first commit says in trailers what was laid out; each other one by a trailer which patch it is,
so that commits may be amended, reordered and copied. `harness.build.kernel.save` goes the other
way.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build.kernel import message
from harness.build.kernel.applying import apply_patch
from harness.build.kernel.patches import Patch, render
from harness.build.kernel.repository import Identity, Repository, identity
from harness.build.kernel.source import Source, extracted
from harness.errors import UserError
from harness.model.series import ParameterValue, PatchSeries


@dataclass(frozen=True)
class Base:
    """What a repository was laid out from: its first commit's trailers."""

    track: str
    version: str
    settings: Mapping[str, str]

    def text(self) -> str:
        """The message of the first commit."""
        settings = [f"Set: {name}={value}" for name, value in self.settings.items()]
        return "\n".join(
            [
                f"Linux {self.version}",
                "",
                "The untouched release.",
                "",
                f"Track: {self.track}",
                f"Version: {self.version}",
                *settings,
                "",
            ]
        )

    @classmethod
    def of(cls, text: str) -> "Base | None":
        """From the message of a first commit; None if that is not one of ours."""
        track, version = message.trailers(text, "Track"), message.trailers(text, "Version")
        if not track or not version:
            return None
        settings = dict(item.partition("=")[::2] for item in message.trailers(text, "Set"))
        return cls(track[0], version[0], settings)


def edit(
    source: Source, series: PatchSeries, values: Mapping[str, ParameterValue], folder: Path
) -> list[Patch]:
    """A repository in `folder`, which is new, with the series for `source` at `values`.

    Raises UserError if the folder has something in it, git does not know its user, or a patch does
    not apply.
    """
    identity()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already: give another folder by --output, or remove it")
    settings = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in values.items()
    }
    patches = render(series, source.version, values)
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with extracted(source, parent, f".{folder.name}-") as staged:
        repository = _initialized(staged, Base(source.track, source.version, settings).text())
        tip = lay_out(repository, "HEAD", source.version, patches)[-1:]
        repository.git("reset", "-q", "--hard", *tip)
        if folder.exists():
            folder.rmdir()
        staged.rename(folder)
    return patches


def _initialized(tree: Path, text: str) -> Repository:
    """`tree` as a repository with one commit, all that is in it."""
    repository = Repository(tree)
    repository.git("init", "-q", "-b", "series")
    repository.git("config", "core.autocrlf", "false")
    # Straight into one pack: tens of thousands of loose objects would take a minute.
    repository.git(
        "-c", "core.bigFileThreshold=1", "-c", "core.safecrlf=false", "add", "--all", "--force", "."
    )
    repository.git(
        "-c",
        "gc.auto=0",
        "commit",
        "-q",
        "--no-verify",
        "--no-gpg-sign",
        "--cleanup=verbatim",
        "-F",
        "-",
        stdin=text,
    )
    return repository


def lay_out(repository: Repository, base: str, version: str, patches: Sequence[Patch]) -> list[str]:
    """The commits of `patches` on top of `base`, applied as `neve kernel build` does, by its author
    where they don't name another. No branch and no file of the work tree changes.

    Raises UserError naming the patch that does not apply.
    """
    commits: list[str] = []
    user = repository.author(base)
    for patch, tree in _applied(repository, base, version, patches):
        parent = commits[-1] if commits else base
        commits.append(_committed(repository, patch, tree, parent, user))
    return commits


def apply_to_index(
    repository: Repository, base: str, version: str, patches: Sequence[Patch]
) -> str:
    """The tree that `patches` make of the commit `base`; no file of a work tree changes.

    Raises UserError naming the patch that does not apply.
    """
    trees = [tree for _, tree in _applied(repository, base, version, patches)]
    return trees[-1] if trees else f"{base}^{{tree}}"


def _applied(
    repository: Repository, base: str, version: str, patches: Sequence[Patch]
) -> Iterator[tuple[Patch, str]]:
    """Each patch, and the tree that it and those before make of `base`."""
    with tempfile.TemporaryDirectory(prefix="neve-patch-") as temporary:
        work = Path(temporary)
        checkout(repository, base, {file for patch in patches for file in patch.files}, work)
        with repository.index(base, work) as env:
            for patch in patches:
                apply_patch(patch, work, version)
                repository.git("add", "--all", "--force", "--", *patch.files, env=env)
                yield patch, repository.git("write-tree", env=env).strip()


def checkout(repository: Repository, commit: str, files: set[str], into: Path) -> None:
    """Those of `files` that `commit` has, in the folder `into`."""
    with repository.index(commit, into) as env:
        known = repository.git("ls-files", "-z", "--", *sorted(files), env=env) if files else ""
        repository.git("checkout-index", "-z", "--stdin", stdin=known, env=env)


def _committed(repository: Repository, patch: Patch, tree: str, parent: str, user: Identity) -> str:
    text = message.with_trailer(message.plain(patch.head), f"{message.NAME}: {patch.slug}")
    author = message.author(patch.head)
    writer = Identity.of(author) if author else user
    env = {
        "GIT_AUTHOR_NAME": writer.name,
        "GIT_AUTHOR_EMAIL": writer.email,
        "GIT_COMMITTER_NAME": user.name,
        "GIT_COMMITTER_EMAIL": user.email,
    }
    return repository.git(
        "commit-tree", "--no-gpg-sign", tree, "-p", parent, "-F", "-", stdin=text, env=env
    ).strip()
