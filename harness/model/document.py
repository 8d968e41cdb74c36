# SPDX-License-Identifier: MIT
"""YAML that people write: read strictly, with errors in plain words.

What the versions of YAML read differently is refused: a plain `0100` is 64 in YAML 1.1 and 100 in
1.2, `1:40` is 100 or text, `yes` is true or text, and a date is a date or text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails
from pydantic_core.core_schema import no_info_after_validator_function

from harness.errors import UserError

_DEEPEST = 20
_TAG = "tag:yaml.org,2002:"
# What both versions of YAML read alike, by tag, and what to write.
_CLEAR = {
    "int": (re.compile(r"0|-?[1-9]\d{0,18}"), "write a plain decimal number, or quote it as text"),
    "float": (
        re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][-+]\d+)?|-?\.(inf|nan)"),
        "write a plain decimal number, or quote it as text",
    ),
    "bool": (re.compile("true|false", re.I), "write true or false, or quote it as text"),
    "timestamp": (re.compile(r"(?!)"), "quote it"),
}


class Model(BaseModel):
    """What YAML describes: frozen, and no key goes unnoticed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# Text is never taken for a number, nor a truth value for 1.
Integer = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]


@dataclass(frozen=True)
class Form:
    """Text that `pattern` matches as a whole; `words` say so in an error."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, inner: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(inner), "pattern": f"^({self.pattern})$"}

    def _check(self, text: str) -> str:
        if re.fullmatch(self.pattern, text, re.ASCII) is None:
            raise ValueError(f"{shown(text)} is not {self.words}")
        return text


# What is neither empty nor of several lines, and neither begins nor ends with a blank.
ONE_LINE = r"[^\s\x00-\x1f]([^\x00-\x1f]*[^\s\x00-\x1f])?"


class NoFileError(UserError):
    """There is no file of that name. Exit code 2."""


class _Misread(yaml.constructor.ConstructorError):
    """What is YAML, but not as it was meant."""

    def __init__(self, problem: str, node: yaml.Node) -> None:
        super().__init__(None, None, problem, node.start_mark)


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > _DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "nested too deeply", mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        known: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag not in (
                f"{_TAG}str",
                f"{_TAG}merge",
            ):
                raise _Misread("a key is a word; quote it if it looks like something else", key)
            if key.value in known:
                first = known[key.value].start_mark.line + 1
                raise _Misread(f"{key.value} is listed twice, first in line {first}", key)
            known[key.value] = key
        return super().construct_mapping(node, deep)

    def clear(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.removeprefix(_TAG)
        pattern, advice = _CLEAR[kind]
        if pattern.fullmatch(node.value) is None:
            raise _Misread(
                f"{shown(node.value)} means different things in different versions of YAML: "
                f"{advice}",
                node,
            )
        return getattr(self, f"construct_yaml_{kind}")(node)

    def unknown(self, node: yaml.Node) -> None:
        raise _Misread(f"the tag {node.tag} is not known here", node)

    def text(self, node: yaml.ScalarNode) -> str:
        if re.search("[\0\ud800-\udfff]", node.value):
            raise _Misread("text with a NUL or half a character", node)
        return str(node.value)


for _kind in _CLEAR:
    _Loader.add_constructor(f"{_TAG}{_kind}", _Loader.clear)
_Loader.add_constructor(f"{_TAG}str", _Loader.text)
_Loader.add_constructor(None, _Loader.unknown)


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The mapping in the file at `path`, which is `what`. Raises UserError with one line,
    NoFileError if there is none."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except FileNotFoundError as error:
        raise NoFileError(f"{path}: no such {what.rsplit(maxsplit=1)[-1]}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8") from error
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        sort = "" if isinstance(error, _Misread) else "is not YAML: "
        raise UserError(f"{path}{line}: {sort}{error.problem}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, Mapping):
        raise UserError(f"{path}: {what} is a mapping of keys to values")
    return dict(data)


_PHRASES = {
    "missing": "is missing",
    "extra_forbidden": "unknown key",
    "too_short": "must have an entry",
    "string_too_short": "is empty",
    "greater_than_equal": "must be at least {ge}, not {input}",
    "greater_than": "must be more than {gt}, not {input}",
    "less_than_equal": "must be at most {le}, not {input}",
    "too_long": "must have no more than {max_length} entries",
    "enum": "unknown value {input}, expected {expected}",
    "literal_error": "expected {expected}, not {input}",
    "union_tag_invalid": "kind: unknown value {tag!r}, expected {expected_tags}",
}
# By the part of pydantic's error types before the first underscore.
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "tuple": "a list",
    "model": "a mapping of keys to values",
    "dict": "a mapping of keys to values",
}


def complaints(error: ValidationError) -> str:
    """What is wrong, in one line. What only follows from another mistake is left out."""
    items = error.errors(include_url=False)
    places = [item["loc"] for item in items]
    return "; ".join(
        _phrase(item)
        for item in items
        if item["type"] != "too_short"
        or not any(
            len(place) > len(item["loc"]) and place[: len(item["loc"])] == item["loc"]
            for place in places
        )
    )


def _phrase(item: ErrorDetails) -> str:
    where = ".".join(str(part) for part in item["loc"] if part not in ("tcg", "ssh"))
    given, kind = item["input"], item["type"]
    if kind in _PHRASES:
        message = _PHRASES[kind].format(**{**item.get("ctx", {}), "input": shown(given)})
    elif (expected := _KINDS.get(kind.partition("_")[0])) is not None:
        message = f"expected {expected}, not {shown(given)}"
        if kind == "string_type" and isinstance(given, int | float):
            message += ": quote it"
    else:
        message = item["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def shown(value: Any) -> str:
    """`value` as an error shows it, on a line and not too long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping | list | tuple):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
