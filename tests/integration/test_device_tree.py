# SPDX-License-Identifier: MIT
import re
import struct

from harness.build.image.device_tree import gicv2_with_el2, packed
from harness.build.image.emulator import emulator
from harness.cache import Cache


def test_room_behind_the_tree_is_cut_off_and_nothing_else():
    body = b"S" * 24 + b"strings\0"
    header = struct.pack(">10I", 0xD00DFEED, 4096, 40, 64, 40, 17, 16, 0, 8, 24)
    tree = packed((header + body).ljust(4096, b"\0"))
    assert len(tree) == struct.unpack(">I", tree[4:8])[0] == 72
    assert tree[8:] == (header + body)[8:]


def test_gicv2_has_its_virtualization_extensions():
    tree = gicv2_with_el2(Cache.default(), emulator(Cache.default()), 2).read_bytes()
    assert len(tree) < 64 * 1024
    frames = [0x08000000, 0x08010000, 0x08030000, 0x08040000]  # GICD, GICC, GICH, GICV
    assert re.search(
        b"".join(struct.pack(">2I", 0, base) + b".{8}" for base in frames), tree, re.DOTALL
    )
