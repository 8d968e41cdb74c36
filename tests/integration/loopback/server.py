# SPDX-License-Identifier: MIT
"""A Debian whose real sshd listens on the loopback interface, with users of all sorts.

It is a root file system in memory, in namespaces of its own: nothing of it is on this machine but
the archive that it is unpacked from, and it ends with the tests.
"""

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness.build.debian import Debian
from harness.cache import Cache, content_key
from harness.machine.host.keys import authorized_line
from harness.model.inventory import SshHostSpec
from harness.process import ProcessError, mortal, run
from tests.integration.server.machine import free_port

HERE = Path(__file__).parent
PASSWORD = "correct-horse"
PACKAGES = (
    "busybox",
    "dropbear-bin",
    "fish",
    "openssh-server",
    "procps",
    "sudo",
    "sudo-rs",
    "tcsh",
    "util-linux",
)
UNREAD = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")


def _isolated():
    """What gives a process namespaces of its own, or None where it may not have them."""
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"]
    for argv in (own, [*own, "--map-root-user", "--map-auto"]):
        if (
            shutil.which("unshare")
            and subprocess.run(
                [
                    *argv,
                    "sh",
                    "-c",
                    "mount -t tmpfs none /mnt && mount -t proc proc /proc && id -u 1",
                ],
                capture_output=True,
                check=False,
            ).returncode
            == 0
        ):
            return argv
    return None


def _archive(cache):
    debian = Debian.load()

    def make(folder):
        run(
            [
                "mmdebstrap",
                "--variant=essential",
                f"--include={','.join(PACKAGES)}",
                '--aptopt=APT::Install-Recommends "false"',
                *(f"--dpkgopt=path-exclude={path}" for path in UNREAD),
                debian.suites[0],
                str(folder / "root.tar"),
                "-",
            ],
            stdin=debian.sources().encode(),
            log=cache.log("test-loopback"),
        )

    return (
        cache.artifact("test-loopback", content_key([PACKAGES, UNREAD, debian.suites]), make)
        / "root.tar"
    )


@dataclass
class Loopback:
    """The server that is up; `spec` is what an inventory says of one of its users."""

    folder: Path
    port: int
    key: str

    def known_hosts(self):
        file = self.folder / "known_hosts"
        file.write_text(f"[127.0.0.1]:{self.port} {self.key}\n")
        return file

    def spec(self, user="root", **changes):
        return SshHostSpec(
            **{
                "name": "arm1",
                "address": "127.0.0.1",
                "port": self.port,
                "user": user,
                "key_file": self.folder / "key",
                "known_hosts": self.known_hosts(),
                "boot": "own",
                "sudo": {"environment": "LAB_SUDO"} if user in ("lab", "ruth") else None,
                **changes,
            }
        )

    def ssh(self, command, user="root", timeout=60):
        """Output of a command, by the tests' own connection."""
        status, output = self.tried(command, user, timeout)
        assert status == 0, output
        return output

    def tried(self, command, user="root", timeout=60):
        with paramiko.SSHClient() as client:
            client.load_host_keys(str(self.known_hosts()))
            client.connect(
                "127.0.0.1",
                self.port,
                user,
                key_filename=str(self.folder / "key"),
                timeout=20,
                look_for_keys=False,
                allow_agent=False,
            )
            _, stdout, stderr = client.exec_command(command, timeout=timeout)
            output = stdout.read().decode() + stderr.read().decode()
            return stdout.channel.recv_exit_status(), output

    def wait(self):
        """Until it listens."""
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 10):
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())

    def clean(self):
        """As it was before any run."""
        self.ssh(
            "rm -rf /var/lib/neve /srv/* /var/tmp/* /tmp/* /measur*; "
            "for each in /sys/devices/system/cpu/cpu?/cpufreq/scaling_governor; "
            "do echo schedutil >$each; done; echo 0-1 >/sys/devices/system/cpu/online; "
            "chmod 755 /srv /var/lib; chown 0:0 /srv /var/lib"
        )


@contextmanager
def running(folder):
    """A server, if this machine can have one; else the test is skipped."""
    isolated = _isolated()
    if isolated is None:
        pytest.skip("no namespaces: neither root nor newuidmap with a range in /etc/subuid")
    try:
        archive = _archive(Cache.default())
    except ProcessError as error:
        pytest.skip(f"no root file system for a server: {error}")
    key, port = Ed25519PrivateKey.generate(), free_port()
    (folder / "key").touch(0o600)
    (folder / "key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    (folder / "key.pub").write_bytes(authorized_line(key))
    (folder / "root").mkdir()
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            mortal(
                [
                    *isolated,
                    "sh",
                    str(HERE / "start"),
                    str(archive),
                    str(folder / "key.pub"),
                    str(port),
                    str(folder / "root"),
                ],
                "KILL",
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        ) as process,
    ):
        try:
            said = process.stdout.readline()
            assert said.startswith("ready "), (folder / "log").read_text()
            server = Loopback(folder, port, said.removeprefix("ready ").strip())
            server.wait()
            yield server
        finally:
            process.kill()
