# SPDX-License-Identifier: MIT
"""Patch series as data: which patches there are, for what, and what can be chosen.

`kernel-patches/<track>/series.toml` names the patches in order, with the versions and variants
that each is for, and the parameters with their allowed values.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.model.version import ALL_VERSIONS, VersionRange

ParameterValue = bool | str
TEMPLATE = ".j2"
FILES = "files"


@dataclass(frozen=True)
class Parameter:
    """A template parameter: a switch, or one of a few words.

    It makes a difference only `when` other parameters have these values. `spare` says what is lost
    without a switch's patches, where a kernel is of use all the same.
    """

    name: str
    values: tuple[ParameterValue, ...]
    default: ParameterValue
    when: Mapping[str, ParameterValue] = field(default_factory=dict)
    spare: str = ""

    @classmethod
    def of(cls, name: str, data: Mapping[str, Any]) -> "Parameter":
        values = (False, True) if data["type"] == "bool" else tuple(data["values"])
        return cls(name, values, data["default"], data.get("when", {}), data.get("spare", ""))

    def matters(self, values: Mapping[str, ParameterValue]) -> bool:
        """Whether another value than the default makes a difference beside `values`."""
        return self.when.items() <= values.items()

    def parse(self, text: str) -> ParameterValue:
        """The value that `text` names. Raises UserError if it is none of them."""
        for value in self.values:
            if text == (str(value).lower() if isinstance(value, bool) else value):
                return value
        allowed = ", ".join(str(value).lower() for value in self.values)
        raise UserError(f"parameter {self.name} can't be {text!r}: one of {allowed}")


@dataclass(frozen=True)
class PatchEntry:
    """A patch of the series by its name, the versions and parameters that it is for, and the new
    files that it adds."""

    name: str
    versions: VersionRange = ALL_VERSIONS
    adds: tuple[str, ...] = ()
    when: Mapping[str, ParameterValue] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "PatchEntry":
        return cls(
            data["name"], VersionRange.of(data), tuple(data.get("adds", ())), data.get("when", {})
        )

    @property
    def file(self) -> str:
        """Where it lies in the folder of the series, but for the suffix of a template."""
        return f"{self.name}.patch"

    def belongs(self, version: str, values: Mapping[str, ParameterValue]) -> bool:
        """Whether it is for Linux `version` with the series' parameters at `values`."""
        return version in self.versions and self.when.items() <= values.items()


@dataclass(frozen=True)
class PatchSeries:
    """The patches of a track, not rendered yet."""

    folder: Path
    entries: tuple[PatchEntry, ...]
    parameters: tuple[Parameter, ...]

    @classmethod
    def load(cls, folder: Path) -> "PatchSeries":
        """That of the series.toml in `folder`."""
        return cls.of(folder, tomllib.loads((folder / "series.toml").read_text(encoding="utf-8")))

    @classmethod
    def of(cls, folder: Path, data: Mapping[str, Any]) -> "PatchSeries":
        """From the keys `patches` and `parameters` of a series.toml in `folder`.

        Raises UserError if a file below `files/` is added by no patch, or by two, or if two patches
        have the same name but for their numbers.
        """
        entries = tuple(PatchEntry.of(item) for item in data.get("patches", ()))
        files = folder / FILES
        present = sorted(
            str(path.relative_to(files)).removesuffix(TEMPLATE)
            for path in files.rglob("*")
            if path.is_file()
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

    def values(self, chosen: Mapping[str, str]) -> dict[str, ParameterValue]:
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

    def switch_of(self, patch: str) -> str | None:
        """The switch without which the patch of that name is not applied; None if it always is."""
        wanted = next((entry.when for entry in self.entries if entry.name == patch), {})
        return next((name for name, value in wanted.items() if value is True), None)

    def variants(self) -> Iterator[dict[str, ParameterValue]]:
        """Every combination of parameter values that makes a difference."""
        for chosen in product(*(parameter.values for parameter in self.parameters)):
            values = {item.name: value for item, value in zip(self.parameters, chosen, strict=True)}
            if all(
                item.matters(values) or values[item.name] == item.default
                for item in self.parameters
            ):
                yield values

    def stored(self, file: str) -> Path:
        """`file` of the series, "0001-name.patch" or "files/…", or the template that it is made of.

        Raises UserError if there is neither.
        """
        for path in (self.folder / file, self.folder / f"{file}{TEMPLATE}"):
            if path.exists():
                return path
        raise UserError(f"{self.folder}: series.toml names {file}, but there is no such file")


def slug_of(name: str) -> str:
    """A patch's name without its number."""
    return name.partition("-")[2]
