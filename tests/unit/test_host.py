# SPDX-License-Identifier: MIT
"""The host layer over Fabric's test doubles; the real SSH is tested with a real machine."""

import os
import socket
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fabric import Connection
from fabric.testing.base import Command, MockRemote

from harness import playbook
from harness.cache import file_sha256
from harness.commands.run import reach
from harness.errors import InfrastructureError, UserError
from harness.host import keys, tcg
from harness.host.fabric_host import FabricHost
from harness.host.ssh import ssh_host
from harness.host.sudo import Sudo
from harness.inventory import SshHostSpec, TcgHostSpec
from harness.progress import Progress


@pytest.fixture
def remote():
    mocked = MockRemote()
    yield mocked
    mocked.safety()
    mocked.stop()


def host(tmp_path):
    return FabricHost("arm1", Connection("arm1", user="me"), tmp_path, root="/var/tmp/neve")


def test_commands_run_as_root_with_status_and_output(remote, tmp_path):
    remote.expect(host="arm1", user="me", commands=[
        Command("sudo -n sh -c true"),
        Command("sudo -n sh -c 'echo $((1+1))'", out=b"2\n"),
        Command("sudo -n sh -c false", exit=1, err=b"nope"),
    ])
    machine = host(tmp_path)
    machine.become_root(Sudo())
    assert machine.run("echo $((1+1))").stdout == "2\n"
    assert machine.run("false", check=False).status == 1


def test_failing_command_is_an_error_with_its_words(remote, tmp_path):
    remote.expect(host="arm1", user="me",
                  commands=[Command("sh -c 'cat /x'", exit=1, err=b"no such file")])
    with pytest.raises(InfrastructureError, match=r"'cat /x' ended with status 1: no such file"):
        host(tmp_path).run("cat /x")


@pytest.mark.parametrize("check", [True, False])
def test_a_connection_that_ends_is_no_answer(remote, tmp_path, check):
    """Not even to a question: a server that dies has not said that a file is missing."""
    remote.expect(commands=[Command("sh -c 'test -f x'", exit=-1)])
    with pytest.raises(InfrastructureError, match="the connection is lost"):
        host(tmp_path).run("test -f x", check=check)


def test_file_that_is_there_is_not_sent_again(remote, tmp_path):
    file = tmp_path / "Image"
    file.write_bytes(b"kernel")
    stored = f"/var/tmp/neve/store/{file_sha256(file)[:16]}/Image"
    remote.expect(host="arm1", user="me", commands=[Command(f"sh -c 'test -f {stored}'")])
    assert host(tmp_path).put(file) == stored


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
def test_hostile_words_stay_words(tmp_path, sudo):
    """Through the shell that the server runs them in, and sudo's."""
    place = tmp_path / "place"
    place.mkdir()
    shim = place / "sudo"
    shim.write_text('#!/bin/sh\nwhile :; do case $1 in -n) shift ;; -p) shift 2 ;; '
                    '*) exec "$@" ;; esac; done\n')
    shim.chmod(0o755)
    machine = host(tmp_path)
    machine._sudo = sudo
    word = "$(touch one)`touch two`;touch three\n'\"$HOME* @@sudo"
    done = subprocess.run(
        ["sh", "-c", machine._in_terminal(["printf", "%s", word])], cwd=place,
        env={"PATH": f"{place}:{os.environ['PATH']}"}, capture_output=True, text=True,
        check=True)
    assert done.stdout.removeprefix("@@sudo\n") == word
    assert [path.name for path in place.iterdir()] == ["sudo"]


def book(*hosts):
    return playbook.Playbook(name="p", hosts=hosts, configurations=["vm"],
                             benchmarks=["hypercall"])


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
    with tcg._initrd(image, tcg._Keys.generate()) as descriptor, \
            open(descriptor, "rb", closefd=False) as stream:
        stream.seek(0)
        whole = stream.read()
    assert whole.startswith(image.read_bytes())
    assert b"authorized_keys" in whole
