# SPDX-License-Identifier: MIT
"""The hostile guest of `images/hostile/`, which knows the operations of virtual EL2."""

from pathlib import Path

from harness.cache import Cache
from harness.image.program import program
from harness.kernel.operations import names

# HVC immediates: see Documentation/virtual/kvm/arm/pv-el2.txt, which the kernel series adds.
_HEADER = """\
#define PV_EL2_HVC_OP_SHIFT 6
#define PV_EL2_HVC_READ (1 << 5)
#define PV_EL2_HVC_RT_MASK 0x1f
"""


def hostile(cache: Cache) -> Path:
    """The flat arm64 image."""
    numbers = "".join(f"#define PV_EL2_OP_{name.upper()} {number}\n"
                      for number, name in names().items())
    return program(cache, "hostile", "hostile.bin", shared="bare",
                   headers={"pv-ops.h": _HEADER + numbers})
