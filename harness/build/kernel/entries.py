# SPDX-License-Identifier: MIT
"""The list of patches in a series.toml, rewritten in place: comments and form stay as they are."""

import re
from collections.abc import Sequence

from harness.errors import UserError
from harness.model.series import PatchEntry

_LIST = re.compile(r"(?<=^patches = \[\n)(.*?)(?=^\]$)", re.M | re.S)
_ENTRY = re.compile(
    r'(?:^ *#[^\n]*\n)*^ *\{ name = "(?P<name>[^"]+)".*?\},?\n(?=^ *#|^ *\{|\Z)', re.M | re.S
)
_ADDS = re.compile(r",\s*adds = \[.*?\]", re.S)


def rewrite(text: str, entries: Sequence[tuple[str | None, PatchEntry]]) -> str:
    """`text` of a series.toml with these entries, each with the name that it had, if any.

    Raises UserError if the list is not of the form `{ name = "…", … },`, one entry after another.
    """
    found = _LIST.search(text)
    known = {match["name"]: match[0] for match in _ENTRY.finditer(found[1])} if found else {}
    if found is None or "".join(known.values()) != found[1]:
        raise UserError('series.toml: the list of patches is not one of lines `{ name = "…", … },`')
    parts = [_part(known[old], old, entry) if old else _new(entry) for old, entry in entries]
    return text[: found.start()] + "".join(parts) + text[found.end() :]


def _new(entry: PatchEntry) -> str:
    return f'    {{ name = "{entry.name}"{_adds(entry)} }},\n'


def _adds(entry: PatchEntry) -> str:
    lines = "".join(f'        "{name}",\n' for name in entry.adds)
    return f", adds = [\n{lines}    ]" if lines else ""


def _part(part: str, old: str, entry: PatchEntry) -> str:
    """The entry's text as it is, with its new name and with the files that it adds now."""
    part = part.replace(f'name = "{old}"', f'name = "{entry.name}"', 1)
    listed = _ADDS.search(part)
    if tuple(re.findall(r'"([^"]+)"', listed[0]) if listed else ()) != entry.adds:
        part = re.sub(r" ?\},?\n\Z", lambda _: f"{_adds(entry)} }},\n", _ADDS.sub("", part))
    return part
