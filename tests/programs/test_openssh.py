# SPDX-License-Identifier: MIT
"""Servers are reached as OpenSSH's client reaches them: its own server answers, its own `ssh -G`
says how."""

import base64
import time

import pytest

from harness.errors import DeniedError, NoWayError, UntrustedError, UserError
from harness.machine.host import connection
from harness.machine.host.openssh import settings
from harness.machine.host.ssh import ssh_host
from harness.model.inventory import SshHostSpec, parse_address
from tests.loopback import USER, keygen, new_key

BROKEN = """\
@cert-authority *.corp.example ssh-ed25519
oldest.example 1024 35 1234567890123456789
other.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIxx=
no line at all
"""


def answer(tmp_path, host="arm1", **changes):
    """What a server says that is reached by its name for ssh."""
    spec = parse_address(host).model_copy(update=changes)
    with ssh_host(spec, tmp_path, prepare=False) as machine:
        return machine.run("echo $SSH_CONNECTION", root=False).stdout.split()


def test_everything_of_the_configuration_counts(client, tmp_path):
    server = client.server()
    (client.folder / "elsewhere").write_text(f"the-name {server.host_key}\n")
    client.know()
    client.configure(f"""\
Host arm1
    HostName LocalHost
    User {USER}
    Port {server.port}
    HostKeyAlias the-name
    UserKnownHostsFile {client.folder}/elsewhere
    ProxyJump none
    IdentityFile ~/.ssh/no_such_key
""")
    assert answer(tmp_path)[3] == str(server.port)


def test_what_is_said_explicitly_wins(client, tmp_path):
    server = client.server()
    client.configure("Host 127.0.0.1\n    User nobody-there\n    Port 1\n    ProxyJump nowhere")
    known = client.folder / "mine"
    known.write_text(server.known())
    client.know()
    spec = SshHostSpec(
        name="a",
        address="127.0.0.1",
        user=USER,
        port=server.port,
        key_file=client.folder / "key",
        known_hosts=known,
    )
    found = settings(spec)
    assert (found.user, found.port, found.files) == (USER, server.port, (known,))
    assert found.identities == (client.folder / "key",)
    assert not found.others


@pytest.mark.parametrize(
    "line",
    [
        "[127.0.0.*]:{port} {key}\n",
        "!gate,[127.0.0.1]:{port},other {key}\n",
        "127.0.0.1 {key}\n",
        BROKEN + "[127.0.0.1]:{port} {key}\n" + BROKEN,
        "[127.0.0.1]:{port} {other}\n[127.0.0.1]:{port} {key}\n",
    ],
)
def test_known_hosts_as_openssh_reads_them(client, tmp_path, line):
    server = client.server()
    other = new_key(tmp_path / "other").with_suffix(".pub").read_text().rpartition(" ")[0]
    client.know(line.format(port=server.port, key=server.host_key, other=other))
    assert answer(tmp_path, f"127.0.0.1:{server.port}")


def test_hashed_names(client, tmp_path):
    server = client.server()
    keygen("-H", "-f", client.folder / "known_hosts")
    assert "127.0.0.1" not in (client.folder / "known_hosts").read_text()
    assert answer(tmp_path, f"127.0.0.1:{server.port}")


def test_a_server_with_keys_of_many_types_shows_the_known_one(client, tmp_path):
    rsa = new_key(tmp_path / "rsa", "rsa")
    server = client.server(f"HostKey {rsa}")
    client.know(f"[127.0.0.1]:{server.port} {rsa.with_suffix('.pub').read_text()}")
    assert answer(tmp_path, f"127.0.0.1:{server.port}")


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ("", "its key is not in known_hosts"),
        ("elsewhere {key}\n", "its key is not in known_hosts"),
        ("[127.0.0.1]:{port} {other}\n", "its key is not the known one"),
        ("@revoked * {key}\n[127.0.0.1]:{port} {key}\n", "its key is revoked"),
        ("!*127.0.0.1*,* {key}\n", "its key is not in known_hosts"),
        ("@cert-authority * {key}\n", "its key is not in known_hosts"),
    ],
)
def test_a_key_that_is_not_the_known_one_is_refused(client, tmp_path, lines, cause):
    server = client.server()
    other = new_key(tmp_path / "other").with_suffix(".pub").read_text().rpartition(" ")[0]
    client.know(lines.format(port=server.port, key=server.host_key, other=other))
    with pytest.raises(UntrustedError, match=cause):
        answer(tmp_path, f"127.0.0.1:{server.port}")


def test_keys_of_a_list_of_revoked_ones_are_refused(client, tmp_path):
    server = client.server()
    revoked = tmp_path / "revoked"
    keygen("-k", "-f", revoked, server.folder / "host_key.pub")
    client.configure(f"Host *\n    RevokedHostKeys {revoked}")
    with pytest.raises(UntrustedError, match="revoked"):
        answer(tmp_path, f"127.0.0.1:{server.port}")


@pytest.mark.parametrize(
    ("words", "good"),
    [
        (("-h", "-n", "127.0.0.1"), True),
        (("-h", "-n", "127.0.0.2"), False),
        (("-h",), True),
        (("-n", "127.0.0.1"), False),
        (("-h", "-V", "20200101:20210101"), False),
    ],
)
def test_certificates_of_hosts(client, tmp_path, words, good):
    authority, key = new_key(tmp_path / "authority"), new_key(tmp_path / "certified")
    keygen("-s", authority, "-I", "arm1", *words, tmp_path / "certified.pub")
    server = client.server(f"HostKey {key}", f"HostCertificate {tmp_path / 'certified-cert.pub'}")
    public = authority.with_suffix(".pub").read_text()
    client.know(f"@cert-authority 127.0.0.1,[127.0.0.1]:* {public}")
    if good:
        assert answer(tmp_path, f"127.0.0.1:{server.port}")
    else:
        with pytest.raises(UntrustedError, match=r"certificate|known_hosts"):
            answer(tmp_path, f"127.0.0.1:{server.port}")


def test_a_certificate_of_a_strange_authority_is_refused(client, tmp_path):
    for name in ("authority", "strange", "certified"):
        new_key(tmp_path / name)
    keygen("-s", tmp_path / "strange", "-I", "arm1", "-h", tmp_path / "certified.pub")
    server = client.server(
        f"HostKey {tmp_path / 'certified'}", f"HostCertificate {tmp_path / 'certified-cert.pub'}"
    )
    client.know(f"@cert-authority * {(tmp_path / 'authority.pub').read_text()}")
    with pytest.raises(UntrustedError, match="signed by an unknown authority"):
        answer(tmp_path, f"127.0.0.1:{server.port}")


@pytest.fixture
def behind(client):
    """A server and its jump host, which are both known."""
    return client.server(), client.server()


@pytest.mark.parametrize("configured", [True, False])
def test_jump_hosts(client, behind, tmp_path, configured):
    server, gate = behind
    jump = f"{USER}@127.0.0.1:{gate.port}"
    client.configure(
        f"Host arm1\n    HostName 127.0.0.1\n    Port {server.port}\n"
        + (f"    ProxyJump {jump}\n" if configured else "")
    )
    said = answer(tmp_path, **({} if configured else {"jump": jump}))
    assert said[3] == str(server.port)
    assert "Accepted publickey" in (gate.folder / "log").read_text()
    client.know(gate.known(), server.known().replace(server.host_key, gate.host_key))
    with pytest.raises(UntrustedError, match="its key is not the known one"):
        answer(tmp_path, **({} if configured else {"jump": jump}))


@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("lie", ["another", "none"])
def test_a_jump_host_must_be_the_known_one(client, behind, tmp_path, configured, lie):
    server, gate = behind
    client.know(
        server.known(),
        gate.known().replace(gate.host_key, server.host_key) if lie == "another" else "",
    )
    jump = f"127.0.0.1:{gate.port}"
    client.configure(
        f"Host arm1\n    HostName 127.0.0.1\n    Port {server.port}\n"
        "    StrictHostKeyChecking no\n"
        + (f"    ProxyJump {jump}\n" if configured else "")
        + "Host *\n    StrictHostKeyChecking no\n"
    )
    said = "has changed" if lie == "another" else "key is known"
    with pytest.raises(
        UntrustedError, match=rf"by jump host 127.0.0.1: [^;]*{said}.*; Host key verification"
    ):
        answer(tmp_path, **({} if configured else {"jump": jump}))
    assert "Accepted" not in (gate.folder / "log").read_text()


def test_two_jump_hosts_and_one_that_is_not_known(client, behind, tmp_path):
    server, gate = behind
    outer = client.server()
    client.configure(
        f"Host arm1\n    HostName 127.0.0.1\n    Port {server.port}\n"
        f"    ProxyJump 127.0.0.1:{outer.port},127.0.0.1:{gate.port}\n"
        "Host *\n    StrictHostKeyChecking no\n"
    )
    assert answer(tmp_path)
    client.know(server.known(), gate.known())
    with pytest.raises(UntrustedError, match="Host key verification failed"):
        answer(tmp_path)
    assert (outer.folder / "log").read_text().count("Accepted publickey") == 1


def test_a_proxy_command(client, tmp_path):
    server = client.server()
    client.configure(
        f"Host arm1\n    HostName 127.0.0.1\n    Port {server.port}\n    ProxyCommand nc %h %p\n"
    )
    program = client.folder / "bin" / "nc"
    program.write_text(
        "#!/usr/bin/env python3\nimport sys\n"
        "from tests.integration.server.connect import connect\n"
        "connect(int(sys.argv[2]))\n"
    )
    program.chmod(0o755)
    from harness.paths import ROOT

    program.write_text(
        program.read_text().replace(
            "import sys\n", f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        )
    )
    assert answer(tmp_path)
    program.write_text("#!/bin/sh\necho no way through >&2; exit 1\n")
    with pytest.raises(NoWayError, match="no way through"):
        answer(tmp_path)


def test_many_keys_in_the_agent(client, tmp_path):
    server = client.server()
    keys = [new_key(tmp_path / f"key{number}") for number in range(8)]
    right = client.folder / "key"
    client.start_agent([*keys, right])
    right.unlink()  # the public half is left to say which one it is
    where = f"127.0.0.1:{server.port}"
    assert answer(tmp_path, where)
    assert answer(tmp_path, where, key_file=right)
    assert answer(tmp_path, where, key_file=right.with_suffix(".pub"))
    client.configure(f"Host *\n    IdentityFile {tmp_path}/none")
    (client.folder / "config").write_text(
        (client.folder / "config").read_text().replace(f"IdentityFile {right}", "")
    )
    with pytest.raises(DeniedError, match=r"no more keys after the agent's key0, .*`key_file`"):
        answer(tmp_path, where)


def test_a_key_with_a_passphrase_is_the_agents(client, tmp_path):
    server = client.server()
    keygen("-p", "-f", client.folder / "key", "-N", "horse")
    where = f"127.0.0.1:{server.port}"
    with pytest.raises(DeniedError, match="key has a passphrase, and no agent has it"):
        answer(tmp_path, where)


def test_users_certificate(client, tmp_path):
    authority = new_key(tmp_path / "authority")
    server = client.server(f"TrustedUserCAKeys {authority}.pub", "AuthorizedKeysFile none")
    config = server.folder / "config"
    assert "AuthorizedKeysFile none" in config.read_text()
    keygen("-s", authority, "-I", "me", "-n", USER, client.folder / "key.pub")
    assert answer(tmp_path, f"127.0.0.1:{server.port}")


def test_a_missing_key_file_is_told_at_once(tmp_path):
    spec = SshHostSpec(name="arm1", address="127.0.0.1", key_file=tmp_path / "typo")
    with pytest.raises(UserError, match=r"key_file .*typo: no such file"):
        settings(spec)


def test_what_ssh_says_of_a_broken_configuration(client, tmp_path):
    client.configure('Host "a b')
    with pytest.raises(UserError, match="invalid quotes") as caught:
        answer(tmp_path)
    assert "\n" not in str(caught.value)


def test_fabrics_own_files_have_no_part(client, tmp_path, monkeypatch):
    (tmp_path / "home" / ".fabric.yaml").write_text("run: {pty: true}\nuser: nobody\n")
    monkeypatch.setenv("FABRIC_RUN_PTY", "1")
    server = client.server()
    spec = parse_address(f"127.0.0.1:{server.port}")
    with ssh_host(spec, tmp_path, prepare=False) as machine:
        done = machine.run("echo out; echo error >&2", root=False)
    assert (done.stdout, done.stderr) == ("out\n", "error\n")


def test_ipv6(client, tmp_path):
    server = client.server(address="::1")
    assert answer(tmp_path, f"{USER}@[::1]:{server.port}")[0] == "::1"


@pytest.mark.parametrize("most", [1, 2])
def test_few_sessions(client, tmp_path, most):
    """sshd counts those of a connection."""
    server = client.server(f"MaxSessions {most}")
    spec = parse_address(f"127.0.0.1:{server.port}")
    with ssh_host(spec, tmp_path, prepare=False) as machine:
        programs = [machine.start(["cat"], name) for name in ("lock", "vmm")]
        for number in range(10):
            assert machine.run(f"echo {number}", root=False).stdout == f"{number}\n"
        for program in programs:
            program.send("still there\n")
    assert (server.folder / "log").read_text().count("Accepted publickey") == 4 - most


def test_no_session_at_all(client, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "_SESSION_SECONDS", 1.0)
    server = client.server("MaxSessions 0")
    started = time.monotonic()
    with pytest.raises(Exception, match="MaxSessions"):
        answer(tmp_path, f"127.0.0.1:{server.port}")
    assert time.monotonic() - started < 30


def test_a_key_file_is_no_public_key(client, tmp_path):
    server = client.server()
    file = tmp_path / "rubbish"
    file.write_bytes(base64.b64encode(b"rubbish"))
    with pytest.raises(DeniedError, match="rubbish can't be read"):
        answer(tmp_path, f"127.0.0.1:{server.port}", key_file=file)
