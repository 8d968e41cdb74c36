# SPDX-License-Identifier: MIT
"""The device tree of a GICv2 machine with EL2, as QEMU's `virt` has it without KVM.

With KVM and a GICv2, no QEMU offers EL2: it leaves the virtualization extensions of the GIC out of
the tree that it writes. Given this tree, it only fills in memory, initrd and command line.
"""

import struct
from pathlib import Path

from harness.build.image.emulator import Emulator
from harness.build.qemu import quoted
from harness.cache import Cache, content_key
from harness.process import run

_HEADER = struct.Struct(">10I")  # Devicetree Specification, 5.2
_MAGIC = 0xD00DFEED


def gicv2_with_el2(cache: Cache, emulator: Emulator, cpus: int) -> Path:
    """The flattened tree for `cpus` CPUs, of the emulator's version."""

    def make(into: Path) -> None:
        roomy = into / "roomy.dtb"
        run(
            [
                *emulator.argv,
                "-machine",
                f"virt,gic-version=2,virtualization=on,dtb-randomness=off,dumpdtb={quoted(roomy)}",
                "-cpu",
                "cortex-a57,pmu=off",
                "-smp",
                str(cpus),
                "-nodefaults",
                "-nographic",
            ]
        )
        (into / "el2.dtb").write_bytes(packed(roomy.read_bytes()))
        roomy.unlink()

    key = content_key([emulator.version, cpus])
    return cache.artifact("device-tree", key, make) / "el2.dtb"


def packed(tree: bytes) -> bytes:
    """`tree` without the room that QEMU leaves behind it: arm64 takes 2 MiB at most, and QEMU
    doubles what it is given."""
    magic, _, structs, strings, *rest = _HEADER.unpack_from(tree)
    assert magic == _MAGIC, "not a device tree"
    strings_size, structs_size = rest[-2:]
    size = max(structs + structs_size, strings + strings_size)
    return tree[:4] + struct.pack(">I", size) + tree[8:size]
