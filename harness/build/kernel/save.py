# SPDX-License-Identifier: MIT
"""Turns a repository that `harness.build.kernel.edit` laid out into the series again.

A commit is a patch of the series by its trailer, or by its subject. What did not change stays as it
is, byte for byte; what did is merged into the file or the template that it is rendered from.
"""

import filecmp
import shutil
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from harness.build.kernel.applying import apply_patch
from harness.build.kernel.commits import opened, read
from harness.build.kernel.edit import Base, checkout, lay_out
from harness.build.kernel.manifest import Manifest
from harness.build.kernel.patches import changed_files, render
from harness.build.kernel.repository import Repository
from harness.build.kernel.staging import Saved, Staging
from harness.errors import UserError
from harness.model.series import PatchSeries
from harness.model.track import Track


def save(track: Track, folder: Path) -> Saved:
    """Bring the commits of the repository in `folder` into the series of `track`.

    Raises UserError, with the series unchanged, if the repository is not one of the track's or is
    in the middle of something, if a commit can't be a patch, if a change meets what a template is
    rendered from, or if a variant of the series would no longer apply.
    """
    repository, base, root = opened(folder, track.name)
    series = track.series
    patches = render(series, base.version, series.values(base.settings))
    before = read(repository, root, lay_out(repository, root, base.version, patches))
    ids = repository.git("rev-list", "--reverse", f"{root}..HEAD").split()
    after = read(repository, root, ids)
    # Where hunks are matters only if they would be found in a wrong place.
    for exact in (False, True):
        with tempfile.TemporaryDirectory(prefix="neve-series-") as temporary:
            staged = Path(temporary) / series.folder.name
            shutil.copytree(series.folder, staged)
            saved = Staging(series, patches, before, staged, exact=exact).write(after)
            new = PatchSeries.load(staged)
            if _gives_head(repository, root, base, new):
                _check_variants(repository, root, base.version, new)
                _update_manifest(repository, root, base.version, new)
                _replace(staged, series.folder)
                return saved
    raise UserError(
        f"{folder}: the series made of its commits does not give the tree of HEAD; "
        "nothing was saved"
    )


def _gives_head(repository: Repository, root: str, base: Base, series: PatchSeries) -> bool:
    """Whether the series, laid out again, is what the repository has."""
    tips = lay_out(
        repository, root, base.version, render(series, base.version, series.values(base.settings))
    )
    made, wanted = repository.git(
        "rev-parse", f"{tips[-1] if tips else root}^{{tree}}", "HEAD^{tree}"
    ).split()
    return made == wanted


def _check_variants(repository: Repository, root: str, version: str, series: PatchSeries) -> None:
    """Raise UserError naming the variant of the series, and what of it does not apply."""
    seen: set[tuple[str, ...]] = set()
    with tempfile.TemporaryDirectory(prefix="neve-variants-") as temporary:
        pristine, work = Path(temporary, "pristine"), Path(temporary, "work")
        pristine.mkdir()
        checkout(repository, root, set(changed_files(series, version)), pristine)
        for values in series.variants():
            patches = render(series, version, values)
            texts = tuple(patch.text for patch in patches)
            if texts in seen:
                continue
            seen.add(texts)
            shutil.copytree(pristine, work)
            try:
                for patch in patches:
                    apply_patch(patch, work, version)
            except UserError as error:
                shown = ", ".join(f"{name}={str(value).lower()}" for name, value in values.items())
                raise UserError(f"with {shown}: {error}; nothing was saved") from error
            shutil.rmtree(work)


def _update_manifest(repository: Repository, root: str, version: str, series: PatchSeries) -> None:
    data = tomllib.loads((series.folder / "series.toml").read_text(encoding="utf-8"))
    if name := data.get("manifest"):
        files = changed_files(series, version)
        with tempfile.TemporaryDirectory(prefix="neve-manifest-") as pristine:
            checkout(repository, root, set(files), Path(pristine))
            Manifest.of(Path(pristine), files).write(series.folder / name)


def _replace(staged: Path, folder: Path) -> None:
    """Make the files in `folder` those of `staged`; only what differs is written."""
    wanted, present = _files(staged), _files(folder)
    for name in present:
        if name not in wanted:
            (folder / name).unlink()
    for name in wanted:
        if name not in present or not filecmp.cmp(staged / name, folder / name, shallow=False):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(staged / name, folder / name)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _files(folder: Path) -> Sequence[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
