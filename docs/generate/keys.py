# SPDX-License-Identifier: MIT
"""Every key of a file that people write or that a run leaves, from its JSON Schema."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docs.generate.tables import code, table
from harness.model.schema import schema

_Part = Mapping[str, Any]
_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true`, `false`",
    "object": "mapping",
    "array": "list",
    "null": "nothing",
}
# What else a class of the models would be called.
_TITLES = {
    "TcgHostSpec": "hosts: an emulated machine",
    "SshHostSpec": "hosts: a server",
    "SudoPassword": "sudo",
    "SpecJvm": "specjvm",
    "Payload": "payload",
}
_FORMATS = {"path": "path", "date-time": "time"}


def keys(name: str) -> str:
    """A section for the file itself, and one for each mapping in it. `name` is as for
    `neve schema`."""
    return "\n".join(_section(title, part, name) for title, part in sections(name))


def sections(name: str) -> list[tuple[str, _Part]]:
    """(title, schema) of each mapping with keys of its own: the whole, without a title, first."""
    found = schema(name)
    return [("", found), *((key, part) for key, part in _mappings(found))]


def _mappings(found: _Part) -> Iterator[tuple[str, _Part]]:
    for key, part in found.get("$defs", {}).items():
        if "properties" in part:
            yield key, part


def _section(title: str, part: _Part, name: str) -> str:
    required = part.get("required", ())
    rows = [
        (
            code(key),
            _values(value, name),
            _default(value, key in required),
            _escaped(value.get("description", "")),
        )
        for key, value in part["properties"].items()
    ]
    head = f"({anchor(name, title)})=\n### {_TITLES.get(title, title)}\n\n" if title else ""
    said = f"{_escaped(part['description'])}\n\n" if title and "description" in part else ""
    return head + said + table(["key", "value", "default", "meaning"], rows)


def anchor(name: str, title: str) -> str:
    """Of a mapping's section, for links."""
    return f"keys-{name}-{title}".lower()


def _default(value: _Part, required: bool) -> str:
    if required:
        return "required"
    default = value.get("default")
    if default in (None, "", [], {}) or isinstance(default, list | dict):
        return ""
    return code(json.dumps(default, ensure_ascii=False).strip('"'))


def _values(value: _Part, name: str) -> str:
    """What may stand there."""
    if "anyOf" in value or "oneOf" in value:
        kinds = [_values(each, name) for each in value.get("anyOf") or value["oneOf"]]
        return ", or ".join(dict.fromkeys(kind for kind in kinds if kind != "nothing"))
    if "$ref" in value:
        return _referred(value["$ref"].rpartition("/")[2], name)
    if "const" in value or "enum" in value:
        return ", ".join(code(str(each)) for each in value.get("enum", [value.get("const")]))
    kind = _FORMATS.get(value.get("format", ""), _TYPES[value.get("type", "object")])
    if value.get("type") == "array" and "items" in value:
        return f"list of: {_values(value['items'], name)}"
    if value.get("type") == "object" and isinstance(value.get("additionalProperties"), dict):
        named = value.get("propertyNames")
        by = f"{_values(named, name)}: " if named else ""
        return f"mapping: {by}{_values(value['additionalProperties'], name)}"
    return kind + _limits(value)


def _referred(title: str, name: str) -> str:
    part = schema(name)["$defs"][title]
    if "properties" in part:
        return f"[{_TITLES.get(title, title)}](#{anchor(name, title)})"
    return _values(part, name)


def _limits(value: _Part) -> str:
    low, high = value.get("minimum"), value.get("maximum")
    above = value.get("exclusiveMinimum")
    if low is not None and high is not None:
        return f", {low:g} to {high:g}"
    if above is not None:
        return f" above {above:g}" + (f", up to {high:g}" if high is not None else "")
    return f" from {low:g}" if low is not None else ""


def _escaped(text: str) -> str:
    return text.replace("<", r"\<").replace("$", r"\$").replace("*", r"\*")
