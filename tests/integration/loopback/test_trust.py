# SPDX-License-Identifier: MIT
"""What other users of a server can prepare, and try meanwhile: root runs nothing of theirs."""

import hashlib
import shlex
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from harness.errors import InfrastructureError, UserError
from harness.machine.host.as_it_is import as_it_is
from harness.machine.host.lock import locked

pytestmark = pytest.mark.timeout(900)
GOOD = "#!/bin/sh\n# {number}\necho good {number}\n"
# What everybody may try, in a loop: to be there first, to keep things open, to exchange them.
ATTACK = r"""
cd /tmp
evil='touch /tmp/evil-as-$(id -u); echo evil'
while :; do
    for root in /var/lib/neve /var/tmp/neve /srv/neve; do
        mkdir -p $root/incoming $root/files $root/store
        ln -s /etc/victim $root/lock
        ln -s /etc/victim $root/governors.new
        for each in $root/incoming/* $root/files/*/* $root/store/*/*; do
            echo "$evil" >>"$each"
            ln "$each" /tmp/link-$$
            mv -f /tmp/link-$$ "$each"
            exec 7>>"$each" && echo "$evil" >&7
        done
    done
    for each in /proc/[0-9]*/fd/*; do
        case $(readlink $each) in
        *neve*|{pipes}) echo "$evil" >$each & sleep 0.01; kill $! ;;
        esac
    done
done 2>/dev/null
"""


@pytest.fixture
def victim(server):
    server.ssh("echo precious >/etc/victim; mkdir -p /etc/victimdir; chmod 755 /etc/victimdir")
    yield
    assert server.ssh("cat /etc/victim; stat -c '%a %U' /etc/victimdir") == "precious\n755 root\n"


def run_through(server, tmp_path, user="root", **changes):
    """A file of ours is sent and run, as a run does it."""
    file = tmp_path / "script"
    file.write_text(GOOD.format(number=0))
    with as_it_is(server.spec(user, **changes), tmp_path, 0) as host, locked(host, 0):
        return host.run(f"sh {host.put(file)}").stdout


@pytest.mark.parametrize("user", ["root", "lab"])
def test_a_prepared_folder_is_not_used(server, victim, tmp_path, user):
    digest = hashlib.sha256(GOOD.format(number=0).encode()).hexdigest()[:16]
    for place in ("store", "files"):
        server.ssh(
            f"mkdir -p /var/tmp/neve/{place}/{digest}; cd /var/tmp/neve; "
            f"echo 'touch /tmp/evil' >{place}/{digest}/script; ln -sf /etc/victim lock; "
            "ln -sfT /etc/victimdir incoming",
            "mallory",
        )
    assert run_through(server, tmp_path, user) == "good 0\n"
    assert server.ssh("ls /tmp") == ""
    assert server.ssh("stat -c '%a %U' /var/lib/neve") == "700 root\n"


@pytest.mark.parametrize(
    ("prepare", "root", "what"),
    [
        ("mkdir /var/tmp/neve", "/var/tmp/neve", "/var/tmp"),
        ("true", "/tmp/neve", "/tmp"),
        ("true", "/home/mallory/neve", "/home/mallory"),
        ("ln -s /home/mallory /srv/neve", "/srv/neve", "/srv/neve -> /home/mallory"),
        ("ln -s /nowhere /srv/neve", "/srv/neve", "/srv/neve -> /nowhere"),
        ("mkdir /srv/a; ln -s a /srv/b", "/srv/b/neve", "/srv/b -> a"),
        ("chmod 1777 /srv", "/srv/neve", "/srv"),
        ("chgrp staff /srv; chmod 775 /srv", "/srv/neve", "/srv"),
        ("chown lab /srv", "/srv/neve", "/srv"),
        ("mkdir /srv/neve; chown lab /srv/neve", "/srv/neve", "/srv/neve"),
        ("touch /srv/neve", "/srv/neve", "/srv/neve"),
        ("mkdir -p /srv/neve/files; chmod 777 /srv/neve/files", "/srv/neve", "/srv/neve/files"),
        (
            "mkdir -p /srv/neve; touch /srv/neve/x; ln /srv/neve/x /srv/x",
            "/srv/neve",
            "/srv/neve/x",
        ),
        (
            "mkdir -p /srv/neve; ln -s /etc/victim /srv/neve/boot",
            "/srv/neve",
            "/srv/neve/boot -> /etc",
        ),
        ("mkdir -p /srv/neve; mkfifo /srv/neve/incoming", "/srv/neve", "/srv/neve/incoming"),
        (
            "mkdir -p /srv/neve; echo >/srv/neve/x; chown lab /srv/neve/x",
            "/srv/neve",
            "/srv/neve/x",
        ),
        ("mkdir -p /var/lib/neve; chown lab /var/lib/neve", "/srv/neve", "/var/lib/neve"),
        ("mkdir -p /srv/x; ln -s /srv/x /var/lib/neve", "/srv/neve", "/var/lib/neve -> /srv/x"),
    ],
)
def test_a_folder_that_others_could_change_is_refused(
    server, victim, tmp_path, prepare, root, what
):
    server.ssh(
        f"{prepare}; chown -h mallory /srv/neve 2>/dev/null; true"
        if prepare.startswith("ln")
        else prepare
    )
    look = "find /srv /var/tmp /tmp /home /var/lib/neve -printf '%p %m %U %l\\n' 2>/dev/null; true"
    before = server.ssh(look)
    for user in ("root", "bob"):
        with pytest.raises(UserError, match=f"others than root can change .* {what}") as failure:
            run_through(server, tmp_path, user, root=root)
        assert "\n" not in str(failure.value)
    assert server.ssh(look) == before


def test_what_the_store_has_under_a_name_is_compared(server, tmp_path):
    """It may be torn by a power cut, or older than its name."""
    assert run_through(server, tmp_path) == "good 0\n"
    server.ssh("for each in /var/lib/neve/files/*/script; do echo 'echo bad' >$each; done")
    assert run_through(server, tmp_path) == "good 0\n"
    server.ssh("for each in /var/lib/neve/files/*/script; do : >$each; done")
    assert run_through(server, tmp_path) == "good 0\n"


def test_what_is_left_of_an_upload_is_gone_on_with_or_thrown_away(server, tmp_path):
    whole = b"0123456789abcde\n" * (1 << 16)
    file = tmp_path / "image"
    file.write_bytes(whole)
    digest = hashlib.sha256(whole).hexdigest()
    partial = f"/var/lib/neve/incoming/{digest}.partial"
    whole_there = "yes '0123456789abcde' | head -c 1048576"
    for left in ("head -c 1000", "head -c 1000 | tr a X", "cat - /etc/passwd"):
        server.ssh(
            "umask 077; rm -rf /var/lib/neve/files; mkdir -p /var/lib/neve/incoming; "
            f"{whole_there} | {left} >{partial}"
        )
        with as_it_is(server.spec("lab"), tmp_path, 0) as host, locked(host, 0):
            assert host.run(f"sha256sum <{host.put(file)}").stdout.split()[0] == digest
            assert host.uploads == 1
        assert server.ssh("ls /var/lib/neve/incoming") == ""


def test_who_still_has_a_part_open_cannot_write_to_the_whole(server, tmp_path):
    """A process of an upload that broke off, whose input its user keeps open."""
    file = tmp_path / "script"
    file.write_text(GOOD.format(number=0))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    server.ssh(
        f"umask 077; mkdir -p /var/lib/neve/incoming; mkfifo -m 666 /tmp/pipe; (sleep 60 "
        f">/tmp/pipe & exec cat </tmp/pipe >>/var/lib/neve/incoming/{digest}.partial) "
        ">/dev/null 2>&1 & true"
    )
    with as_it_is(server.spec("bob"), tmp_path, 0) as host, locked(host, 0):
        path = host.put(file)
        server.ssh("echo 'echo evil' >/tmp/pipe", "bob")
        time.sleep(0.5)
        assert host.run(f"sh {path}").stdout == "good 0\n"


@contextmanager
def attacked(server, user, pipes):
    attack = ATTACK.replace("{pipes}", "pipe*" if pipes else "nothing")

    def go_on():
        with suppress(Exception):
            server.ssh(f"exec timeout 900 bash -c {shlex.quote(attack)}", user, timeout=900)

    threads = [threading.Thread(target=go_on, daemon=True) for _ in range(2)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        server.ssh(f"pkill -KILL -u {user}; true")
        for each in threads:
            each.join()


def race(server, tmp_path, attacker, user, seconds, pipes=False):
    """Files of ours are sent and run, while `attacker` does what can be done."""
    right = 0
    end = time.monotonic() + seconds
    with attacked(server, attacker, pipes):
        number = 0
        while time.monotonic() < end:
            number += 1
            file = tmp_path / "script"
            file.write_text(GOOD.format(number=number))
            try:
                with as_it_is(server.spec(user), tmp_path, 5) as host, locked(host, 5):
                    assert host.run(f"sh {host.put(file)}").stdout == f"good {number}\n"
                    right += 1
            except InfrastructureError:  # who logs in with us may hinder us, and no more
                assert pipes
    said = server.ssh("ls /tmp")
    assert "evil-as-0" not in said
    assert right > 1 or pipes


@pytest.mark.parametrize(
    ("attacker", "user", "pipes"),
    [
        ("mallory", "root", False),
        ("mallory", "lab", False),
        ("bob", "bob", False),
    ],
)
def test_a_race_is_won_by_nobody(server, victim, tmp_path, attacker, user, pipes):
    race(server, tmp_path, attacker, user, 5, pipes)


@pytest.mark.stress
@pytest.mark.parametrize(
    ("attacker", "user", "pipes"),
    [
        ("mallory", "root", False),
        ("bob", "bob", False),
        ("bob", "bob", True),
    ],
)
def test_a_long_race_is_won_by_nobody(server, victim, tmp_path, attacker, user, pipes):
    race(server, tmp_path, attacker, user, 200, pipes)


def test_what_was_compared_is_compared_anew_after_a_boot(server, tmp_path):
    """Which a server whose root is in memory comes back from without it."""
    file = tmp_path / "file"
    file.write_text("content")
    with as_it_is(server.spec(), tmp_path, 0) as host:
        place = host.put(file)
        host.close()
        server.ssh("rm -rf /var/lib/neve")
        host.open(20)
        assert host.put(file) == place
        assert host.run(f"cat {place}").stdout == "content"
