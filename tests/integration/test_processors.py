# SPDX-License-Identifier: MIT
"""What `processors.toml` says of QEMU's processors, asked of them by QEMU's own debugger's stub."""

import re
import socket
import subprocess
import time

import pytest

from harness.build.image.emulator import emulator
from harness.cache import Cache
from harness.model.processors import with_feat_nv2
from harness.process import mortal

WITHOUT = ("cortex-a57", "cortex-a72", "cortex-a76", "cortex-a710", "neoverse-n1")
NV_SHIFT, WITH_NV2 = 24, 2


class Stub:
    """The remote protocol of GDB, as far as to read a register."""

    def __init__(self, line):
        self.line = line
        self.ask("qSupported:xmlRegisters=aarch64")

    def ask(self, command):
        data = command.encode()
        self.line.sendall(b"$%s#%02x" % (data, sum(data) % 256))
        said = b""
        while not (found := re.search(rb"\$(.*)#..", said, re.S)):
            said += self.line.recv(1 << 16)
        self.line.sendall(b"+")
        return found[1].decode()

    def file(self, name):
        text = ""
        while not text.startswith("l"):
            part = self.ask(f"qXfer:features:read:{name}:{max(0, len(text) - 1):x},7ff")
            text = part[0] + text[1:] + part[1:]
        return text[1:]

    def register(self, wanted):
        number = 0
        for name in re.findall(r'href="([^"]+)"', self.file("target.xml")):
            for tag in re.findall(r"<reg [^>]*>", self.file(name)):
                given = re.search(r'regnum="(\d+)"', tag)
                number = int(given[1]) if given else number
                if f'name="{wanted}"' in tag:
                    return int.from_bytes(bytes.fromhex(self.ask(f"p{number:x}")), "little")
                number += 1
        raise AssertionError(f"no register {wanted}")


@pytest.mark.parametrize("cpu", [*with_feat_nv2(), *WITHOUT])
def test_who_has_feat_nv2(tmp_path, cpu):
    place = tmp_path / "stub"
    machine = ["-machine", "virt,virtualization=on,gic-version=3", "-cpu", cpu, "-S"]
    quiet = ["-display", "none", "-nodefaults", "-gdb", f"unix:{place},server=on,wait=off"]
    process = subprocess.Popen(mortal([*emulator(Cache.default()).argv, *machine, *quiet], "KILL"))
    try:
        while not place.exists():
            assert process.poll() is None
            time.sleep(0.05)
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(30)
            line.connect(str(place))
            features = Stub(line).register("ID_AA64MMFR2_EL1")
    finally:
        process.kill()
        process.wait()
    assert (features >> NV_SHIFT & 15 == WITH_NV2) == (cpu in with_feat_nv2())
