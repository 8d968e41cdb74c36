# SPDX-License-Identifier: MIT
"""What people write in YAML: one line that says what is wrong and where, whatever it is."""

import pytest

from harness.errors import UserError
from harness.model import playbook
from harness.model.document import read_yaml

GOOD = "configurations: [vm]\nbenchmarks: [hypercall]\n"


def refused(tmp_path, text):
    file = tmp_path / "p.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        playbook.load(file)
    message = str(caught.value).removeprefix(str(file))
    assert message != str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            "name: 2026-13-45",
            ":3: '2026-13-45' means different things in different versions of YAML",
        ),
        ("name: 2026-11-27", ":3: '2026-11-27' means different things"),
        ("name: !!timestamp '2026-13-45'", ":3: '2026-13-45' means different things"),
        (
            "name: NO",
            ":3: 'NO' means different things in different versions of YAML: write true or",
        ),
        ("iterations: 0100", ":3: '0100' means different things"),
        ("iterations: 0x10", ":3: '0x10' means different things"),
        ("iterations: 1:40", ":3: '1:40' means different things"),
        ("iterations: 1_000", ":3: '1_000' means different things"),
        (f"iterations: {'9' * 5000}", ":3: '9999"),
        ("repetitions: yes", ":3: 'yes' means different things"),
        ("check: on", ":3: 'on' means different things"),
        ("on: 3", ":3: a key is a word"),
        ("1: 3", ":3: a key is a word"),
        ("[a]: 3", ":3: a key is a word"),
        (
            "iterations: 5\nname: a\niterations: 6",
            ":5: iterations is listed twice, first in line 3",
        ),
        ("hosts:\n- name: a\n  name: b", ":5: name is listed twice, first in line 4"),
        (f"hosts: {'[' * 3000}", ":3: is not YAML: nested too deeply"),
        (f"hosts: {'{a: ' * 3000}", ":3: is not YAML: nested too deeply"),
        ("hosts: &a [*a]", ": hosts.0: expected a mapping of keys to values, not a list"),
        ("name: !!python/name:os.system", ":3: the tag tag:yaml.org,2002:python/name:os.system is"),
        ('name: "a\\0b"', ":3: text with a NUL"),
        ('specjvm: {jar: "\\ud800"}', ":3: text with a NUL or half a character"),
        (f"---\n{GOOD}", ":3: is not YAML: but found another document"),
        ("repetitions: true", ": repetitions: expected a whole number, not true"),
        ("iterations: '1000'", ": iterations: expected a whole number, not '1000'"),
        ("iterations: 2.5", ": iterations: expected a whole number, not 2.5"),
        ("check: 1", ": check: expected true or false, not 1"),
        ("benchmark_seconds: .inf", ": benchmark_seconds: expected a finite number, not inf"),
        ("nested_share: .nan", ": nested_share: expected a finite number, not nan"),
        ("kernel: 7.3", ": kernel: expected text, not 7.3: quote it"),
        ("kernel: 7.x", ": kernel: '7.x' is not a version of Linux, as 7.3 or 7.3.4"),
        ("kernel: '7.1'", ": kernel is Linux 7.1; track upstream needs 7.2 or newer"),
        (f"name: {'a' * 300}", ": name: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa… is not a name"),
        ("trap_iterations: [100, 1100]", ": trap_iterations: expected a whole number, not a list"),
        ("hosts: {a: b}", ": hosts: expected a list, not a mapping"),
        ("hosts: [{kind: xen}]", ": hosts.0: kind: unknown value 'xen', expected 'tcg', 'ssh'"),
        ("hosts: [{cpu: 'max,,x'}]", ": hosts.0.cpu: 'max,,x' is not a processor of QEMU's"),
    ],
)
def test_what_is_meant_differently_or_is_wrong_is_one_line(tmp_path, line, complaint):
    assert refused(tmp_path, f"{GOOD}{line}\n").startswith(complaint)


def test_only_the_cause_is_said(tmp_path):
    assert refused(tmp_path, f"{GOOD}hosts: [{{cpus: 0}}]\n") == (
        ": hosts.0.cpus: must be at least 2, not 0"
    )
    assert refused(tmp_path, "configurations: []\nbenchmarks: [hypercall]\n") == (
        ": configurations: must have an entry"
    )


@pytest.mark.parametrize(
    "text",
    [
        "name: Übung\n",
        "name: '0100'\n",
        "iterations: 100\n",
        "share: 0.5\n",
        "a: -1\nb: 1.5e-3\n",
        "check: True\n",
        "a:\nb: ~\n",
        "x: &h {name: a, cpus: 4}\ny: {<<: *h, name: b}\n",
        "\ufeffname: a\r\n",
        "a: 10.0.0.1\nb: fe80::1\nc: 4-7\nd: 7.3.4\ne: 1,2\n",
    ],
)
def test_what_is_clear_is_read(tmp_path, text):
    file = tmp_path / "p.yaml"
    file.write_text(text, encoding="utf-8")
    assert read_yaml(file, "a playbook")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\xff\xfe\x00\x01", "not text in UTF-8"),
        ("name: a".encode("utf-16"), "not text in UTF-8"),
        (b"a: \x07", "is not YAML: "),
        (b"", "a playbook is a mapping"),
        (b"- 1", "is a mapping"),
    ],
)
def test_what_is_no_yaml_is_one_line(tmp_path, content, complaint):
    (tmp_path / "p.yaml").write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_yaml(tmp_path / "p.yaml", "a playbook")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
