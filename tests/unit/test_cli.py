# SPDX-License-Identifier: MIT
"""The command itself, as a user types it: one clear line and the right exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click.testing
import pytest

from harness import cli, process
from harness.errors import HarnessError, UserError
from harness.paths import PLAYBOOKS, ROOT

FALLBACK = PLAYBOOKS / "fallback.yaml"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "none.yaml"], "none.yaml: no such playbook; shipped are ablation, applications, "),
        (["plan", "playbooks/paper.yaml"], "playbooks/paper.yaml: no such playbook; shipped are "),
        (["plan", "lab"], "lab: no such playbook"),
        (["plan", "nightly"], "nightly: host arm1 is not in the inventory"),
        (["run", FALLBACK, "--only", "benchmark=nope"], "the playbook has hypercall"),
        (["run", FALLBACK, "--host", "elsewhere"], "unknown host: not in the playbook"),
        (
            ["run", FALLBACK, "--host", "127.0.0.1:1", "--only", "configuration=vm"],
            "can't be reached",
        ),
        (["run", FALLBACK, "--payload", "none.flat"], "payload: no file none.flat"),
        (["report"], "no run 'latest'"),
        (["compare", "a", "b"], "no run 'a'"),
        (["kernel", "import", "none"], "none: no such file"),
        (["kernel", "build", "--track", "v9"], "unknown track 'v9'"),
        (["shell", "--level", "l1"], "needs a terminal, or --command"),
        (["doctor", "--host", "127.0.0.1:1"], "can't be reached"),
        (["runn"], "No such command"),
        (["shell", "--level", "l7"], "l7"),
    ],
)
def test_wrong_input_ends_with_2_and_one_line(neve, arguments, complaint):
    done = neve(*arguments)
    assert done.returncode == 2, done.stderr
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_parts_may_be_named_one_by_one(neve):
    said = [
        neve("plan", FALLBACK, "--json", *words).stdout
        for words in (
            ("--only", "benchmark=hypercall,configuration=vm"),
            ("--only", "benchmark=hypercall", "--only", "configuration=vm"),
        )
    ]
    assert said[0] == said[1]
    assert "device-io" not in said[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("iterations: 0\nconfigurations: [vm]\nbenchmarks: [hypercall]\n", "must be at least 2"),
        ("configurations: [vm]\nbenchmarks: [hypercal]\n", "unknown value 'hypercal'"),
        ("configuration: [vm]\nbenchmarks: [hypercall]\n", "configuration: unknown key"),
    ],
)
def test_wrong_playbook_ends_with_2(neve, tmp_path, text, complaint):
    (tmp_path / "p.yaml").write_text(text)
    done = neve("run", "p.yaml")
    assert done.returncode == 2
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists(), "nothing was begun"


@pytest.mark.parametrize("said", ["QEMU emulator version 7.2.17 (Debian)", "something else"])
def test_old_qemu_is_refused(said, tmp_path, monkeypatch):
    from harness.build.image.emulator import emulator
    from harness.cache import Cache

    old = tmp_path / "qemu-system-aarch64"
    old.write_text(f"#!/bin/sh\necho '{said}'\n")
    old.chmod(0o755)
    monkeypatch.setenv("NEVE_QEMU", str(old))
    with pytest.raises(UserError, match=r"too old or no QEMU .*9\.0 or newer"):
        emulator(Cache(tmp_path))


def test_full_disk_is_said_with_2():
    error = process.explain(OSError(28, "No space left on device", "/x/y"))
    assert error.exit_code == 2
    assert str(error) == "disk full /x/y: free some space and repeat the command"


def test_full_disk_below_a_command_is_said_too():
    with pytest.raises(UserError, match="disk full sh: free some space"):
        process.run(["sh", "-c", "echo 'tar: No space left on device' >&2; exit 2"])


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("E: Failed to fetch x  Hash Sum mismatch", 2),
        ("E: The repository 'x' is not signed.", 2),
        ("Err:1 Could not resolve 'deb.example'", 75),
    ],
)
def test_damaged_download_is_refused_and_an_unreachable_archive_is_not(
    said, code, tmp_path, monkeypatch
):
    from harness.build import debian
    from harness.cache import Cache

    fake = tmp_path / "apt-get"
    fake.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 100\n')
    fake.chmod(0o755)
    monkeypatch.setattr(debian, "require", lambda program, package: str(fake))
    keyring = tmp_path / "keyring"
    keyring.touch()
    apt = debian.AptRoot.create(
        Cache(tmp_path), debian.Debian("http://x", keyring, ("trixie",), {})
    )
    with pytest.raises(HarnessError) as caught:
        apt.update()
    assert caught.value.exit_code == code
    assert said.removeprefix("E: ") in str(caught.value)


def test_plan_prints_the_matrix_and_runs_nothing(neve, tmp_path):
    done = neve("plan", FALLBACK, "--json")
    plan = json.loads(done.stdout)
    assert "tcg/nested-neve-vhe/1/hypercall" in plan["cells"]
    assert (
        "virt,accel=kvm,gic-version=3,dtb-randomness=off,virtualization=on"
        in (plan["commands"]["tcg: l1"])
    )
    assert not (tmp_path / "cache" / "artifacts").exists()


@pytest.mark.parametrize(
    ("words", "status", "said", "errors"),
    [
        (("runs", "--json"), 0, "[]\n", ""),
        (("report",), 2, "", "neve: no run 'latest' in runs: `neve runs` lists them\n"),
    ],
)
def test_a_process_ends_with_the_status(tmp_path, words, status, said, errors):
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, said, errors)


@pytest.mark.parametrize("name", ["fallback", "fallback.yaml"])
def test_a_shipped_playbook_has_a_name_unless_a_file_has_it(neve, tmp_path, name):
    shipped = neve("plan", name).stdout
    assert shipped == neve("plan", FALLBACK).stdout
    (tmp_path / "fallback").mkdir()  # no file
    assert neve("plan", name).stdout == shipped
    (tmp_path / "fallback").rmdir()
    (tmp_path / name).write_text("configurations: [vm]\nbenchmarks: [device-io-user]\n")
    assert neve("plan", name).stdout.startswith("tcg/vm/1/device-io-user\n")


def test_shipped_playbooks_are_told():
    for command in (cli.plan, cli.run):
        told = click.testing.CliRunner().invoke(command, ["--help"]).output
        assert all(path.stem in told for path in PLAYBOOKS.glob("*.yaml") if path.stem != "lab")
        assert f"\n  {PLAYBOOKS}\n" in told


def test_no_runs_yet_is_an_empty_list(neve):
    assert json.loads(neve("runs", "--json").stdout) == []


def licensed(name):
    """New files of Linux 4.10 have the notice of their day."""
    lines = (ROOT / name).read_text().splitlines()
    return "SPDX-License-Identifier" in "".join(lines[:3]) or (
        name.startswith("kernel-patches/v4.10/files/")
        and "the GNU General Public License version 2" in "\n".join(lines[:30])
    )


def test_every_file_names_its_licence():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    code = {".py", ".c", ".h", ".S", ".lds", ".toml", ".yaml", ".config", ".j2", ""}
    exempt = {
        ".gitignore",
        *(
            f"harness/results/templates/{name}.{kind}.j2"
            for name in ("report", "applications", "payload")
            for kind in ("md", "html")
        ),
    }
    missing = [
        name
        for name in tracked
        if Path(name).suffix in code
        and name not in exempt
        and not (ROOT / name).is_symlink()
        and not licensed(name)
    ]
    assert not missing
