# SPDX-License-Identifier: MIT
"""Patch series as templates: rendered by jinja2, applied with fuzz 0, exported as mails.

`kernel-patches/<track>/series.toml` names the patches in order, with the versions that each
is for, and the parameters with their allowed values. A patch template is a mail without its
envelope: `Subject:`, message, `---`, diff. `files/` holds new files, templates too, by their
path in the kernel tree; each is added by the patch whose `adds` names it.
"""

import difflib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import jinja2
from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from harness.errors import UserError
from harness.kernel import id_registers, operations
from harness.kernel.version import VersionRange
from harness.process import ProcessError, require, run

Value = bool | str
_ENVELOPE = (
    "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"
    "From: NEVE harness <neve@localhost>\n"
    "Date: Thu, 1 Jan 1970 00:00:00 +0000\n"
)


@dataclass(frozen=True)
class Parameter:
    """A template parameter: a switch, or one of a few words.

    It makes a difference only `when` other parameters have these values.
    """

    name: str
    values: tuple[Value, ...]
    default: Value
    when: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, data: Mapping[str, Any]) -> "Parameter":
        values = (False, True) if data["type"] == "bool" else tuple(data["values"])
        return cls(name, values, data["default"], data.get("when", {}))

    def matters(self, values: Mapping[str, Value]) -> bool:
        """Whether another value than the default makes a difference beside `values`."""
        return self.when.items() <= values.items()

    def parse(self, text: str) -> Value:
        """The value that `text` names. Raises UserError if it is none of them."""
        for value in self.values:
            if text == (str(value).lower() if isinstance(value, bool) else value):
                return value
        allowed = ", ".join(str(value).lower() for value in self.values)
        raise UserError(f"parameter {self.name} can't be {text!r}: one of {allowed}")


@dataclass(frozen=True)
class Patch:
    """A rendered patch: the mail's subject and body, and the diff below them."""

    name: str
    text: str

    @property
    def files(self) -> list[str]:
        """Paths that the patch touches. Raises UserError if it is no diff."""
        return [file.path for file in self._diff]

    @property
    def changed_files(self) -> list[str]:
        """Paths that must be there for the patch to apply: it changes or removes them."""
        return [file.path for file in self._diff if not file.is_added_file]

    @property
    def _diff(self) -> PatchSet:
        try:
            return PatchSet(self.text)
        except UnidiffParseError as error:
            raise UserError(f"{self.name} is not a patch: {error}") from error

    def mail(self, number: int, total: int) -> str:
        """The patch as `git am` takes it."""
        text = re.sub(r"\ASubject: ", f"Subject: [PATCH {number}/{total}] ", self.text)
        # The last line may be a context line that is empty but for its blank.
        return _ENVELOPE + text.rstrip("\n") + "\n-- \nneve\n\n"


@dataclass(frozen=True)
class Entry:
    """A patch's template, the versions that it is for, and the new files that it adds."""

    template: str
    versions: VersionRange
    adds: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """The patches of a track, not rendered yet."""

    folder: Path
    entries: tuple[Entry, ...]
    parameters: tuple[Parameter, ...]

    @classmethod
    def of(cls, folder: Path, data: Mapping[str, Any]) -> "Series":
        """From the keys `patches` and `parameters` of a series.toml in `folder`.

        Raises UserError if a file below `files/` is added by no patch, or by two.
        """
        entries = tuple(
            Entry(item["file"], VersionRange.of(item), tuple(item.get("adds", ())))
            for item in data.get("patches", ())
        )
        files = folder / "files"
        present = sorted(
            str(path.relative_to(files)).removesuffix(".j2") for path in files.rglob("*.j2")
        )
        added = sorted(name for entry in entries for name in entry.adds)
        if present != added:
            odd = ", ".join(sorted(set(present) ^ set(added))) or "a file twice"
            raise UserError(f"{folder.name}: files/ and what the patches add differ: {odd}")
        parameters = data.get("parameters", {}).items()
        return cls(folder, entries, tuple(Parameter.of(name, item) for name, item in parameters))

    def values(self, chosen: Mapping[str, str]) -> dict[str, Value]:
        """Defaults, overridden by `chosen`. Raises UserError on an unknown name or value."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in chosen:
            if name not in known:
                raise UserError(
                    f"unknown parameter {name!r}: known are {', '.join(known) or 'none'}"
                )
        return {
            name: parameter.parse(chosen[name]) if name in chosen else parameter.default
            for name, parameter in known.items()
        }

    def variants(self) -> Iterator[dict[str, Value]]:
        """Every combination of parameter values that makes a difference."""
        for chosen in product(*(parameter.values for parameter in self.parameters)):
            values = {item.name: value for item, value in zip(self.parameters, chosen, strict=True)}
            if all(item.matters(values) or values[item.name] == item.default
                   for item in self.parameters):
                yield values

    def changed_files(self, version: str) -> list[str]:
        """The files of the release that some variant changes; not those that it adds."""
        changed: set[str] = set()
        for values in self.variants():
            added: set[str] = set()
            for patch in self.render(version, values):
                changed |= set(patch.changed_files) - added
                added |= set(patch.files) - set(patch.changed_files)
        return sorted(changed)

    def render(self, version: str, values: Mapping[str, Value]) -> list[Patch]:
        """The patches for Linux `version`, in order; templates that render empty are left out.

        Raises UserError on a template that does not render.
        """
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(self.folder), undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True,
            comment_start_string="{##", comment_end_string="##}",
        )
        environment.filters["tabbed"] = operations.tabbed
        context = {**values, "version": version, **operations.load(self.folder),
                   "id_registers": id_registers.load(self.folder)}
        patches = []
        try:
            for entry in self.entries:
                if version in entry.versions:
                    text = environment.get_template(entry.template).render(context)
                    for name in entry.adds:
                        new = environment.get_template(f"files/{name}.j2").render(context)
                        text += _new_file(name, new)
                    patches.append(Patch(entry.template.removesuffix(".j2"), text))
        except jinja2.TemplateError as error:
            raise UserError(f"{self.folder.name}: a template does not render: {error}") from error
        return [patch for patch in patches if patch.text.strip()]


def _new_file(name: str, text: str) -> str:
    """The diff that adds a file; none if there is nothing in it."""
    if not text.strip():
        return ""
    head = f"diff --git a/{name} b/{name}\nnew file mode 100644\n"
    return head + "".join(difflib.unified_diff(
        [], text.splitlines(keepends=True), "/dev/null", f"b/{name}"))


def switch(tree: Path, version: str, patches: list[Patch]) -> None:
    """Make `tree` the pristine source with `patches`, whatever it was patched with before.

    Only files whose contents change are written, so make rebuilds only what follows from them.
    The originals of touched files are kept beside the tree, in `pristine/`.

    Raises UserError naming the patch, file and hunk that does not apply with fuzz 0; the tree is
    unchanged then.
    """
    originals = tree.parent / "pristine"
    originals.mkdir(exist_ok=True)
    for name in {file for patch in patches for file in patch.files}:
        _keep_original(tree / name, originals / name)
    with tempfile.TemporaryDirectory(prefix=".patch-", dir=tree.parent) as temporary:
        patched = Path(temporary)
        shutil.copytree(originals, patched, dirs_exist_ok=True)
        for absent in patched.rglob("*.absent"):
            absent.unlink()
        for patch in patches:
            _apply(patch, patched, version)
        _synchronize(originals, patched, tree)


def _keep_original(file: Path, kept: Path) -> None:
    absent = kept.with_name(f"{kept.name}.absent")
    if kept.exists() or absent.exists():
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        shutil.copy2(file, kept)
    else:
        absent.touch()


def _apply(patch: Patch, folder: Path, version: str) -> None:
    try:
        run([require("patch", "patch"), "-p1", "-F0", "--no-backup-if-mismatch", "--force",
             "--reject-file=-", "-d", str(folder)], stdin=patch.text.encode())
    except ProcessError as error:
        said = " ".join(
            line for line in error.tail.splitlines()
            if re.search(r"^patching file|FAILED|can't find|malformed", line)
        )
        raise UserError(
            f"{patch.name} does not apply to Linux {version}: {said or error.tail}"
        ) from error


def _synchronize(originals: Path, patched: Path, tree: Path) -> None:
    for kept in sorted(path for path in originals.rglob("*") if path.is_file()):
        name = str(kept.relative_to(originals)).removesuffix(".absent")
        wanted, present = patched / name, tree / name
        if not wanted.exists():
            present.unlink(missing_ok=True)
        elif not present.exists() or wanted.read_bytes() != present.read_bytes():
            present.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(wanted, present)
