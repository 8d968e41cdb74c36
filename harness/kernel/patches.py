# SPDX-License-Identifier: MIT
"""Patch series: files in git's own form, templates of jinja2 where a parameter or a table decides.

`kernel-patches/<track>/series.toml` names the patches in order, with the versions and variants
that each is for, and the parameters with their allowed values. `NNNN-name.patch` is a mail without
its envelope: `Subject:`, message, `---`, diff. `files/` holds new files by their path in the
kernel tree; each is added by the patch whose `adds` names it. What is rendered is named `….j2`.
"""

import difflib
import io
import tomllib
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
from harness.kernel.version import ALL_VERSIONS, VersionRange

Value = bool | str
TEMPLATE = ".j2"
FILES = "files"


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
    """A rendered patch: `stored`, its own file with message and diff, and the contents of the
    files that it `adds`, by path; none is empty."""

    name: str
    stored: str
    adds: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The message, and the whole diff below it."""
        return self.stored + "".join(_new_file(*item) for item in self.adds.items())

    @property
    def slug(self) -> str:
        """What the patch is called wherever it is in the series."""
        return slug_of(self.name)

    @property
    def head(self) -> str:
        """The message as it is stored, without the line that ends it."""
        return self.stored.partition("\n---\n")[0] + "\n"

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


@dataclass(frozen=True)
class Entry:
    """A patch of the series by its name, the versions and parameters that it is for, and the new
    files that it adds."""

    name: str
    versions: VersionRange = ALL_VERSIONS
    adds: tuple[str, ...] = ()
    when: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Entry":
        return cls(data["name"], VersionRange.of(data), tuple(data.get("adds", ())),
                   data.get("when", {}))

    @property
    def file(self) -> str:
        """Where it lies in the folder of the series, but for the suffix of a template."""
        return f"{self.name}.patch"

    def belongs(self, version: str, values: Mapping[str, Value]) -> bool:
        """Whether it is for Linux `version` with the series' parameters at `values`."""
        return version in self.versions and self.when.items() <= values.items()


@dataclass(frozen=True)
class Series:
    """The patches of a track, not rendered yet."""

    folder: Path
    entries: tuple[Entry, ...]
    parameters: tuple[Parameter, ...]

    @classmethod
    def load(cls, folder: Path) -> "Series":
        """That of the series.toml in `folder`."""
        return cls.of(folder, tomllib.loads((folder / "series.toml").read_text(encoding="utf-8")))

    @classmethod
    def of(cls, folder: Path, data: Mapping[str, Any]) -> "Series":
        """From the keys `patches` and `parameters` of a series.toml in `folder`.

        Raises UserError if a file below `files/` is added by no patch, or by two, or if two patches
        have the same name but for their numbers.
        """
        entries = tuple(Entry.of(item) for item in data.get("patches", ()))
        files = folder / FILES
        present = sorted(
            str(path.relative_to(files)).removesuffix(TEMPLATE)
            for path in files.rglob("*") if path.is_file()
        )
        added = sorted(name for entry in entries for name in entry.adds)
        if present != added:
            odd = ", ".join(sorted(set(present) ^ set(added))) or "a file twice"
            raise UserError(f"{folder.name}: files/ and what the patches add differ: {odd}")
        slugs = [slug_of(entry.name) for entry in entries]
        if twice := sorted({slug for slug in slugs if slugs.count(slug) > 1}):
            raise UserError(f"{folder.name}: series.toml has two patches named {', '.join(twice)}")
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

    def stored(self, file: str) -> Path:
        """`file` of the series, "0001-name.patch" or "files/…", or the template that it is made of.

        Raises UserError if there is neither.
        """
        for path in (self.folder / file, self.folder / f"{file}{TEMPLATE}"):
            if path.exists():
                return path
        raise UserError(f"{self.folder}: series.toml names {file}, but there is no such file")

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

        def text(file: str) -> str:
            path = self.stored(file)
            if path.suffix != TEMPLATE:
                return path.read_text(encoding="utf-8")
            return environment.get_template(f"{file}{TEMPLATE}").render(context)

        try:
            patches = [
                Patch(entry.name, text(entry.file), {
                    name: new for name in entry.adds if (new := text(f"{FILES}/{name}")).strip()})
                for entry in self.entries if entry.belongs(version, values)
            ]
        except jinja2.TemplateError as error:
            raise UserError(f"{self.folder.name}: a template does not render: {error}") from error
        return [patch for patch in patches if patch.stored.strip()]


def slug_of(name: str) -> str:
    """A patch's name without its number."""
    return name.partition("-")[2]


def _new_file(name: str, text: str) -> str:
    """The diff that adds a file."""
    lines = list(io.StringIO(text))
    diff = "".join(difflib.unified_diff([], lines, "/dev/null", f"b/{name}"))
    end = "" if text.endswith("\n") else "\n\\ No newline at end of file\n"
    return f"diff --git a/{name} b/{name}\nnew file mode 100644\n{diff}{end}"
