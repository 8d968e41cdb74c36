# SPDX-License-Identifier: MIT
"""OpenSSH's own server on the loopback interface, and an ssh whose configuration is a test's.

The login is the one of who runs the tests: root is not needed.
"""

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
USER = getpass.getuser()
CONFIG = """\
Host *
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile none
    IdentityFile {folder}/key
    IdentityAgent {agent}
"""


def keygen(*words):
    subprocess.run(["ssh-keygen", "-q", *map(str, words)], check=True, capture_output=True)


def new_key(file, kind="ed25519", passphrase=""):
    keygen("-t", kind, "-N", passphrase, "-C", file.name, "-f", file)
    return file


@dataclass
class Sshd:
    """A server: `host_key` is its public one, without comment."""

    folder: Path
    port: int
    host_key: str
    options: list[str] = field(default_factory=list)

    def known(self, host="127.0.0.1"):
        """Its line of known_hosts."""
        return f"[{host}]:{self.port} {self.host_key}\n"


@dataclass
class Client:
    """A user: `folder` has the key that servers take, known_hosts and ssh's configuration."""

    folder: Path
    stack: ExitStack
    agent: str = "none"

    def __post_init__(self):
        new_key(self.folder / "key")
        self.configure("")
        bin_ = self.folder / "bin"
        bin_.mkdir()
        (bin_ / "ssh").write_text(
            f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.folder}/config "$@"\n'
        )
        (bin_ / "ssh").chmod(0o755)

    def configure(self, text):
        """ssh's configuration, before what tests have in common."""
        common = CONFIG.format(folder=self.folder, agent=self.agent)
        (self.folder / "config").write_text(f"{text}\n{common}")

    def know(self, *lines):
        (self.folder / "known_hosts").write_text("".join(lines))

    def server(self, *options, address="127.0.0.1"):
        """One that runs until the test ends; it is known to the client."""
        folder = self.folder / f"sshd{len(list(self.folder.glob('sshd*')))}"
        folder.mkdir()
        made = self.stack.enter_context(running(folder, self.folder / "key.pub", options, address))
        with (self.folder / "known_hosts").open("a") as file:
            file.write(made.known(address))
        return made

    def start_agent(self, keys):
        """An agent with `keys`; its socket is in ssh's configuration."""
        self.agent = str(self.folder / "agent")
        process = subprocess.Popen(["ssh-agent", "-D", "-a", self.agent], stdout=subprocess.DEVNULL)
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        wait_for(Path(self.agent).exists)
        for key in keys:
            subprocess.run(
                ["ssh-add", "-q", key],
                check=True,
                capture_output=True,
                env={**os.environ, "SSH_AUTH_SOCK": self.agent},
            )
        self.configure("")


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(folder, lines):
    """An sshd that listens, and its port. What was free a moment ago, another test may have."""
    log = folder / "log"
    while True:
        port = free_port()
        (folder / "config").write_text("\n".join([*lines, f"Port {port}"]) + "\n")
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=stream
            )
        wait_for(
            lambda child=process: (
                child.poll() is not None or b"Server listening" in log.read_bytes()
            )
        )
        if process.poll() is None:
            return process, port
        assert "Address already in use" in log.read_text(), log.read_text()


@contextmanager
def running(folder, authorized, options=(), address="127.0.0.1"):
    key = new_key(folder / "host_key")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    lines = [
        *options,
        f"ListenAddress {address}",
        f"HostKey {key}",
        f"AuthorizedKeysFile {authorized}",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PermitRootLogin yes",
        "Subsystem sftp internal-sftp",
        "LogLevel VERBOSE",
    ]
    process, port = started(folder, lines)
    try:
        yield Sshd(folder, port, key.with_suffix(".pub").read_text().rpartition(" ")[0])
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A user with an ssh of their own. Skips where there is no OpenSSH server."""
    if SSHD is None:
        pytest.skip("no sshd on this machine: apt-get install openssh-server")
    folder = tmp_path / "client"
    folder.mkdir()
    with ExitStack() as stack:
        made = Client(folder, stack)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
        yield made
