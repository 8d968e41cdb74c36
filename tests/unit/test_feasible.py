# SPDX-License-Identifier: MIT
"""What can't be had is refused by `plan` and `run` alike, before anything is built."""

import pytest

from harness import cli
from harness.build.feasible import refuse_impossible
from harness.errors import UserError
from harness.model import playbook
from harness.model.setup import Setup

VM = "configurations: [vm]\nbenchmarks: [hypercall]\n"
NESTED = "configurations: [nested-neve-vhe]\nbenchmarks: [hypercall]\n"
APPLICATIONS = "configurations: [vm]\nbenchmarks: [nginx]\n"
QEMU = """#!/bin/sh
case "$*" in
*--version*) echo "QEMU emulator version 11.1.3" ;;
*"dumpdtb=/dev"*) echo "QEMU would replace the device" >&2; exit 1 ;;
*"-cpu max,"*|*"-cpu cortex-a57,"*) ;;
*"-cpu cortex-a15,"*)
	echo "qemu-system-aarch64: Property 'cortex-a15-arm-cpu.aarch64' not found" >&2; exit 1 ;;
*) echo "qemu-system-aarch64: unable to find CPU model 'cortex-m3000'" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def qemu(tmp_path):
    """Knows three processors, one of which has 32 bits."""
    program = tmp_path / "qemu-system-aarch64"
    program.write_text(QEMU, encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.fixture
def place(tmp_path, monkeypatch, qemu):
    monkeypatch.setenv("NEVE_QEMU", str(qemu))
    monkeypatch.chdir(tmp_path)
    return tmp_path


CASES = [
    (f"{NESTED}l2_memory: 60000", "l2_memory: 60000 MiB do not fit into l1_memory, 1024 MiB"),
    (f"{VM}l2_memory: 60000", "do not fit into the memory of host tcg, 2560 MiB"),
    (f"{NESTED}l1_memory: 2560", "l1_memory: 2560 MiB do not fit into the memory of host tcg"),
    (f"{APPLICATIONS}guest_cpus: 8", "guest_cpus: 8 are more than the 4 cpus of host tcg"),
    (f"{APPLICATIONS}specjvm: {{jar: ~/none.jar}}", "specjvm: no file ~/none.jar"),
    (f"{VM}vmm: sid", "vmm: no file sid, and no suite of Debian's (trixie, trixie-backports)"),
    (f"{VM}vmm: p.yaml", "vmm: p.yaml is no program for arm64"),
    (f"{VM}hosts: [arm1]", "host arm1: kernel_config: no file none.config"),
    (f"{APPLICATIONS}hosts: [arm2]", "host arm2: `cpus` isolates 2, but guests have 4 vCPUs"),
    ("configurations: [native]\nbenchmarks: [hypercall]", "nothing is left to run: tcg, native"),
    (f"{NESTED}hosts: [{{gic: 2}}]", "nothing is left to run: tcg, nested-neve-vhe: the track's"),
    (f"{VM}hosts: [{{cpu: cortex-m3000}}]", "with cpu 'cortex-m3000': unable to find CPU model"),
    (f"{VM}hosts: [{{cpu: cortex-a15}}]", "with cpu 'cortex-a15': it is not a 64-bit processor"),
]


@pytest.mark.parametrize("verb", ["plan", "run"])
@pytest.mark.parametrize(("text", "complaint"), CASES)
def test_the_impossible_is_one_line(place, verb, text, complaint):
    (place / "p.yaml").write_text(text, encoding="utf-8")
    (place / "lab.yaml").write_text(
        "hosts: [{name: arm1, address: a.invalid, kernel_config: none.config},"
        "{name: arm2, address: b.invalid, cpus: 2-3}]",
        encoding="utf-8",
    )
    with pytest.raises(UserError) as caught:
        cli.cli([verb, "p.yaml"], standalone_mode=False)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (place / "runs").exists()
    assert not (place / "cache").exists()


def test_memory_that_this_computer_has_not(tmp_path, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("M", (), {"total": 2 << 30}))
    book = playbook.validate({"configurations": ["vm"], "benchmarks": ["hypercall"]}, "p.yaml")
    with pytest.raises(UserError, match="2560 MiB are more than this computer's 2048 MiB"):
        refuse_impossible(Setup.of(book), "p.yaml")
    refuse_impossible(Setup.of(book), "p.yaml", here=False)


def test_without_an_emulator_nothing_is_asked_of_it_nor_downloaded(neve, tmp_path):
    (tmp_path / "p.yaml").write_text(f"{VM}hosts: [{{cpu: cortex-m3000}}]", encoding="utf-8")
    done = neve("plan", "p.yaml", http_proxy="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--resume", "nope"), "no run 'nope'"),
        (("--scheduler", "nonsense"), "expected an address such as tls://host:8786"),
        (("--payload", "p.yaml", "--resume", "x"), "no run 'x'"),
        (("--payload-arguments", "x"), "--payload-arguments needs --payload"),
        (("--payload-seconds", "9"), "--payload-seconds needs --payload"),
    ],
)
def test_options_in_vain_are_refused_first(neve, tmp_path, qemu, words, complaint):
    (tmp_path / "p.yaml").write_text(VM, encoding="utf-8")
    done = neve("run", "p.yaml", *words, NEVE_QEMU=str(qemu))
    assert done.returncode == 2
    assert complaint in done.stderr
    assert not (tmp_path / "cache").exists()


def test_a_file_where_the_runs_should_be_is_one_line(neve, tmp_path, qemu):
    (tmp_path / "p.yaml").write_text(VM, encoding="utf-8")
    (tmp_path / "runs").touch()
    done = neve("run", "p.yaml", NEVE_QEMU=str(qemu))
    assert done.returncode == 2
    assert done.stderr == "neve: runs: a file is where a folder is needed\n"
