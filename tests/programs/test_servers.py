# SPDX-License-Identifier: MIT
"""What is done to a server, and what never is. OpenSSH's own server answers; QEMU's are tested
elsewhere."""

import fcntl
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from harness.deadline import Deadline
from harness.errors import HarnessError, InfrastructureError, NotNowError, UserError
from harness.machine.host import connection, departure, examination, server, ssh
from harness.machine.host.examination import server_findings
from harness.machine.host.server import Server
from harness.machine.host.ssh import ssh_host
from harness.model.inventory import SshHostSpec
from harness.paths import IMAGES
from tests.loopback import USER, new_key

HERE = "127.0.0.1"


@pytest.fixture
def power(tmp_path):
    """The file that a power cycle leaves."""
    return tmp_path / "POWER"


@pytest.fixture
def spec(client, tmp_path, power):
    """A server of an inventory, by its changes."""
    running = client.server()

    def make(**changes):
        return SshHostSpec.model_validate(
            {
                "name": "arm1",
                "address": HERE,
                "port": running.port,
                "user": USER,
                "root": str(tmp_path / "neve"),
                "power_cycle": f"touch {power}",
                "boot_seconds": 30,
                **changes,
            }
        )

    return make


def entered(spec, tmp_path):
    """The error of one who wants to get into `spec`, and how long that took."""
    started = time.monotonic()
    with pytest.raises(HarnessError) as caught, Server(spec, tmp_path).vendor_kernel(0):
        pass
    return caught.value, time.monotonic() - started


def test_a_missing_key_file_costs_no_power_and_no_time(spec, power, tmp_path):
    error, seconds = entered(spec(key_file=tmp_path / "typo"), tmp_path)
    assert isinstance(error, UserError)
    assert "typo: no such file" in str(error)
    assert seconds < 5
    assert not power.exists()


def test_a_key_that_is_refused_costs_no_power_and_no_time(spec, power, tmp_path):
    error, seconds = entered(spec(key_file=new_key(tmp_path / "wrong")), tmp_path)
    assert isinstance(error, UserError)
    assert f"refuses {USER}: {tmp_path}/wrong" in str(error)
    assert seconds < 5
    assert not power.exists()


def test_a_wrong_port_costs_no_power(spec, power, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "_ATTEMPT_SECONDS", 1.0)
    error, _ = entered(spec(port=1).model_copy(update={"boot_seconds": 1}), tmp_path)
    assert isinstance(error, InfrastructureError)
    assert "Connection refused" in str(error)
    assert not power.exists()


def test_too_many_keys_cost_no_power(client, spec, power, tmp_path):
    client.start_agent([new_key(tmp_path / f"key{number}") for number in range(8)])
    (client.folder / "config").write_text(
        f"UserKnownHostsFile {client.folder}/known_hosts\n"
        f"IdentityFile {tmp_path}/none\n"
        f"IdentityAgent {client.agent}\n"
    )
    error, seconds = entered(spec(), tmp_path)
    assert "it takes no more keys" in str(error)
    assert isinstance(error, UserError)
    assert seconds < 5
    assert not power.exists()


def test_a_command_for_sudo_that_fails_costs_no_power(client, spec, power, tmp_path):
    # Any user but root needs sudo: whose name the login has decides, and only root has one here.
    changed = spec(user=USER, sudo={"command": "sh -c 'echo locked >&2; exit 1'"})
    with pytest.raises(UserError, match=r"sudo's password: .*: locked"):
        server.Sudo.of(changed, "me")
    assert not power.exists()


class Rebooted(Server):
    """A server that has been taken from its own kernel."""

    def __init__(self, spec, transcripts):
        super().__init__(spec, transcripts)
        self._gone = True


def awaited(spec, tmp_path, seconds=1):
    with pytest.raises(HarnessError) as caught:
        Rebooted(spec, tmp_path)._await_own(Deadline(seconds, "its own kernel"))
    return caught.value


def test_power_is_cut_for_a_server_that_is_silent_after_our_boot(spec, power, tmp_path):
    awaited(spec(port=1).model_copy(update={"boot_seconds": 1}), tmp_path)
    assert power.exists()


def test_no_power_is_cut_for_one_that_answers(client, spec, power, tmp_path, monkeypatch):
    """Whatever it says: it is up."""
    monkeypatch.setattr(connection, "_SESSION_SECONDS", 1.0)
    wrong = new_key(tmp_path / "wrong")
    assert "refuses" in str(awaited(spec(key_file=wrong), tmp_path))
    few = client.server("MaxSessions 0")
    assert "MaxSessions" in str(awaited(spec(port=few.port), tmp_path))
    assert not power.exists()


def test_no_power_is_cut_where_the_way_there_is_closed(client, spec, power, tmp_path):
    error = awaited(spec(jump="127.0.0.1:1"), tmp_path)
    assert "by jump host 127.0.0.1: ssh: connect to host 127.0.0.1 port 1" in str(error)
    assert not power.exists()


def test_a_jump_host_that_is_down_costs_no_time(spec, power, tmp_path):
    error, seconds = entered(spec(jump="127.0.0.1:1"), tmp_path)
    assert isinstance(error, UserError)
    assert seconds < 10
    assert not power.exists()


def test_a_name_that_is_none_costs_no_time(spec, power, tmp_path):
    error, seconds = entered(spec(address="no-such-host.invalid"), tmp_path)
    assert isinstance(error, UserError)
    assert "can't be reached: no-such-host.invalid: " in str(error)
    assert seconds < 25
    assert not power.exists()


def test_the_cause_of_a_shell_that_runs_nothing(client, spec, tmp_path):
    nologin = client.server("ForceCommand echo This account is not available.; exit 1")
    error, seconds = entered(spec(port=nologin.port), tmp_path)
    assert "This account is not available" in str(error)
    assert isinstance(error, UserError)
    assert seconds < 10


@contextmanager
def refusing(words):
    """A port that says `words` in place of SSH's first line; the port, and a list of callers."""
    with socket.create_server((HERE, 0)) as listener:
        callers = []

        def serve():
            with suppress(OSError):
                while True:
                    peer, caller = listener.accept()
                    callers.append(caller)
                    peer.sendall(words)
                    peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], callers
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_server_that_says_not_now_is_asked_again(client, spec, tmp_path, monkeypatch):
    """As sshd does to who has failed too often (PerSourcePenalties, MaxStartups)."""
    monkeypatch.setattr(ssh, "_PATIENCE_SECONDS", 1.0)
    with (
        refusing(b"Not allowed at this time\r\n") as (port, callers),
        pytest.raises(NotNowError, match="it says: Not allowed at this time"),
        ssh_host(spec(port=port), tmp_path),
    ):
        pass
    assert len(callers) > 1


@pytest.mark.stress
def test_a_slow_login_is_waited_for(client, spec, tmp_path):
    if os.getuid():
        pytest.skip("only root may have sshd ask a command for keys")
    with tempfile.TemporaryDirectory(dir="/run") as folder:  # of root's alone
        slow = Path(folder) / "keys"
        slow.write_text(f"#!/bin/sh\nsleep 25\ncat {client.folder}/key.pub\n")
        slow.chmod(0o755)
        Path(folder).chmod(0o755)
        running = client.server(
            f"AuthorizedKeysCommand {slow}",
            "AuthorizedKeysCommandUser root",
            "AuthorizedKeysFile none",
        )
        with ssh_host(spec(port=running.port), tmp_path) as machine:
            assert machine.run("echo in", root=False).stdout == "in\n"


@pytest.fixture
def machine(spec, tmp_path):
    with ssh_host(spec(), tmp_path, prepare=False) as found:
        yield found


def test_a_package_manager_at_work_is_left_alone(machine, tmp_path, monkeypatch):
    lock = tmp_path / "lock-frontend"
    lock.touch()
    monkeypatch.setattr(departure, "_LOCKS", (str(tmp_path / "none"), str(lock)))
    departure.require_consent(machine)
    link = tmp_path / "another-name"
    link.hardlink_to(lock)
    with link.open("r+") as held:  # the same inode is not the same file
        fcntl.lockf(held, fcntl.LOCK_EX)
        departure.require_consent(machine)
    with lock.open("r+") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)  # as dpkg does
        said = rf"arm1 is not to be restarted now: \S+ \(process {os.getpid()}\) is changing"
        with pytest.raises(InfrastructureError, match=said):
            departure.require_consent(machine)
    departure.require_consent(machine)


def test_findings_are_each_by_itself_and_change_nothing(machine, spec, monkeypatch):
    asked = []
    run = machine.run

    def watched(command, **options):
        asked.append(command)
        if "MemAvailable" in command:
            raise InfrastructureError("got no answer within 60 s")
        return run(command, **options)

    monkeypatch.setattr(machine, "run", watched)
    for boot in ("own", "kexec"):
        found = {each.what: each for each in server_findings(machine, spec(boot=boot))}
        assert found["memory"].found == "got no answer within 60 s"
        assert not found["memory"].needed
        assert found["sessions"].good
        assert "inodes free" in found["disk"].found
    assert "no network card" in found["network"].found, "the loopback interface is none"
    assert not [
        word for command in asked for word in ("mount ", "mkdir", " > /", "tee") if word in command
    ]


@pytest.mark.parametrize(
    ("answers", "good", "found"),
    [
        (
            {"kexec_loaded": "yes", "kexec_load_disabled": "1"},
            False,
            "kernel.kexec_load_disabled is 1",
        ),
        (
            {"kexec_loaded": "yes", "limit_reboot": "0"},
            False,
            "kernel.kexec_load_limit_reboot is 0",
        ),
        (
            {"kexec_loaded": "yes", "kexec_load_disabled": "0", "limit_reboot": "-1"},
            True,
            "allows it",
        ),
        ({}, False, "the kernel has none"),
    ],
)
def test_kexec_may_be_switched_off(answers, good, found):
    def ask(command):
        return next((answer for part, answer in answers.items() if part in command), "")

    finding = examination._kexec(ask)
    assert finding.good == good
    assert found in finding.found


INHIBITORS = (
    '{"type":"a(ssssuu)","data":[[["sleep","Power","a",  "delay",0,1],'
    '["shutdown:idle","apt","installing packages","block",0,4711],'
    '["shutdown","Unattended","later","delay",0,2]]]}'
)


def test_inhibitors_are_named(client, spec, tmp_path):
    """systemd's answer, as busctl shows it. (A real one inhibits in the tests with QEMU.)"""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "busctl").write_text(f"#!/bin/sh\necho '{INHIBITORS}'\n")
    (programs / "busctl").chmod(0o755)
    running = client.server(f"SetEnv PATH={programs}:/usr/bin:/bin")
    with (
        ssh_host(spec(port=running.port), tmp_path, prepare=False) as machine,
        pytest.raises(InfrastructureError) as caught,
    ):
        departure.require_consent(machine)
    assert "apt (process 4711, user 0) inhibits it: installing packages." in str(caught.value)
    assert "Power" not in str(caught.value)
    assert "Unattended" not in str(caught.value)


def test_whoever_is_logged_in_is_told_and_waited_for(client, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(departure, "_POLL_SECONDS", 1)
    programs, left = tmp_path / "programs", tmp_path / "left"
    programs.mkdir()
    (programs / "wall").write_text(f"#!/bin/sh\ncat > {tmp_path}/told\n")
    (programs / "who").write_text(
        f"#!/bin/sh\necho {USER} pts/0\ntest -e {left} || echo alice pts/1\ntouch {left}\n"
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    running = client.server(f"SetEnv PATH={programs}:/usr/bin:/bin")
    wanted = spec(port=running.port, notice=120)
    with ssh_host(wanted, tmp_path, prepare=False) as machine:
        started = time.monotonic()
        departure.announce(machine, wanted)
    assert 0.9 < time.monotonic() - started < 60, "alice has left"
    assert "restarts within 3 min" in (tmp_path / "told").read_text()


LISTENER = '''\
import subprocess, sys, time
CONNECTION = """
import subprocess, sys, time
command = subprocess.Popen(["sleep", sys.argv[1]])
if sys.argv[1] == "0":
    command.wait()
print("ready", flush=True)
time.sleep(60)
"""
for seconds in sys.argv[1:]:
    subprocess.Popen([sys.executable, "-I", "-c", CONNECTION, seconds])
time.sleep(60)
'''


@pytest.mark.parametrize(
    ("connections", "sessions"),
    [((), 0), (("0",), 0), (("0", "0", "0"), 0), (("60", "0"), 1), (("60", "60"), 2)],
)
def test_a_session_is_who_has_been_let_in(tmp_path, connections, sessions):
    """The init of L0 counts them: dropbear has a child for each connection, which has one for each
    command of who has been let in. A connection alone is nobody."""
    init = (IMAGES / "rootfs" / "init").read_text()
    script = re.search(r'cat >/usr/bin/sessions <<"EOF"\n(.*?)^EOF$', init, re.M | re.S)[1]
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", LISTENER, *connections], stdout=subprocess.PIPE
    )
    try:
        (tmp_path / "pid").write_text(str(process.pid))
        program = tmp_path / "sessions"
        program.write_text(script.replace("/run/dropbear.pid", f"{tmp_path}/pid"))
        program.chmod(0o755)
        for _ in connections:
            assert process.stdout.readline() == b"ready\n"
        counted = f"PATH={tmp_path}:$PATH; {server._SESSIONS}"
        for _ in range(50):  # the last command may yet have to start
            if (found := int(subprocess.check_output(["sh", "-c", counted]))) == sessions:
                break
            time.sleep(0.2)
        assert found == sessions
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.communicate()
