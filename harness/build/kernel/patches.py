# SPDX-License-Identifier: MIT
"""Rendered patches: files in git's own form, templates of jinja2 where a table decides.

`NNNN-name.patch` is a mail without its envelope: `Subject:`, message, `---`, diff. `files/` holds
new files by their path in the kernel tree; each is added by the patch whose `adds` names it. What
is rendered is named `….j2`.
"""

import difflib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.build.kernel import id_registers
from harness.errors import UserError
from harness.model import operations
from harness.model.series import FILES, TEMPLATE, ParameterValue, PatchSeries, slug_of

if TYPE_CHECKING:
    from unidiff.patch import PatchSet


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
    def _diff(self) -> "PatchSet":
        from unidiff.errors import UnidiffParseError
        from unidiff.patch import PatchSet

        try:
            return PatchSet(self.text)
        except UnidiffParseError as error:
            raise UserError(f"{self.name} is not a patch: {error}") from error


def render(series: PatchSeries, version: str, values: Mapping[str, ParameterValue]) -> list[Patch]:
    """The patches for Linux `version`, in order; templates that render empty are left out.

    Raises UserError on a template that does not render.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(series.folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        comment_start_string="{##",
        comment_end_string="##}",
    )
    environment.filters["tabbed"] = operations.tabbed
    context = {
        **values,
        "version": version,
        **operations.load(series.folder),
        "id_registers": id_registers.load(series.folder),
    }

    def text(file: str) -> str:
        path = series.stored(file)
        if path.suffix != TEMPLATE:
            return path.read_text(encoding="utf-8")
        return environment.get_template(f"{file}{TEMPLATE}").render(context)

    try:
        patches = [
            Patch(
                entry.name,
                text(entry.file),
                {name: new for name in entry.adds if (new := text(f"{FILES}/{name}")).strip()},
            )
            for entry in series.entries
            if entry.belongs(version, values)
        ]
    except jinja2.TemplateError as error:
        raise UserError(f"{series.folder.name}: a template does not render: {error}") from error
    return [patch for patch in patches if patch.stored.strip()]


def changed_files(series: PatchSeries, version: str) -> list[str]:
    """The files of the release that some variant changes; not those that it adds."""
    changed: set[str] = set()
    for values in series.variants():
        added: set[str] = set()
        for patch in render(series, version, values):
            changed |= set(patch.changed_files) - added
            added |= set(patch.files) - set(patch.changed_files)
    return sorted(changed)


def _new_file(name: str, text: str) -> str:
    """The diff that adds a file."""
    lines = list(io.StringIO(text))
    diff = "".join(difflib.unified_diff([], lines, "/dev/null", f"b/{name}"))
    end = "" if text.endswith("\n") else "\n\\ No newline at end of file\n"
    return f"diff --git a/{name} b/{name}\nnew file mode 100644\n{diff}{end}"
