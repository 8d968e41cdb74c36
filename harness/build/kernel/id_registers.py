# SPDX-License-Identifier: MIT
"""What a VM finds in its identification registers: a track's `id-registers.toml`.

Templates of the track see them as `id_registers`, the hostile guest has them as a table.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.model import registers

_WIDTH = 4  # of every field
_ONES = 2**_WIDTH - 1


@dataclass(frozen=True)
class IdRegister:
    """Limits of an identification register, field by field.

    `limit` holds in each field the highest value that a VM finds, `limit_el2` the same for a VM
    with a virtual EL2; `signed` has ones in the fields whose highest value says "not there".
    """

    name: str
    enc: tuple[int, ...]
    limit: int
    limit_el2: int
    signed: int


def load(folder: Path) -> list[IdRegister]:
    """Those of the series in `folder`, in the order of their encodings; none where it has no file.

    Raises UserError naming a register or field that can't be.
    """
    file = folder / "id-registers.toml"
    if not file.exists():
        return []
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    found = [_register(name, fields) for name, fields in data.items()]
    return sorted(found, key=lambda register: register.enc)


def _register(name: str, fields: Mapping[str, Mapping[str, Any]]) -> IdRegister:
    known = registers.tables()["registers"].get(name)
    if known is None:
        raise UserError(f"id-registers.toml: {name} is unknown to the architecture's table")
    limit = limit_el2 = signed = taken = 0
    for field, row in fields.items():
        lsb, highest = row["lsb"], row["max"]
        highest_el2 = row.get("el2", highest)
        if lsb % _WIDTH or not 0 <= lsb < 64 or taken & _ONES << lsb:
            raise UserError(f"id-registers.toml: {name}.{field} has no place of its own")
        if not (0 <= highest <= _ONES and 0 <= highest_el2 <= _ONES):
            raise UserError(f"id-registers.toml: {name}.{field} has limits that can't be")
        taken |= _ONES << lsb
        limit |= highest << lsb
        limit_el2 |= highest_el2 << lsb
        signed |= _ONES << lsb if row.get("signed") else 0
    return IdRegister(name, tuple(known["enc"]), limit, limit_el2, signed)
