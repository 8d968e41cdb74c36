# SPDX-License-Identifier: MIT
import json
import pickle

import pytest

from harness.errors import UserError
from harness.machine.host.lock import Record
from harness.machine.host.sudo import Sudo
from harness.model import playbook
from harness.model.inventory import Inventory, SshHostSpec, parse_address
from harness.paths import PLAYBOOKS

BOOK = "hosts: [arm1]\nconfigurations: [vm]\nbenchmarks: [hypercall]\n"


def inventory(tmp_path, text):
    file = tmp_path / "lab.yaml"
    file.write_text(text)
    return Inventory.load(file)


def test_the_shipped_one_is_valid():
    first, second = Inventory.load(PLAYBOOKS / "lab.yaml").hosts
    assert first.isolated == (4, 5, 6, 7)
    assert second.user == "root"


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("{name: a}", "hosts.0.address: is missing"),
        ("{name: a, address: b, password: c}", "hosts.0.password: unknown key"),
        ("{name: a, address: b, cpus: '3'}", "two vCPUs"),
        ("{name: a, address: b, sudo: {}}", "one of environment, command, prompt"),
        ("{name: a, address: b, sudo: {prompt: true, command: c}}", "one of environment"),
        ("{name: a, address: b}, {name: a, address: c}", "a name is listed twice"),
        ("{name: a, address: b, boot: entry}", "entry: the command that chooses it goes with boot"),
        ("{name: a, address: b, entry: grub-reboot neve}", "goes with boot: entry"),
        (
            "{name: a, address: 'localhost:2200'}",
            "'localhost:2200' is neither a host name nor an address; a port goes into `port`",
        ),
        ("{name: a, address: '[::1]:22'}", "a port goes into `port`"),
        ("{name: a, address: '1:2'}", "neither a host name"),
        ("{name: a, address: b, jump: 'gate:99999'}", "99999 is not a port"),
        ("{name: a, address: b, jump: '-x@gate'}", "'-x' is not a user name"),
        ('{name: a, address: b, power_cycle: "ipmi \'on"}', "power_cycle: No closing quotation"),
        ("{name: a, address: b, console: ' '}", "console: no command"),
        ('{name: a, address: b, sudo: {command: "pass \'x"}}', "No closing quotation"),
    ],
)
def test_wrong_input_is_one_clear_line(tmp_path, entry, complaint):
    with pytest.raises(UserError) as caught:
        inventory(tmp_path, f"hosts: [{entry}]")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a; reboot"},
        {"address": "b$(id)"},
        {"address": "-oProxyCommand=id"},
        {"address": "b\nc"},
        {"user": "root:x:0:0"},
        {"user": "me`id`"},
        {"root": "/"},
        {"root": "/var/lib/neve; id"},
        {"root": "/var/../etc"},
        {"root": "var/neve"},
        {"root": "/etc"},
        {"cpus": "1,2 init=/bin/sh"},
        {"jump": "-oProxyCommand=id"},
        {"jump": "me@gate;id"},
        {"root": "/var/lib/neve\n/etc"},
    ],
)
def test_hostile_values_are_refused(change):
    with pytest.raises(ValueError, match="validation error"):
        SshHostSpec.model_validate({"name": "a", "address": "b", **change})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("arm1", (None, "arm1", None)),
        ("me@arm1:2200", ("me", "arm1", 2200)),
        ("root@[::1]:2200", ("root", "::1", 2200)),
        ("[::1]", (None, "::1", None)),
        ("::1", (None, "::1", None)),
        ("me@fe80::1%eth0", ("me", "fe80::1%eth0", None)),
        ("me@corp.example@arm1:22", ("me@corp.example", "arm1", 22)),
    ],
)
def test_addresses_as_people_write_them(text, parts):
    spec = parse_address(text)
    assert (spec.user, spec.address, spec.port) == parts


@pytest.mark.parametrize("address", ["::1", "fe80::1%eth0", "10.0.0.1", "a_b.c-d"])
def test_addresses_of_an_inventory(tmp_path, address):
    assert inventory(tmp_path, f"hosts: [{{name: a, address: '{address}'}}]").hosts[0].port is None


@pytest.mark.parametrize(
    "address",
    [
        "me@a;id",
        "$(id)@a",
        "a b",
        "-oX@a",
        "@",
        "",
        "a:b",
        "a:0",
        "me@",
        "@a",
        "[a",
        "[::1]x",
        "a@-b",
        "::g",
        "a\n",
    ],
)
def test_hostile_addresses_are_refused(address):
    with pytest.raises(UserError):
        parse_address(address)


def test_files_lie_beside_the_inventory(tmp_path):
    lab = inventory(tmp_path, "hosts: [{name: a, address: b, key_file: key, known_hosts: /k}]")
    assert lab.hosts[0].key_file == tmp_path / "key"
    assert str(lab.hosts[0].known_hosts) == "/k"


def test_a_playbook_names_hosts_of_the_inventory(tmp_path):
    lab = inventory(tmp_path, "hosts: [{name: arm1, address: b}, {name: arm2, address: c}]")
    file = tmp_path / "p.yaml"
    file.write_text(BOOK)
    book = playbook.load(file, lab)
    assert book.hosts == (lab.hosts[0],)
    assert playbook.on_host(book, "arm2", lab).hosts == (lab.hosts[1],)
    with pytest.raises(UserError, match="arm1 is not in the inventory"):
        playbook.load(file)


def test_other_waits_are_the_same_run():
    short, long = (
        SshHostSpec(name="a", address="b", boot_seconds=seconds, silence=seconds)
        for seconds in (60, 900)
    )
    assert short.model_dump() == long.model_dump()
    with pytest.raises(ValueError, match="greater than or equal to 30"):
        SshHostSpec(name="a", address="b", boot_seconds=29)


def test_no_secret_and_no_command_reaches_the_metadata(tmp_path):
    lab = inventory(
        tmp_path,
        "hosts: [{name: arm1, address: b, sudo: {command: give-it}, "
        "power_cycle: ipmi -P horse, console: ipmi -P horse}]",
    )
    file = tmp_path / "p.yaml"
    file.write_text(BOOK)
    dumped = json.dumps(playbook.load(file, lab).model_dump(mode="json"))
    assert "horse" not in dumped
    assert "give-it" not in dumped


def test_password_comes_from_its_source_and_is_not_shown(monkeypatch):
    def host(**source):
        return SshHostSpec(name="a", address="b", user="me", sudo=source or None)

    monkeypatch.setenv("PASSWORD_OF_A", "horse")
    assert Sudo.of(host(environment="PASSWORD_OF_A"), "me").password == "horse"
    assert Sudo.of(host(command="printf 'two words\\n'"), "me").password == "two words"
    assert "horse" not in repr(Sudo.of(host(environment="PASSWORD_OF_A"), "me"))
    assert Sudo.of(host(), "me").password is None
    assert Sudo.of(SshHostSpec(name="a", address="b"), "root") is None
    with pytest.raises(UserError, match="NOT_SET is not set"):
        Sudo.of(host(environment="NOT_SET"), "me")


def test_a_password_is_asked_for_once_and_goes_along_unseen(monkeypatch):
    questions = []
    monkeypatch.setattr("getpass.getpass", lambda question: questions.append(question) or "horse")
    spec = SshHostSpec(name="a", address="b", user="me", sudo={"prompt": True})
    assert Sudo.of(spec, "me").password == "horse"
    in_a_worker = pickle.loads(pickle.dumps(spec))
    assert Sudo.of(in_a_worker, "me").password == "horse"
    assert questions == ["sudo's password on a: "]
    for shown in (
        repr(in_a_worker),
        str(in_a_worker),
        in_a_worker.model_dump_json(),
        in_a_worker.sudo.model_dump_json(),
    ):
        assert "horse" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "null",
        '{"owner": "a", "since": "b", "token": {}, "boot_id": "c"}',
        '{"owner": "\\u001b[2J", "since": "b", "token": "c", "boot_id": "d"}',
    ],
)
def test_what_is_no_record_of_a_lock_is_none(text):
    assert Record.parse(text) is None


def test_record_of_a_lock_survives_its_file():
    record = Record.ours("boot")
    assert Record.parse(record.model_dump_json()) == record
