# SPDX-License-Identifier: MIT
"""A copy of a series into which commits are written."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.build.kernel import message
from harness.build.kernel.commits import Commit, alike
from harness.build.kernel.entries import rewrite
from harness.build.kernel.merge import merged
from harness.build.kernel.patches import Patch
from harness.build.kernel.repository import sections
from harness.errors import UserError
from harness.model.series import FILES, PatchEntry, PatchSeries, slug_of


@dataclass(frozen=True)
class Saved:
    """What became of a series: the patches that are changed, new and removed, by name, and the new
    names of others."""

    changed: Sequence[str]
    added: Sequence[str]
    removed: Sequence[str]
    renamed: Mapping[str, str]

    def __str__(self) -> str:
        lines = [
            f"{what} {name}"
            for what, names in (
                ("changed", self.changed),
                ("new", self.added),
                ("removed", self.removed),
            )
            for name in names
        ]
        lines += [f"renamed {old} to {new}" for old, new in self.renamed.items()]
        return "\n".join(lines) or "nothing changed"


class Staging:
    """`folder`, a copy of `series`, whose `patches` are the commits `before`.

    Unless `exact`, hunks that only moved are no change.
    """

    def __init__(
        self,
        series: PatchSeries,
        patches: Sequence[Patch],
        before: Sequence[Commit],
        folder: Path,
        *,
        exact: bool,
    ) -> None:
        self._series = series
        self._folder = folder
        self._exact = exact
        self._entries = {slug_of(entry.name): entry for entry in series.entries}
        self._old = {
            patch.slug: (patch, commit) for patch, commit in zip(patches, before, strict=True)
        }
        self._contents = {path: text for patch in patches for path, text in patch.adds.items()}

    def write(self, commits: Sequence[Commit]) -> Saved:
        """Make the copy the series of `commits`. Raises UserError naming what can't be merged."""
        by_slug = dict(zip(self._slugs(commits), commits, strict=True))
        order = self._order(list(by_slug))
        names = {slug: f"{number:04d}-{slug}" for number, slug in enumerate(order, start=1)}
        changed = [slug for slug, commit in by_slug.items() if self._changed(slug, commit)]
        self._write_files(by_slug, changed)
        texts = {
            slug: self._text(slug, by_slug[slug]) if slug in changed else None for slug in order
        }
        for entry in self._entries.values():
            self._staged(entry.file).unlink()
        for slug, text in texts.items():
            self._write_patch(slug, names[slug], text)
        listed = [self._entry(slug, names[slug], by_slug.get(slug)) for slug in order]
        toml = self._folder / "series.toml"
        toml.write_text(rewrite(toml.read_text(encoding="utf-8"), listed), encoding="utf-8")
        return Saved(
            [names[slug] for slug in changed if slug in self._old],
            [names[slug] for slug in changed if slug not in self._old],
            [patch.name for slug, (patch, _) in self._old.items() if slug not in by_slug],
            {old: new.name for old, new in listed if old and old != new.name},
        )

    def _slugs(self, commits: Sequence[Commit]) -> list[str]:
        """Which patch each commit is: by its trailer, by its subject, or a new one."""
        taken: dict[int, str] = {}
        for n, commit in enumerate(commits):
            if commit.slug in self._old and commit.slug not in taken.values():
                taken[n] = commit.slug
        for n, commit in enumerate(commits):
            if n not in taken:
                wanted = commit.slug or message.slug(message.plain(commit.head))
                taken[n] = self._new_slug(wanted, taken.values())
        return [taken[n] for n in range(len(commits))]

    def _new_slug(self, wanted: str, taken: Iterable[str]) -> str:
        used = {*taken, *(self._entries.keys() - self._old.keys())}
        number, slug = 1, wanted
        while slug in used:
            number += 1
            slug = f"{wanted}-{number}"
        return slug

    def _order(self, slugs: list[str]) -> list[str]:
        """`slugs`, with the patches of other versions and variants behind those that they were
        behind."""
        order, last = list(slugs), -1
        for slug in self._entries:
            if slug in self._old:
                last = order.index(slug) if slug in order else last
            else:
                last += 1
                order.insert(last, slug)
        return order

    def _changed(self, slug: str, commit: Commit) -> bool:
        return slug not in self._old or not commit.same(self._old[slug][1], exact=self._exact)

    def _staged(self, file: str) -> Path:
        return self._folder / self._series.stored(file).relative_to(self._series.folder)

    def _text(self, slug: str, commit: Commit) -> str:
        """What the file of a changed or new patch says."""
        if slug not in self._old:
            return f"{commit.head}---\n{''.join(commit.changes.values())}"
        patch, old = self._old[slug]
        stored = sections(patch.stored)
        parts = [
            stored[path]
            if path in stored
            and path in old.changes
            and alike(old.changes[path], part, exact=self._exact)
            else part
            for path, part in commit.changes.items()
        ]
        head = patch.head if commit.head == old.head else commit.head
        path = self._series.stored(self._entries[slug].file)
        return merged(
            path.read_text(encoding="utf-8"),
            patch.stored,
            f"{head}---\n{''.join(parts)}",
            str(path),
            commit.name,
        )

    def _write_patch(self, slug: str, name: str, text: str | None) -> None:
        """The file of a patch; its own one where `text` is None."""
        if slug not in self._entries:
            (self._folder / f"{name}.patch").write_text(text or "", encoding="utf-8")
            return
        source = self._series.stored(self._entries[slug].file)
        target = self._folder / source.name.replace(self._entries[slug].name, name, 1)
        if text is None:
            shutil.copyfile(source, target)
        else:
            target.write_text(text, encoding="utf-8")

    def _write_files(self, commits: Mapping[str, Commit], changed: Sequence[str]) -> None:
        """The new files of the series, each with what its commit has."""
        added: dict[str, str] = {}
        for slug, commit in commits.items():
            listed = self._entries[slug].adds if slug in self._entries else ()
            for path, text in commit.adds.items():
                if path in added:
                    raise UserError(f"{commit.name} adds {path}, as another commit does")
                if slug in changed or path in listed:
                    added[path] = text
                    self._write_file(path, text, commit.name)
        for path in self._contents.keys() - added.keys():
            self._staged(f"{FILES}/{path}").unlink()

    def _write_file(self, path: str, text: str, what: str) -> None:
        file = f"{FILES}/{path}"
        if not any(path in entry.adds for entry in self._entries.values()):
            (self._folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / file).write_text(text, encoding="utf-8")
        elif text != (before := self._contents.get(path, "")):
            source = self._series.stored(file)
            new = merged(source.read_text(encoding="utf-8"), before, text, str(source), what)
            self._staged(file).write_text(new, encoding="utf-8")

    def _entry(self, slug: str, name: str, commit: Commit | None) -> tuple[str | None, PatchEntry]:
        """The entry's name as it was, if it was, and what it is now."""
        old = self._entries.get(slug)
        if commit is None and old is not None:
            return old.name, replace(old, name=name)
        listed = old.adds if old else ()
        new = commit.adds if commit else {}
        # What renders empty here is not part of this variant's commits.
        kept = [path for path in listed if path in new or path not in self._contents]
        adds = (*kept, *(path for path in new if path not in listed))
        return (
            (old.name, replace(old, name=name, adds=adds))
            if old
            else (None, PatchEntry(name, adds=adds))
        )
