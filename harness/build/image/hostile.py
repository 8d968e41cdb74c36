# SPDX-License-Identifier: MIT
"""The hostile guest of `images/hostile/`, which knows the operations of virtual EL2, and what its
identification registers may hold."""

from pathlib import Path

from harness.build.image.program import program
from harness.build.kernel import id_registers
from harness.cache import Cache
from harness.model.operations import names
from harness.paths import KERNEL_PATCHES

# HVC immediates: see Documentation/virtual/kvm/arm/pv-el2.txt, which the kernel series adds.
_OPERATIONS = """\
#define PV_EL2_HVC_OP_SHIFT 6
#define PV_EL2_HVC_READ (1 << 5)
#define PV_EL2_HVC_RT_MASK 0x1f
"""
_ID_REGISTERS = """\
static const struct id_register {
	uint32_t crm, op2;
	uint64_t limit, limit_el2, is_signed;
} id_registers[] = {
"""


def hostile(cache: Cache) -> Path:
    """The flat arm64 image."""
    return program(
        cache,
        "hostile",
        "hostile.bin",
        shared="bare",
        headers={"pv-ops.h": operations_header(), "id-registers.h": _id_registers()},
    )


def operations_header() -> str:
    """The operations of virtual EL2 for a guest in C."""
    return _OPERATIONS + "".join(
        f"#define PV_EL2_OP_{name.upper()} {number}\n" for number, name in names().items()
    )


def _id_registers() -> str:
    """A table in C that ends with a register that can't be."""
    rows = "".join(
        f"\t{{ {register.enc[3]}, {register.enc[4]}, {register.limit:#x}, "
        f"{register.limit_el2:#x}, {register.signed:#x} }},\t/* {register.name} */\n"
        for register in id_registers.load(KERNEL_PATCHES / "v4.10")
    )
    return f"{_ID_REGISTERS}{rows}\t{{ 0, 0, 0, 0, 0 }},\n}};\n"
