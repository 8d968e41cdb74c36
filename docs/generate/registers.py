# SPDX-License-Identifier: MIT
"""The tables of registers and instructions that patches, traps and reports are made from."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from docs.generate.tables import code, table
from harness.model import registers
from harness.model.operations import Operation, load
from harness.paths import KERNEL_PATCHES

_NEVE = {
    "memory": "memory",
    "memory-read-trap-write": "memory; writes trap",
    "twin": "EL1 register",
    "trap": "trap",
    None: "",
}


def architecture() -> str:
    """kernel-patches/registers.toml: what FEAT_NV traps, and what FEAT_NV2 redirects and to where.
    Those that neither has to do with are counted only."""
    tables = registers.tables()
    parts = []
    for kind in ("registers", "instructions"):
        rows = [
            (code(name), code(_encoding(entry)), *_fates(entry))
            for name, entry in tables[kind].items()
            if entry.keys() - {"enc"}
        ]
        rest = len(tables[kind]) - len(rows)
        parts.append(f"### {kind.capitalize()}\n")
        parts.append(table(["name", "encoding", "FEAT_NV", "FEAT_NV2", "NEVE (paper)"], rows))
        parts.append(f"{rest} other {kind} are in the table for their encoding alone.\n")
    return "\n".join(parts)


def _encoding(entry: Mapping[str, Any]) -> str:
    op0, op1, crn, crm, op2 = entry["enc"]
    return f"S{op0}_{op1}_C{crn}_C{crm}_{op2}"


def _fates(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    nv = "trap" if entry.get("nv") else ""
    if entry.get("nv2"):
        nv2 = "trap"
    elif "vncr" in entry:
        nv2 = f"memory, {entry['vncr']:#05x}"
    else:
        nv2 = entry.get("twin", "")
    return nv, nv2, entry.get("neve_twin", "")


def operations(track: str) -> str:
    """The operations of virtual EL2 on `track`, by their number, and what becomes of each."""
    tables = load(KERNEL_PATCHES / track)
    e2h = {item.name: item for item in tables["with_e2h"]}
    rows = [_row(item, e2h[item.name]) for item in chain(tables["operations"], tables["natives"])]
    head = ["number", "name", "ARMv8.3", "NEVE", "FEAT_NV2", "page", "with E2H=1"]
    return table(head, rows)


def _row(item: Operation, e2h: Operation) -> tuple[str, ...]:
    return (
        str(item.number or ""),
        code(item.name),
        _v83(item),
        _NEVE[item.neve],
        _NEVE[item.nv2],
        f"{item.page:#05x}" if item.page is not None else "",
        f"{_v83(e2h)}; {_NEVE[e2h.neve] or 'not redirected'}; {_NEVE[e2h.nv2] or 'not redirected'}"
        if e2h.changed
        else "",
    )


def _v83(item: Operation) -> str:
    return f"{item.v83} ({item.by})" if item.by else item.v83
