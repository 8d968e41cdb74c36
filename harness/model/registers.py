# SPDX-License-Identifier: MIT
"""System registers and instructions by their encoding: `kernel-patches/registers.toml`."""

import tomllib
from functools import cache
from typing import Any

from harness.paths import KERNEL_PATCHES

Encoding = tuple[int, int, int, int, int]


@cache
def tables() -> dict[str, Any]:
    """The file: tables `registers` and `instructions`, each {name: entry}."""
    return tomllib.loads((KERNEL_PATCHES / "registers.toml").read_text(encoding="utf-8"))


@cache
def names() -> dict[Encoding, str]:
    """{(op0, op1, CRn, CRm, op2): name}; of names that share an encoding, the first."""
    found: dict[Encoding, str] = {}
    for table in ("registers", "instructions"):
        for name, entry in tables()[table].items():
            op0, op1, crn, crm, op2 = entry["enc"]
            found.setdefault((op0, op1, crn, crm, op2), name)
    return found


def trapped(syndrome: int) -> str:
    """The register or instruction of an EC 0x18 syndrome (Arm ARM, ISS for a trapped MSR, MRS
    or system instruction); one without a name as S<op0>_<op1>_C<n>_C<m>_<op2>."""
    encoding = (
        syndrome >> 20 & 3,
        syndrome >> 14 & 7,
        syndrome >> 10 & 15,
        syndrome >> 1 & 15,
        syndrome >> 17 & 7,
    )
    name = names().get(encoding)
    op0, op1, crn, crm, op2 = encoding
    return name or f"S{op0}_{op1}_C{crn}_C{crm}_{op2}"
