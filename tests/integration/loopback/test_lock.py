# SPDX-License-Identifier: MIT
"""One run per server, whoever comes, from wherever, and whatever becomes of its client."""

import os
import signal
import subprocess
import sys
import time

import pytest

from harness.errors import InfrastructureError
from harness.machine.host import lock
from harness.machine.host.as_it_is import as_it_is
from harness.machine.host.lock import LOCK, Record, locked
from harness.paths import ROOT

pytestmark = pytest.mark.timeout(300)
OTHER = Record(owner="eve@laptop", since="2026-01-01T00:00:00+00:00", token="0" * 16, boot_id="x")


def line(process, wanted):
    """The next line of a client, which is `wanted`."""
    said = process.stdout.readline()
    assert said.strip() == wanted, said + process.stdout.read()


def done(process):
    """Status and last words."""
    said = process.stdout.read()
    return process.wait(60), said


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def measured(server):
    return server.ssh("cat /measured").splitlines()


def begun(server, name):
    until(lambda: f"begin {name}" in server.ssh("cat /measured 2>/dev/null || true"))


# Whatever the login shell, the account and the folder of each.
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"user": "root"}, {"user": "lab", "root": "/srv/neve"}),
        ({"user": "tina"}, {"user": "fred"}),
        ({"user": "busy", "root": "/srv/a"}, {"user": "wendy", "root": "/srv/b"}),
    ],
)
def test_the_second_one_is_told_or_waits(server, start, first, second):
    one = start("one", seconds=5, **first)
    line(one, "locked")
    begun(server, "one")
    status, said = done(start("two", **second))
    assert status == 75
    owner = Record.parse(server.ssh(f"cat {LOCK}"))
    assert said == f"host arm1 is in use by {owner}; --wait SECONDS waits\n"
    two = start("two", wait=60, **second)
    assert done(one) == (0, "measured\n")
    assert done(two) == (0, "locked\nmeasured\n")
    assert measured(server) == ["begin one", "end one", "begin two", "end two"]
    assert server.ssh(f"cat {LOCK}") == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"user": "root"}, {"user": "bob", "root": "/srv/neve"}),
        ({"user": "lab", "root": "/srv/neve"}, {"user": "tina"}),
        ({"user": "busy"}, {"user": "root"}),
    ],
)
def test_a_client_that_was_stopped_measures_no_more(server, start, first, second):
    """A suspended laptop, say: in the meantime another one has got in."""
    one = start("one", seconds=60, **first)
    line(one, "locked")
    begun(server, "one")
    before = Record.parse(server.ssh(f"cat {LOCK}"))
    one.send_signal(signal.SIGSTOP)
    two = start("two", wait=60, seconds=5, **second)
    line(two, "locked")
    assert Record.parse(server.ssh(f"cat {LOCK}")).token != before.token
    one.send_signal(signal.SIGCONT)
    status, said = done(one)
    assert status == 75, said
    assert "the lock is lost: no sign of life for 4 s" in said
    assert "measured" not in said
    assert done(two) == (0, "measured\n")
    assert measured(server) == ["begin one", "cut one", "begin two", "end two"]


def test_a_client_that_is_killed_leaves_nothing_that_runs(server, start):
    one = start("one", "lab", seconds=600)
    line(one, "locked")
    begun(server, "one")
    assert "performance" in server.ssh("cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    one.kill()
    two = start("two", "bob", wait=30)
    assert done(two) == (0, "locked\nmeasured\n")
    assert measured(server) == ["begin one", "cut one", "begin two", "end two"]


def test_commands_of_a_run_whose_lock_is_another_ones_are_not_run(server, tmp_path):
    with (
        pytest.raises(InfrastructureError, match=r"the lock is lost: eve@laptop since 2026-01-01T"),
        as_it_is(server.spec("bob"), tmp_path, 0) as host,
        locked(host, 0),
    ):
        server.ssh(f"echo '{OTHER.model_dump_json()}' >{LOCK}")
        host.run("touch /srv/run", check=False)
    assert server.ssh("ls /srv") == ""


def test_a_command_may_end_as_it_likes(server, tmp_path):
    with as_it_is(server.spec("lab"), tmp_path, 0) as host, locked(host, 0):
        assert [
            host.run(f"exit {status}", check=False).status for status in (1, 9, 75, 76, 77, 255)
        ] == [1, 9, 75, 76, 77, 255]


def test_a_run_whose_holder_ends_is_over(server, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT_SECONDS", 0.2)
    with (
        pytest.raises(InfrastructureError, match=r"lost .what holds the lock there has ended"),
        as_it_is(server.spec(), tmp_path, 0) as host,
        locked(host, 0),
    ):
        server.ssh(
            f"for each in /proc/[0-9]*; do [ $each/fd/9 -ef {LOCK} ] && "
            "kill -9 ${each#/proc/}; done; true"
        )
        until(lambda: not host.connection.is_connected)
        host.run("true")


def test_what_cannot_take_the_lock_does_not_have_it(server, tmp_path):
    server.ssh("mv /usr/bin/flock /usr/bin/flock.away")
    try:
        with (
            pytest.raises(InfrastructureError, match=r"lock can't be taken: .*flock: not found"),
            as_it_is(server.spec("tina"), tmp_path, 0) as host,
            locked(host, 0),
        ):
            pass
    finally:
        server.ssh("mv /usr/bin/flock.away /usr/bin/flock")


def test_a_lock_that_was_cleared_away_is_taken_anew(server, tmp_path):
    """Who waits at the old file does not have the new one."""
    with as_it_is(server.spec(), tmp_path, 0) as host:
        with pytest.raises(InfrastructureError, match="the lock is lost: nobody"), locked(host, 0):
            server.ssh("rm -rf /var/lib/neve")
            host.run("true")
        with locked(host, 0):
            assert Record.parse(server.ssh(f"cat {LOCK}"))


@pytest.mark.parametrize(
    ("change", "owner"),
    [
        ("os.environ['LOGNAME'] = 'jörg'", "jörg@"),
        ("os.environ['LOGNAME'] = 'a\\x1b[31mb'", "a?[31mb@"),
        (
            "[os.environ.pop(name, None) for name in ('LOGNAME', 'USER', 'LNAME', 'USERNAME')]; "
            "os.setuid(54321)",
            "uid 54321@",
        ),
    ],
)
def test_everybody_has_a_name(change, owner):
    if "setuid" in change and os.getuid():
        pytest.skip("only root can become somebody without an entry in passwd")
    script = (
        f"import os; from harness.machine.host.lock import Record; {change}; "
        "print(Record.parse(Record.ours('x').model_dump_json()))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        text=True,
        encoding="utf-8",
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": str(ROOT)},
    )
    assert said.stdout.startswith(owner), said.stderr


def test_who_waits_is_not_troubled_by_what_the_other_one_does(server, start, tmp_path):
    """Files come and go while the folder is looked at."""
    one = start("one", seconds=8)
    line(one, "locked")
    server.ssh(
        "mkdir -m 700 /var/lib/neve/files; cd /var/lib/neve/files; (umask 077; for round in "
        "$(seq 400); do for n in 1 2 3 4 5 6 7 8 9; do mkdir $n; : >$n/a; mv $n/a $n/b; done; "
        "rm -rf ./*; done) >/dev/null 2>&1 &"
    )
    two = start("two", "bob", wait=60)
    assert done(one) == (0, "measured\n")
    assert done(two) == (0, "locked\nmeasured\n")
