# SPDX-License-Identifier: MIT
"""A revision of somebody's git repository as a kernel's source.

Nothing is written into that repository: its objects are read by a bare one of ours, which has a
work tree and an object folder beside it that go from one revision to the next.

trees/<track>-git-<hash of the repository's path>/repository.git, src, obj, obj-net
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build.kernel.edit import apply_to_index
from harness.build.kernel.patches import Patch
from harness.build.kernel.repository import Repository
from harness.build.kernel.source import version_of_makefile
from harness.cache import Cache
from harness.errors import UserError
from harness.holding import hold_new
from harness.model.track import Track
from harness.process import ProcessError, refuse_full, require, run

# Neither the user's configuration nor that of the machine decides what a file has in it.
OWN = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_NO_LAZY_FETCH": "1"}


@dataclass(frozen=True)
class Revision:
    """A commit of the repository with the git directory `repository`. `tree` is the hash of its
    files, `objects` the folder of the repository's objects."""

    track: str
    version: str
    repository: Path
    objects: Path
    commit: str
    tree: str

    @property
    def content(self) -> str:
        """Names the files, wherever they came from."""
        return f"git tree {self.tree}"

    @property
    def origin(self) -> str:
        """Where it came from, for the metadata."""
        return f"{self.repository} at {self.commit}"

    @property
    def tree_name(self) -> str:
        """The folder that all revisions of the repository share."""
        path = hashlib.sha256(str(self.repository).encode()).hexdigest()[:16]
        return f"{self.track}-git-{path}"

    def patched(self, cache: Cache, patches: Sequence[Patch]) -> Path:
        """Its files with `patches`, in the work tree that the caller has locked: only those that
        differ from what is there are written, so that `make` builds what follows from them.

        Raises UserError naming the patch that does not apply, or if the repository lacks objects,
        OSError if the disk is full.
        """
        folder = hold_new(cache.trees / self.tree_name)
        own, tree = bare(folder / "repository.git", self), folder / "src"
        tree.mkdir(exist_ok=True)
        env = {**OWN, "GIT_DIR": str(own.path), "GIT_WORK_TREE": str(tree)}
        # Of a process that was killed; nobody else is here.
        (own.path / "index.lock").unlink(missing_ok=True)
        try:
            wanted = apply_to_index(own, self.commit, self.version, patches)
            own.git("read-tree", "--reset", "-u", wanted, env=env)
            own.git("clean", "-ffdxq", env=env)
        except ProcessError as error:
            refuse_full(folder)
            raise UserError(
                f"{self.repository} lacks objects of {self.commit[:12]}, as a partial or a damaged "
                f"clone does: {error.complaint}"
            ) from error
        return tree


def bare(path: Path, revision: Revision) -> Repository:
    """The bare repository of ours in `path`, which reads the objects of that of `revision`."""
    own = Repository(path)
    if not (path / "HEAD").exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(path, ignore_errors=True)
        form = "sha256" if len(revision.commit) == 64 else "sha1"
        options = ["-q", "--bare", f"--object-format={form}"]
        run([require("git", "git"), "init", *options, str(path)], env=OWN)
        own.git("config", "core.autocrlf", "false", env=OWN)
        own.git("config", "gc.auto", "0", env=OWN)
    alternates = path / "objects" / "info" / "alternates"
    alternates.parent.mkdir(exist_ok=True)
    alternates.write_text(f"{revision.objects}\n", encoding="utf-8")
    return own


def find_revision(track: Track, path: Path, revision: str) -> Revision:
    """`revision` of the git repository at `path`: a branch, a tag, a commit, or whatever git takes.

    Raises UserError if there is none such, or if it is no kernel of the track.
    """
    what = f"{path}@{revision}"
    if not path.exists():
        raise UserError(f"{what}: no such file or directory: {path}")
    try:
        directory = Path(asked(path, "rev-parse", "--absolute-git-dir"))
    except ProcessError as error:
        raise UserError(f"{what}: {path} is not a git repository") from error
    try:
        commit = asked(path, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
        tree = asked(path, "rev-parse", "--verify", f"{commit}^{{tree}}")
    except ProcessError as error:
        raise UserError(f"{what}: the repository has no commit {revision!r}") from error
    try:
        makefile = asked(path, "cat-file", "blob", f"{tree}:Makefile")
        asked(path, "cat-file", "-e", f"{tree}:arch/arm64")
    except ProcessError as error:
        raise UserError(
            f"{what} is no kernel source, or the repository lacks its objects: {error.complaint}"
        ) from error
    version = version_of_makefile(makefile, what)
    track.check(version, what)
    objects = (path / asked(path, "rev-parse", "--git-path", "objects")).resolve()
    return Revision(track.name, version, directory.resolve(), objects, commit, tree)


def refuse_dirty(path: Path) -> None:
    """Raise UserError if the work tree at `path` has changes that are not committed."""
    changed = asked(path, "status", "--porcelain", "--untracked-files=no").splitlines()
    if changed:
        raise UserError(
            f"{path} has changes that are not committed ({changed[0].split(maxsplit=1)[1]}): "
            f"commit them, or name a revision: {path}@HEAD"
        )


def asked(path: Path, *arguments: str) -> str:
    """What git says of the user's repository at `path`; nothing is written there, not even an
    index that is refreshed. Raises ProcessError."""
    words = ["-c", "safe.directory=*", "-C", str(path), "--no-optional-locks", *arguments]
    return run([require("git", "git"), *words], env={"GIT_NO_LAZY_FETCH": "1"}).strip()
