# SPDX-License-Identifier: MIT
"""The host layer over SSH with a server in this process; real machines are tested elsewhere."""

import os
import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.commands.run import reach
from harness.errors import InfrastructureError, UserError
from harness.machine.host import fabric_host, keys, tcg
from harness.machine.host.board import initrd_of
from harness.machine.host.fabric_host import FabricHost
from harness.machine.host.ssh import connection, ssh_host
from harness.machine.host.sudo import Sudo
from harness.model import playbook
from harness.model.inventory import SshHostSpec, TcgHostSpec
from harness.progress import Progress
from tests.ssh_server import ssh_server

SUDO = """\
#!/bin/sh
while :; do case $1 in -n) shift ;; -p) shift 2 ;; *) exec "$@" ;; esac; done
"""


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "sudo").write_text(SUDO)
    (folder / "sudo").chmod(0o755)
    with ssh_server(folder) as running:
        yield running


@pytest.fixture
def machine(server, tmp_path):
    """The server, connected."""
    spec = SshHostSpec(
        name="arm1",
        address="127.0.0.1",
        port=server.port,
        user="me",
        key_file=server.key_file(),
        known_hosts=server.known_hosts(),
    )
    machine = FabricHost("arm1", connection(spec), tmp_path, root=str(tmp_path / "neve"))
    machine.open(10)
    yield machine
    machine.close()


def test_a_closed_server_accepts_nothing_more(tmp_path):
    before = threading.active_count()
    with ssh_server(tmp_path):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_commands_run_as_root_with_status_and_output(machine, server):
    machine.become_root(Sudo())
    assert machine.run("echo $((1+1))").stdout == "2\n"
    assert machine.run("false", check=False).status == 1
    for line, command in zip(server.commands, ("true", "$((1+1))", "false"), strict=True):
        assert re.search(rf"; sudo -n sh -c .*{re.escape(command)}", line.replace("\\0047", ""))


def test_failing_command_is_an_error_with_its_words(machine):
    said = "'echo no such file >&2; exit 3' ended with status 3: no such file"
    with pytest.raises(InfrastructureError, match=re.escape(said)):
        machine.run("echo no such file >&2; exit 3")


@pytest.mark.parametrize("check", [True, False])
def test_a_connection_that_ends_is_no_answer(machine, server, check):
    """Not even to a question: a server that dies has not said that a file is missing."""
    server.hangs_up = True
    with pytest.raises(InfrastructureError, match=r"connection is lost \(closed by the other"):
        machine.run("test -f x", check=check)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(fabric_host, "_LOST_SECONDS", 2)


def test_a_silent_host_is_asked_nothing_more(impatient, machine, server):
    """Nor through a new connection, which may lead into another boot."""
    server.answers.clear()
    with pytest.raises(InfrastructureError, match="'true' got no answer"):
        machine.run("true", timeout=2)
    server.answers.set()
    with pytest.raises(InfrastructureError, match=r"arm1: the connection is lost \(Timeout"):
        machine.run("reboot")
    assert not server.commands
    machine.open(10)
    assert machine.run("echo again").stdout == "again\n"


def test_a_slow_command_does_not_cost_the_connection(machine):
    with pytest.raises(InfrastructureError, match="'sleep 5' got no answer within 1 s"):
        machine.run("sleep 5", timeout=1)
    assert machine.run("echo there").stdout == "there\n"


def test_unreachable_host_is_one_clear_line(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with (
        pytest.raises(UserError, match=rf"host arm1 \(root@127.0.0.1:{port}\) can't be reached"),
        ssh_host(SshHostSpec(name="arm1", address="127.0.0.1", port=port), tmp_path),
    ):
        pass


@pytest.mark.parametrize("sudo", [None, Sudo(), Sudo("horse")])
def test_hostile_words_stay_words(machine, server, sudo):
    """Through the shell that the server runs them in, and sudo's."""
    machine._sudo = sudo
    word = "$(touch one)`touch two`;touch three\n'\"$HOME* @@sudo"
    before = set(server.folder.iterdir())
    done = subprocess.run(
        ["sh", "-c", machine._as_root(["printf", "%s", word], terminal=True)],
        cwd=server.folder,
        env={"PATH": f"{server.folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.removeprefix("@@sudo\n") == word
    assert set(server.folder.iterdir()) == before


def book(*hosts):
    return playbook.Playbook(name="p", hosts=hosts, configurations=["vm"], benchmarks=["hypercall"])


def test_a_server_that_is_away_stops_no_other_host(tmp_path, capsys):
    away = SshHostSpec(name="arm1", address="127.0.0.1", port=1, boot="own")
    reach(book(away, TcgHostSpec()), tmp_path, 0, Progress())
    assert "arm1 (root@127.0.0.1:1) can't be reached" in capsys.readouterr().err
    with pytest.raises(UserError, match="can't be reached"):
        reach(book(away), tmp_path, 0, Progress())


def test_dropbear_key_has_dropbears_layout():
    key = Ed25519PrivateKey.generate()
    data = keys.dropbear_format(key)
    assert data[:15] == b"\x00\x00\x00\x0bssh-ed25519"
    assert data[15:19] == b"\x00\x00\x00\x40"
    assert len(data) == 15 + 4 + 64


def test_keys_of_one_boot_are_in_the_archive_with_tight_modes():
    entries = {entry.name: entry for entry in tcg._Keys.generate().archive_entries()}
    assert entries["root/.ssh/authorized_keys"].data.startswith(b"ssh-ed25519 ")
    for name in ("root/.ssh/authorized_keys", "etc/dropbear/dropbear_ed25519_host_key"):
        assert entries[name].mode & 0o077 == 0


def test_initrd_is_the_image_with_the_keys_behind_it(tmp_path):
    image = tmp_path / "root.cpio"
    image.write_bytes(b"070701" * 256)
    with initrd_of(image, tcg._Keys.generate().archive_entries()) as initrd:
        whole = Path(initrd).read_bytes()
    assert whole.startswith(image.read_bytes())
    assert b"authorized_keys" in whole
