# SPDX-License-Identifier: MIT
"""The operations of virtual EL2: a track's `registers.toml`, joined with the Arm ARM's table.

Templates of the track see them as `operations`, those that have a number in its order, and
`natives`, the others.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.model import registers
from harness.paths import KERNEL_PATCHES

MAX_NUMBER = 1023  # ten bits of an HVC's immediate
_KINDS = {"registers": "reg", "instructions": "insn"}
_WITH_E2H = ("_EL12", "_EL02")  # names that there are with E2H = 1 alone
_V83 = ("hvc", "trap", "native")
# What becomes of an access, and how a report says it.
_CLASSES = {
    "memory": "memory",
    "memory-read-trap-write": "memory (reads)",
    "twin": "EL1 register",
    "trap": "trap",
}


@dataclass(frozen=True)
class Operation:
    """A register or an instruction that a guest hypervisor uses.

    `number` is None where nothing stands for it; `enc` is (Op0, Op1, CRn, CRm, Op2); `asm` the
    assembler's spelling; `v83` and `neve` what becomes of it under ARMv8.3 and NEVE; `by` the
    control that traps it; `vncr` its offset in the FEAT_NV2 page, in bytes; `page` that in ours,
    which has a few more; `twin` the sysreg of the EL1 register that NEVE takes for it;
    `nv2` what becomes of it under FEAT_NV2, by the architecture's table; `e2h` the register that
    the name stands for with E2H = 1, `changed` whether that changes the classes.
    """

    name: str
    number: int | None
    enc: tuple[int, ...]
    kind: str
    asm: str
    v83: str
    neve: str | None
    by: str | None
    vncr: int | None
    page: int | None
    twin: int | None
    nv2: str | None = None
    e2h: str | None = None
    changed: bool = False

    @property
    def sysreg(self) -> int:
        """`enc` as the kernel's sys_reg() packs it; 0 for ERET, which has none."""
        return _packed(self.enc)


def load(folder: Path) -> dict[str, list[Operation]]:
    """The tables for the templates of the series in `folder`; empty where it has none.

    `with_e2h` are all of them as a guest hypervisor with E2H = 1 has them.

    Raises UserError naming an entry that contradicts the architecture's table.
    """
    file = folder / "registers.toml"
    if not file.exists():
        return {}
    ours = tomllib.loads(file.read_text(encoding="utf-8"))
    architecture = registers.tables()
    found = [
        _operation(name, row, architecture[section], kind)
        for section, kind in _KINDS.items()
        for name, row in ours[section].items()
    ]
    numbered = sorted((item for item in found if item.number), key=lambda item: item.number or 0)
    numbers = [item.number for item in numbered]
    if numbers != list(range(1, len(numbers) + 1)) or len(numbers) > MAX_NUMBER:
        raise UserError(f"{file}: the numbers of the operations are not 1, 2, …")
    natives = [item for item in found if not item.number]
    rows = {name.upper(): row for section in _KINDS for name, row in ours[section].items()}
    by_name = {item.name: item for item in found}
    with_e2h = [_with_e2h(item, rows[item.name], by_name) for item in (*numbered, *natives)]
    return {"operations": numbered, "natives": natives, "with_e2h": with_e2h}


@cache
def by_number() -> dict[int, Operation]:
    """What an HVC stands for on track v4.10."""
    numbered = load(KERNEL_PATCHES / "v4.10").get("operations", [])
    return {item.number: item for item in numbered if item.number}


@cache
def redirections(track: str, *, e2h: bool, nv2: bool = False) -> Mapping[str, str]:
    """{register or instruction: what NEVE, or `nv2`, makes of its accesses on `track`, by a guest
    hypervisor with or without E2H}.

    "memory", "memory (reads)", "EL1 register" or "trap": by the track's own table, else by the
    architecture's for FEAT_NV2.
    """
    tables = load(KERNEL_PATCHES / track)
    if tables:
        both = tables["with_e2h"] if e2h else chain(tables["operations"], tables["natives"])
        found = {item.name: item.nv2 if nv2 else item.neve for item in both}
    else:
        names = chain(["ERET"], *registers.tables().values())
        found = {name: _redirection(name, e2h) for name in names}
    return {name: _CLASSES[kind] for name, kind in found.items() if kind}


def _redirection(name: str, e2h: bool) -> str:
    """What FEAT_NV2 makes of accesses that trap without it (Arm ARM, D8.14 and the registers'
    pseudocode).

    HCR_EL2.NV1, the inverse of the guest hypervisor's E2H, decides between an EL1 or EL0 name
    and its alias. A name that HCR_EL2.NV alone does not trap, and that has no alias, is in the
    page; but where it traps at all, a control of its own does that (MDSCR_EL1: MDCR_EL2.TDA),
    which comes before the redirection.
    """
    table = registers.tables()["registers"]
    entry = table.get(name, {})
    if "twin" in entry:
        return "twin"
    if "vncr" not in entry:
        return "trap"
    if name.endswith(_WITH_E2H):
        return "memory" if e2h else "trap"
    aliases = (f"{name.removesuffix('_EL1')}_EL12", f"{name.removesuffix('_EL0')}_EL02")
    if any(alias in table for alias in aliases):
        return "trap" if e2h else "memory"
    return "memory" if entry.get("nv") else "trap"


def _packed(encoding: Sequence[int]) -> int:
    op0, op1, crn, crm, op2 = encoding
    return op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5


def _with_e2h(
    item: Operation, row: Mapping[str, Any], by_name: Mapping[str, Operation]
) -> Operation:
    """`item` for a guest hypervisor with E2H = 1, to whom a name of EL1 is a register of EL2."""
    v83 = row.get("vhe", item.v83)
    neve = row.get("neve_vhe", None if v83 == "native" else item.neve)
    page = by_name[item.e2h].page if item.e2h else item.page
    neve = None if neve == "native" else neve
    nv2 = _nv2(item.name, row, v83, e2h=True)
    changed = (v83, neve, nv2) != (item.v83, item.neve, item.nv2)
    return replace(item, v83=v83, neve=neve, nv2=nv2, page=page, changed=changed)


def _nv2(name: str, row: Mapping[str, Any], v83: str, *, e2h: bool) -> str | None:
    kind = row.get("nv2") or _redirection(name, e2h or name.endswith(_WITH_E2H))
    return None if kind == "trap" and v83 == "native" else kind


def _operation(
    name: str, row: Mapping[str, Any], architecture: Mapping[str, Any], kind: str
) -> Operation:
    known = architecture.get(name, {})
    twin = known.get("twin", known.get("neve_twin"))
    operation = Operation(
        name=name.upper(),
        number=row.get("op"),
        enc=tuple(known.get("enc", row.get("enc", [0] * 5))),
        kind=row.get("kind", kind),
        asm=row.get("asm", name.lower()),
        v83=row["v83"],
        neve=row.get("neve"),
        by=row.get("by"),
        vncr=known.get("vncr"),
        page=known.get("vncr", row.get("page")),
        twin=_packed(architecture[twin]["enc"]) if twin and row.get("neve") == "twin" else None,
        nv2=_nv2(name, row, row["v83"], e2h=False),
        e2h=row.get("e2h"),
    )
    problems = {
        "is unknown to the architecture's table": not known and name != "ERET" and "enc" not in row,
        "has an encoding in both tables": bool(known) and "enc" in row,
        "is trapped by ARMv8.3": known.get("nv", False) and operation.v83 != "hvc",
        "has a class that is unknown": operation.v83 not in _V83
        or operation.neve not in {*_CLASSES, None},
        "has a number, or none, against its class": (operation.number is None)
        != (operation.v83 == "native"),
        "does not say what traps it": operation.v83 == "trap" and not operation.by,
        "has no place in the page": (operation.neve or "").startswith("memory")
        and operation.page is None,
        "has two places in the page": operation.vncr is not None and "page" in row,
        "has no twin": operation.neve == "twin" and operation.twin is None,
    }
    for problem, wrong in problems.items():
        if wrong:
            raise UserError(f"registers.toml: {name} {problem}")
    return operation


def tabbed(text: str, width: int) -> str:
    """Tabs up to column `width`, which counts from a tab stop, as kernel style wants it."""
    return text + "\t" * max(1, -(-(width - len(text)) // 8))
