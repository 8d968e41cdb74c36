# SPDX-License-Identifier: MIT
"""The hostile guest of `images/hostile/`, which knows the operations of virtual EL2, and what its
identification registers may hold."""

from pathlib import Path

from harness.build.image.program import program
from harness.build.kernel import id_registers
from harness.cache import Cache
from harness.model.operations import Operation, by_number
from harness.paths import KERNEL_PATCHES

# HVC immediates: see Documentation/virtual/kvm/arm/pv-el2.txt, which the kernel series adds.
_IMMEDIATES = """\
#define PV_EL2_HVC_OP_SHIFT 6
#define PV_EL2_HVC_READ (1 << 5)
#define PV_EL2_HVC_RT_MASK 0x1f
"""
# Instructions on x0, as the architecture encodes them; bit 21 makes a read of them.
_SYSTEM, _SYSTEM_READ = 0xD5000000, 1 << 21
_HVC, _HVC_READ = 0xD4000002, 1 << 10
_NUMBER_SHIFT = 6 + 5  # in the immediate, which is in [20:5]
_ERET = 0xD69F03E0
_ID_REGISTERS = """\
static const struct id_register {
	uint32_t crm, op2;
	uint64_t limit, limit_el2, is_signed;
} id_registers[] = {
"""


def hostile(cache: Cache, *, architected: bool = False) -> Path:
    """The flat arm64 image. In virtual EL2 it executes what stands for EL2's instructions, or these
    themselves where virtual EL2 is `architected`."""
    return program(cache, "hostile", "hostile.bin", shared="bare", headers=headers(architected))


def headers(architected: bool = False) -> dict[str, str]:
    """What its sources include, by name."""
    return {
        "pv-ops.h": operations_header() + _instructions(architected),
        "id-registers.h": _id_registers(),
    }


def operations_header() -> str:
    """The operations of virtual EL2 for a guest in C."""
    return _IMMEDIATES + "".join(
        f"#define PV_EL2_OP_{item.name} {number}\n" for number, item in by_number().items()
    )


def _instructions(architected: bool) -> str:
    """The instruction that is each operation: a write of x0, which EL2_READ makes a read to x0."""
    words = {
        item.name: _instruction(item) if architected else _HVC | number << _NUMBER_SHIFT
        for number, item in by_number().items()
    }
    lines = [
        f"#define ARCHITECTED {int(architected)}",
        f"#define EL2_READ {_SYSTEM_READ if architected else _HVC_READ:#x}",
        *(f"#define EL2_{name} {word:#x}" for name, word in words.items()),
        f"#define EL2_INSTRUCTIONS {{ 0, {', '.join(f'{word:#x}' for word in words.values())} }}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _instruction(operation: Operation) -> int:
    if operation.name == "ERET":
        return _ERET
    return _SYSTEM | operation.sysreg


def _id_registers() -> str:
    """A table in C that ends with a register that can't be."""
    rows = "".join(
        f"\t{{ {register.enc[3]}, {register.enc[4]}, {register.limit:#x}, "
        f"{register.limit_el2:#x}, {register.signed:#x} }},\t/* {register.name} */\n"
        for register in id_registers.load(KERNEL_PATCHES / "v4.10")
    )
    return f"{_ID_REGISTERS}{rows}\t{{ 0, 0, 0, 0, 0 }},\n}};\n"
