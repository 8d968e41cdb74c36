# SPDX-License-Identifier: MIT
"""Machines that say what hermetic ones say, without an emulator: a program in its place reads the
script that L0 would run, and takes as long for each cell as it is told."""

import base64
import gzip
import hashlib
import json
import re
import struct
import sys
import time
import zlib
from itertools import zip_longest
from pathlib import Path

from harness.paths import PINNED, ROOT

BUILD_ID = struct.pack("<III4s", 4, 20, 3, b"GNU") + bytes.fromhex("b" * 40)
_BANNER = "Linux version 7.3.4 (neve@neve) (gcc) #1 SMP 1970-01-01\n"
_HVC = 0x16 << 26
_STARTS = {"hypercall": _HVC, "device-io": 0x24 << 26}
_PROGRAM = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.emulated import main
main()
"""


def emulator(folder: Path, **behaviour: list[float | None]) -> Path:
    """For $NEVE_QEMU. `behaviour` is by configuration (vm, or what upstream's switch is set to for
    it, N or Y): seconds that each cell takes, or None where the machine ends instead."""
    program = folder / "qemu-system-aarch64"
    program.write_text(_PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    (folder / "behaviour.json").write_text(json.dumps(behaviour), encoding="utf-8")
    return program


def artifacts(setup, folder):
    """Files with nothing in them but the build ID of kernels."""
    # Not for the program, which is to start at once.
    from harness.build.artifacts import Artifacts
    from harness.build.kernel.build import Kernel
    from harness.model.guest import File

    (folder / "config").write_text("CONFIG_KVM=y\n", encoding="utf-8")
    (folder / "Image").write_bytes(BUILD_ID)
    kernel = Kernel("7.3.4", "key", "here", folder / "Image")
    file = folder / "file"
    file.write_bytes(b"")
    symbols = {
        symbol
        for spec in setup.playbook.hosts
        for guest in setup.guests(spec).values()
        for symbol in guest.files.values()
    }
    files = dict.fromkeys({*symbols, *setup.l1_files, File.INITRAMFS}, file)
    nested = {PINNED.name: PINNED}
    for symbol, name in setup.l1_files.items():
        files[symbol] = nested[name] = folder / name
        files[symbol].touch()
    return Artifacts(setup, dict.fromkeys(setup.kernels, kernel), files, nested, [])


def say(text: str) -> None:
    print(text, flush=True)


def _mb(text: str) -> None:
    say(f"{text} crc={zlib.crc32(text.encode()):08x}")


def _booted(level: str) -> None:
    words = (_BANNER.encode(), f"neve.level={level} quiet".encode(), BUILD_ID)
    packed = " ".join(base64.b64encode(each).decode() for each in words)
    say(f"@NEVE kernel {level} {packed} {hashlib.sha256().hexdigest()}")


def _cell(benchmark: str, operations: int, cost: int) -> None:
    say(f"@NEVE cell {benchmark}")
    say("@NEVE vcpus 0=0 1=1")
    _mb(f"@MB samples {cost}=9 {cost + 1}=1")
    _mb(f"@MB result bench={benchmark} n=10 warmup=1 batch=1 timer=virtual hz=1000000000")
    _mb("@MB done")
    say("@NEVE trace lost=0")
    exits = [_HVC, _HVC, *[_STARTS[benchmark]] * operations, _HVC]
    lines = "".join(
        f" CPU 0/KVM-9 [000] ...1.  1.{number:06}: kvm_trap: vcpu 0: code 2, syndrome {why:#x}: x\n"
        for number, why in enumerate(exits)
    )
    say(base64.encodebytes(gzip.compress(lines.encode())).decode().strip())
    say("@NEVE packed")
    say("@NEVE vcpus 0=0 1=1")


def main() -> None:
    """In the place of the emulator."""
    if "--version" in sys.argv:
        print("QEMU emulator version 11.1.3")
        return
    if "-initrd" not in sys.argv:  # what machines it can make
        return
    behaviour = json.loads((Path(sys.argv[0]).parent / "behaviour.json").read_text())
    image = Path(sys.argv[sys.argv.index("-initrd") + 1]).read_bytes().decode(errors="replace")
    mode = re.search(r"^MODE=([NY])$", image, re.M)
    name = mode[1] if mode else "vm"
    told = behaviour.get(name, [])
    _booted("l0")
    if mode:
        _booted("l1")
    say("@NEVE begun")
    cells = re.findall(r"^cell (\S+) \d+ \d+ (\d+)$", image, re.M)
    for (benchmark, operations), seconds in zip_longest(cells, told, fillvalue=0):
        if seconds is None:
            sys.exit(1)
        time.sleep(seconds)
        _cell(benchmark, int(operations), 1000 + ord(name[0]))
    say("@NEVE end")
