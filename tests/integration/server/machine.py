# SPDX-License-Identifier: MIT
"""The disk of the server, made once, and the machine that runs it."""

import re
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness.build.debian import Debian
from harness.build.image.emulator import emulator
from harness.cache import Cache, content_key
from harness.machine.host.keys import authorized_line
from harness.process import mortal, run
from tests.integration.server.power import tell

HERE = Path(__file__).parent
PASSWORD = "correct-horse"
CPU = "cortex-a57"
PACKAGES = (
    "?essential",
    "dbus",
    "grub2-common",
    "grub-efi-arm64-bin",
    "iproute2",
    "kmod",
    "libpam-systemd",
    "linux-image-cloud-arm64",
    "netbase",
    "openssh-server",
    "procps",
    "qemu-efi-aarch64",
    "sudo",
    "systemd-sysv",
    "udev",
)
# Of those, what is no part of the server's disk: its firmware, and what that loads.
FIRMWARE = "usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
LOADER = "usr/lib/grub/arm64-efi/monolithic/grubaa64.efi"
# What the firmware's own partition says of the disk, and the entry that waits for a kernel.
ESP = "search --set=root --file /boot/grub/grub.cfg\nconfigfile /boot/grub/grub.cfg\n"
COMMAND_LINE = "console=ttyAMA0 root=/dev/nvme0n1 rw quiet"
ENTRIES = f"""\
set prefix=($root)/boot/grub
load_env
set default=own
set timeout=0
if [ -n "$next_entry" ]; then
    set default=$next_entry
    set next_entry=
    save_env next_entry
fi
menuentry own --id own {{
    linux /vmlinuz {COMMAND_LINE}
}}
menuentry neve --id neve {{
    source /var/lib/neve/boot/grub.cfg
}}
"""
MODULES = {"autofs4", "failover", "net_failover", "virtio-rng", "virtio_mmio", "virtio_net"}
_DISK = "1280M"


def disk(cache):
    """Folder with the server's disk, its kernel, a user's key and its known_hosts."""
    debian, script = Debian.load(), HERE / "first-boot"

    def make(folder):
        key = Ed25519PrivateKey.generate()
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            root = Path(temporary) / "root"
            run(
                [
                    "mmdebstrap",
                    "--variant=extract",
                    "--mode=chrootless",
                    "--architectures=arm64",
                    *(f"--include={name}" for name in PACKAGES),
                    '--aptopt=APT::Install-Recommends "false"',
                    "--skip=check/chrootless",
                    debian.suites[0],
                    str(root),
                    "-",
                ],
                stdin=debian.sources().encode(),
                log=cache.log("test-server"),
            )
            _firmware(root, folder)
            _trim(root)
            shutil.copy(script, root / "first-boot")
            (root / "first-boot").chmod(0o755)
            (root / "first-boot.pub").write_bytes(authorized_line(key))
            shutil.copy(next(root.glob("boot/vmlinuz-*")), folder / "vmlinuz")
            shutil.copy(folder / "vmlinuz", root / "vmlinuz")
            (root / "boot/grub").mkdir()
            (root / "boot/grub/grub.cfg").write_text(ENTRIES)
            run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(root), str(folder / "disk"), _DISK])
        (folder / "key").touch(0o600)
        (folder / "key").write_bytes(_openssh(key))
        log = folder / "first-boot.log"
        machine = Machine(folder, folder, CPU, arguments="init=/first-boot", once=True)
        machine.serial = log
        machine.start()
        machine.process.wait(600)
        said = log.read_text(errors="replace")
        assert "first boot done" in said, said[-2000:]
        keys = re.findall(r"^((?:ssh|ecdsa)-\S+ AAAA\S+) ", said, re.M)
        (folder / "host_keys").write_text("".join(f"{each}\n" for each in keys))

    key = content_key(
        [script.read_text(), PACKAGES, ESP, ENTRIES, debian.suites, _DISK, sorted(MODULES)]
    )
    return cache.artifact("test-server", key, make)


def _firmware(root, folder):
    """What an UEFI of its own would need: code, and the partition with the boot loader."""
    shutil.copy(root / FIRMWARE, folder / "firmware")
    for place in ("EFI/BOOT", "EFI/debian"):
        (folder / "esp" / place).mkdir(parents=True)
    shutil.copy(root / LOADER, folder / "esp/EFI/BOOT/BOOTAA64.EFI")
    (folder / "esp/EFI/debian/grub.cfg").write_text(ESP)
    shutil.rmtree(root / "usr/lib/grub")
    shutil.rmtree((root / FIRMWARE).parent)


def _trim(root):
    """Without what no test looks at: depmod and hashing take a minute each otherwise."""
    for module in root.glob("usr/lib/modules/*/kernel/**/*.ko*"):
        if module.name.partition(".")[0] not in MODULES:
            module.unlink()
    for name in ("share/doc", "share/locale", "share/man", "share/zoneinfo", "lib/udev/hwdb.d"):
        shutil.rmtree(root / "usr" / name, ignore_errors=True)


def _openssh(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


@contextmanager
def running(folder, cpu=CPU, **options):
    """A server of its own, booted."""
    made = disk(Cache.default())
    run(["cp", "--sparse=always", str(made / "disk"), str(folder / "disk")])
    machine = Machine(made, folder, cpu, **options)
    machine.start()
    try:
        machine.wait()
        yield machine
    finally:
        machine.stop()
        (folder / "disk").unlink()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Machine:
    """The server's hardware: `made` is what `disk` gives, `folder` where this one's disk lies;
    `forward` goes on with the options of its network. With `uefi` it boots through GRUB."""

    made: Path
    folder: Path
    cpu: str
    arguments: str = ""
    once: bool = False
    forward: str = ""
    uefi: bool = False
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None

    def __post_init__(self):
        self.serial = self.folder / "serial.log"
        self.monitor = self.folder / "monitor"

    def start(self):
        self.process = subprocess.Popen(
            mortal(
                [
                    *emulator(Cache.default()).argv,
                    "-machine",
                    "virt,virtualization=on,gic-version=3",
                    "-accel",
                    "tcg,thread=multi,tb-size=512",
                    "-cpu",
                    self.cpu,
                    "-smp",
                    "4",
                    "-m",
                    "3072M",
                    "-nodefaults",
                    "-nographic",
                    "-monitor",
                    f"unix:{self.monitor},server=on,wait=off",
                    "-serial",
                    f"file:{self.serial}",
                    *self._loader(),
                    "-device",
                    "virtio-rng-device",
                    "-drive",
                    f"file={self.folder / 'disk'},format=raw,if=none,id=disk,cache=unsafe",
                    "-device",
                    "nvme,drive=disk,serial=neve",
                    "-netdev",
                    f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22{self.forward}",
                    "-device",
                    "virtio-net-device,netdev=net,id=card",
                    *(["-no-reboot"] if self.once else []),
                ],
                "KILL",
            ),
            stdin=subprocess.DEVNULL,
        )

    def _loader(self):
        if self.uefi:
            esp = f"file.driver=vvfat,file.dir={self.made / 'esp'}"
            return [
                "-bios",
                str(self.made / "firmware"),
                "-drive",
                f"if=none,id=esp,format=raw,readonly=on,{esp}",
                "-device",
                "virtio-blk-device,drive=esp",
            ]
        return [
            "-kernel",
            str(self.made / "vmlinuz"),
            "-append",
            f"{COMMAND_LINE} {self.arguments}",
        ]

    def tell(self, command):
        """A command of QEMU's monitor: system_reset, set_link card off, …"""
        tell(self.monitor, command)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def known_hosts(self):
        lines = (self.made / "host_keys").read_text().splitlines()
        file = self.folder / "known_hosts"
        file.write_text("".join(f"[127.0.0.1]:{self.port} {line}\n" for line in lines))
        return file

    def host(self, **changes):
        """What an inventory says of the server, which it knows by address and key."""
        power = f"python3 {HERE / 'power.py'} {self.monitor} system_reset"
        host = {
            "name": "arm1",
            "address": "127.0.0.1",
            "port": self.port,
            "user": "lab",
            "key_file": str(self.made / "key"),
            "known_hosts": str(self.known_hosts()),
            "sudo": {"environment": "ARM1_SUDO"},
            "boot_seconds": 900,
            "uefi": self.uefi,
            "console": f"tail -n 0 -F {self.serial}",
            "power_cycle": power,
            **changes,
        }
        return {key: value for key, value in host.items() if value is not None}

    def inventory(self, *others, **changes):
        """An inventory file with the server, and with the `others` of a lab."""
        file = self.folder / "lab.yaml"
        file.write_text(yaml.safe_dump({"hosts": [self.host(**changes), *others]}))
        return file

    def ssh(self, command, *, user="root", timeout=300):
        """Output of a command in the server, by the tests' own connection."""
        with paramiko.SSHClient() as client:
            client.load_host_keys(str(self.known_hosts()))
            client.connect(
                "127.0.0.1",
                self.port,
                user,
                key_filename=str(self.made / "key"),
                timeout=30,
                banner_timeout=30,
                auth_timeout=30,
            )
            _, stdout, _ = client.exec_command(command, timeout=timeout)
            return stdout.read().decode()

    def wait(self, seconds=900):
        """Until its own system has booted."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.serial.read_text()
            with suppress(OSError, EOFError, paramiko.SSHException):
                if "neve." not in self.ssh("cat /proc/cmdline; systemctl is-system-running --wait"):
                    return
            time.sleep(1)
        raise AssertionError(self.serial.read_text(errors="replace")[-2000:])
