# SPDX-License-Identifier: MIT
"""A server that another run has booted into our kernel, whose SSH server is dropbear."""

import threading
import time

import pytest

from harness.cache import file_sha256
from harness.deadline import Deadline
from harness.errors import Busy, DeniedError
from harness.machine.host.as_it_is import as_it_is
from harness.machine.host.lock import locked
from harness.machine.host.server import Server
from tests.integration.loopback.test_lock import done
from tests.integration.server.machine import free_port

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def kernel_of_ours(server):
    """Changes what the server says of its kernel."""
    server.ssh(
        "cp /proc/cmdline /tmp/own; echo console=ttyAMA0 neve.level=l0 >/tmp/cmdline; "
        "mount --bind /tmp/cmdline /proc/cmdline"
    )
    yield
    server.ssh("umount /proc/cmdline 2>/dev/null; true")


def dropbear(server, port, banner):
    """As L0's init starts it, for a run of root's: others are not let in."""
    server.ssh(
        "dropbearconvert openssh dropbear /etc/ssh/ssh_host_ed25519_key /tmp/key 2>/dev/null"
        f"; echo '{banner}' >/tmp/banner; for each in bob; do mv /home/$each/.ssh "
        f"/home/$each/.away; done; dropbear -s -j -k -K 15 -b /tmp/banner -r /tmp/key "
        f"-p 127.0.0.1:{port} -P /tmp/dropbear.pid 2>/dev/null"
    )


def gone(server, port=None):
    server.ssh(
        "kill $(cat /tmp/dropbear.pid); rm /tmp/dropbear.pid; mv /home/bob/.away "
        "/home/bob/.ssh"
        + (f"; /usr/sbin/sshd -p {port} -o PidFile=/run/second.pid" if port else "")
    )


def known(server, port, tmp_path):
    file = tmp_path / "known"
    file.write_text(f"[127.0.0.1]:{port} {server.key}\n")
    return {"port": port, "known_hosts": file}


@pytest.mark.parametrize("boot", ["own", "kexec"])
def test_another_account_is_told_who_has_it_and_waits(server, tmp_path, boot):
    port = free_port()
    spec = server.spec("bob", **known(server, port, tmp_path), boot=boot, boot_seconds=60)

    def reach(wait):
        if boot == "own":
            return as_it_is(spec, tmp_path, wait)
        return Server(spec, tmp_path).vendor_kernel(wait)

    dropbear(server, port, "neve: in use by jörg@laptop since 2026-01-01T00:00:00+00:00")
    later = threading.Timer(5, lambda: gone(server, port))
    try:
        with (
            pytest.raises(
                Busy,
                match=r"in use by jörg@laptop since 2026-01-01T00:00:00\+00:00; "
                "--wait SECONDS waits",
            ),
            reach(0),
        ):
            pass
    finally:
        later.start()
    started = time.monotonic()
    try:
        with reach(60) as host:
            assert host.run("id -u").stdout == "0\n"
        assert time.monotonic() - started > 4
    finally:
        later.join()
        server.ssh("kill $(cat /run/second.pid)")


def test_a_no_of_another_server_is_a_no(server, tmp_path):
    port = free_port()
    dropbear(server, port, "Welcome. This host is in use by many.")
    try:
        with (
            pytest.raises(DeniedError),
            as_it_is(server.spec("bob", **known(server, port, tmp_path)), tmp_path, 0),
        ):
            pass
    finally:
        gone(server)


def test_nobody_measures_beside_a_run_that_has_booted_it(server, start, kernel_of_ours):
    """Whom L0 lets in as well, with the key of who has booted it."""
    status, said = done(start("one"))
    assert status == 75
    assert said == "host arm1 is in use by a run that has booted it; --wait SECONDS waits\n"
    waiting = start("two", wait=60)
    time.sleep(3)
    assert waiting.poll() is None
    server.ssh("umount /proc/cmdline")
    assert done(waiting) == (0, "locked\nmeasured\n")


@pytest.mark.parametrize("user", ["root", "lab", "busy"])
def test_dropbear_is_as_good_as_openssh(server, tmp_path, user):
    """Our own kernels have it, and some servers."""
    port, file = free_port(), tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 20000)
    server.ssh(
        "dropbearconvert openssh dropbear /etc/ssh/ssh_host_ed25519_key /tmp/key 2>/dev/null"
        f"; dropbear -s -j -k -K 15 -r /tmp/key -p 127.0.0.1:{port} -P /tmp/dropbear.pid "
        "2>/dev/null"
    )
    spec = server.spec(user, **known(server, port, tmp_path))
    try:
        with as_it_is(spec, tmp_path, 0) as host, locked(host, 0):
            place = host.put(file)
            assert host.run(f"sha256sum <{place}").stdout.split()[0] == file_sha256(file)
            program = host.start(["sh", "-c", "echo '@a!'; read -r x; echo \"<$x>\"; exit 3"], "x")
            program.expect("@a!\r*\n", Deadline(10, "it"))
            program.send("two words\n")
            program.expect("<two words>", Deadline(10, "them"))
            assert program.wait(Deadline(10, "its end")) == 3
    finally:
        server.ssh("kill $(cat /tmp/dropbear.pid)")
