# SPDX-License-Identifier: MIT
"""JSON Schemas of the files that people write and that a run leaves, made from the models.

`schemas/` has them as files, for editors and other programs; a test compares both.
"""

import ast
import inspect
import json
import textwrap
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema

from harness.model.cell import CellRecord
from harness.model.defaults import Defaults
from harness.model.inventory import Inventory
from harness.model.metadata import Metadata
from harness.model.playbook import Playbook

_MODELS: dict[str, tuple[TypeAdapter[Any], JsonSchemaMode]] = {
    "playbook": (TypeAdapter(Playbook), "validation"),
    "inventory": (TypeAdapter(Inventory), "validation"),
    "config": (TypeAdapter(Defaults), "validation"),
    "metadata": (TypeAdapter(Metadata), "validation"),
    "cell": (TypeAdapter(CellRecord), "serialization"),  # which always has every key
}
NAMES = tuple(_MODELS)


class _Generator(GenerateJsonSchema):
    """Without a title for each field, which only repeats its name, and with its docstring.

    pydantic can read docstrings when it makes a class, but that takes long, and who reads a
    playbook does not need them.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        properties = made.get("properties", {})
        for name, text in _docstrings(schema["cls"]).items():
            if name in properties:
                properties[name].setdefault("description", text)
        return made


def _docstrings(cls: type) -> dict[str, str]:
    """{field: the string below it} of a class."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    return {
        field.target.id: string.value.value
        for field, string in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(string, ast.Expr)
        and isinstance(string.value, ast.Constant)
        and isinstance(string.value.value, str)
    }


def schema(name: str) -> dict[str, Any]:
    """The schema of a playbook, an inventory, a user's defaults, metadata.json, or a line of
    cells.jsonl."""
    model, mode = _MODELS[name]
    return {
        "$schema": _Generator.schema_dialect,
        "$comment": "SPDX-License-Identifier: MIT",
        **_joined(model.json_schema(mode=mode, schema_generator=_Generator)),
    }


def text(name: str) -> str:
    """The schema as a file."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def _joined(part: Any) -> Any:
    """With each description on a line of its own, as docstrings are not."""
    if isinstance(part, dict):
        return {
            key: " ".join(value.split())
            if key == "description" and isinstance(value, str)
            else _joined(value)
            for key, value in part.items()
        }
    return [_joined(each) for each in part] if isinstance(part, list) else part
