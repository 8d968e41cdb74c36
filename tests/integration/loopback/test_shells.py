# SPDX-License-Identifier: MIT
"""Commands and answers through whatever login shell there is, and whatever it says."""

import re
import shlex

import pytest

from harness.bench.traps import events
from harness.deadline import Deadline
from harness.errors import DeniedError, InfrastructureError
from harness.machine.host.as_it_is import as_it_is
from harness.machine.host.lock import locked

pytestmark = pytest.mark.timeout(120)
USERS = ["root", "lab", "ruth", "tina", "fred", "wendy", "busy"]
WORDS = [
    'it\'s "quoted"',
    "!hist:keys=ec",
    "a\\b\\\\c\\n",
    "$HOME `id` $(id) ${x}",
    "two\nlines\n",
    "jörg\ttab",
    "100% %s %d",
    "~root {a,b} * ? [a-z] ^a^b #",
    "",
    "-n",
    "\\0101 \\c",
    "@@begin-x",
]


@pytest.fixture(params=USERS)
def host(request, server, tmp_path):
    with as_it_is(server.spec(request.param), tmp_path, 0) as host:
        yield host


def test_words_arrive_as_they_are(host):
    for word in WORDS:
        quoted = "'" + word.replace("'", "'\\''") + "'"
        said = host.run(f"printf '%s|%s' \"$(id -u)\" {quoted}")
        assert said.stdout == f"0|{word}"
        assert host.run(f"printf %s {quoted} >&2", root=False).stderr == word


def test_words_of_a_program_arrive_as_they_are(host):
    script = 'echo "<$#:"; for each; do printf "<%s>\\n" "$each"; done'
    for terminal in (True, False):
        program = host.start(["sh", "-c", script, "sh", *WORDS], "words", terminal=terminal)
        said = program.expect(r"(?s)<12:.*<@@begin-x>", Deadline(20, "the words"))[0]
        assert said.replace("\r\n", "\n") == "<12:\n" + "\n".join(f"<{word}>" for word in WORDS)
        assert program.wait(Deadline(20, "the end")) == 0


def test_status_and_outputs_are_the_commands_own(host):
    assert host.run("echo out; echo err >&2; exit 7", check=False) == type(host.run("true"))(
        7, "out\n", "err\n"
    )
    assert host.run("printf no-end-of-line").stdout == "no-end-of-line"
    assert host.read("echo 42", r"(\d+)\n")[1] == "42"
    assert host.run("ls /etc/passwd").stdout == "/etc/passwd\n"
    with pytest.raises(InfrastructureError, match=r"'cat /nowhere' ended with status 1: [^\n]*"):
        host.run("cat /nowhere")


def test_a_trigger_is_taken_back(host, server):
    """Whose `!` is history to csh."""
    server.ssh("mkdir -p /sys/kernel/tracing/events/kvm/kvm_exit")
    trigger = events()[-1].trigger
    assert (
        host.run(
            f"echo '!{trigger}' > /sys/kernel/tracing/trigger; cat /sys/kernel/tracing/trigger"
        ).stdout
        == f"!{trigger}\n"
    )


def test_an_answer_that_is_none_is_one_line(host):
    with pytest.raises(InfrastructureError, match="to 'echo Welcome': 'Welcome'") as failure:
        host.read("echo Welcome", r"(\d+)\n")
    assert "\n" not in str(failure.value)
    with pytest.raises(InfrastructureError, match=r"unexpected answer to .*nowhere"):
        host.read("cat /nowhere", r"(\d+)\n")


def test_a_server_with_nothing_but_busybox(server, tmp_path):
    """Whose sh it is, too."""
    file = tmp_path / "file"
    file.write_bytes(b"content" * 10000)
    server.ssh("cp /bin/busybox /tmp/busybox; mount --bind /tmp/busybox /usr/bin/dash")
    try:
        with as_it_is(server.spec("busy"), tmp_path, 0) as host, locked(host, 0):
            assert host.run("sh --help 2>&1 | head -n 1").stdout.startswith("BusyBox")
            assert host.run(f"cat {host.put(file)}").stdout == "content" * 10000
            for word in WORDS:
                quoted = shlex.quote(word)
                assert host.run(f"printf %s {quoted}").stdout == word
    finally:
        server.ssh("umount -l /usr/bin/dash")


def test_a_shell_that_runs_nothing_is_named(server, tmp_path):
    said = "the login shell of nora runs no command; it says: This account is currently not"
    with pytest.raises(DeniedError, match=said), as_it_is(server.spec("nora"), tmp_path, 0):
        pass


def test_a_wrong_password_is_tried_once(server, tmp_path, monkeypatch):
    """Every further one counts against the user."""
    monkeypatch.setenv("LAB_SUDO", "wrong")
    from harness.machine.host import sudo

    sudo._fetched.cache_clear()
    server.ssh("echo 'Defaults logfile=/tmp/sudo.log' >/etc/sudoers.d/log")
    try:
        with (
            pytest.raises(DeniedError, match="sudo does not take the password"),
            as_it_is(server.spec("lab"), tmp_path, 0),
        ):
            pass
        # sudo notes the end of three attempts, and of those that were broken off
        assert not re.search(r"[23] incorrect", server.ssh("cat /tmp/sudo.log"))
    finally:
        sudo._fetched.cache_clear()
        server.ssh("rm /etc/sudoers.d/log")


def test_what_sudo_logs_can_be_read(server, tmp_path):
    """By the administrator, who wants to know what root ran."""
    server.ssh("echo 'Defaults logfile=/tmp/sudo.log, loglinelen=0' >/etc/sudoers.d/log")
    try:
        with as_it_is(server.spec("tina"), tmp_path, 0) as host:
            host.run("test -d /etc && echo 'it is there'")
        assert "test -d /etc && echo" in server.ssh("cat /tmp/sudo.log")
    finally:
        server.ssh("rm /etc/sudoers.d/log")
