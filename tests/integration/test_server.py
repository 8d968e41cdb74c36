# SPDX-License-Identifier: MIT
"""A server from nothing to numbers and back: Debian, known by its address and its key alone."""

import json
import shlex

import pytest

from harness.bench.workload.micro import TICKS
from harness.paths import ROOT
from harness.results.store import RunFolder
from tests.documents import commands, text_of
from tests.integration.conftest import finish, neve
from tests.integration.server.machine import CPU, PASSWORD, running

pytestmark = pytest.mark.timeout(3600)  # an emulated server on a busy machine takes its time
PLAYBOOK = """\
name: server
track: {track}
hosts: [arm1]
configurations: [vm]
benchmarks: [{benchmarks}]
iterations: 200
warmup: 20
trap_iterations: 20
"""
# What a running Debian writes by itself: logs, logins, seeds, stamps of timers, what sudo notes.
ITS_OWN = (
    "/var/log",
    "/var/lib/systemd",
    "/var/lib/wtmpdb",
    "/var/lib/lastlog",
    "/var/lib/sudo",
    "/home/lab/.sudo_as_admin_successful",
    "/var/tmp",
    "/tmp",
)
SNAPSHOT = (
    "find / -xdev \\( {skipped} \\) -prune -o -printf '%p|%y|%m|%U:%G|%l\\n' | sort; "
    "find / -xdev \\( {skipped} \\) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum"
).format(skipped=" -o ".join(f"-path {path}" for path in ITS_OWN))


@pytest.fixture
def own_kernel(server):
    release = server.ssh("uname -r")
    yield
    assert server.ssh("uname -r") == release, "the server is back in its own kernel"


def playbook(folder, track="v4.10", benchmarks="hypercall"):
    file = folder / f"{track}.yaml"
    file.write_text(PLAYBOOK.format(track=track, benchmarks=benchmarks))
    return file


def run(server, cwd, *arguments, **changes):
    environment = {"ARM1_SUDO": changes.pop("password", PASSWORD)}
    inventory = server.inventory(**changes)
    words = [inventory if word == "INVENTORY" else word for word in arguments]
    return finish(neve(*words, cwd=cwd, **environment), cwd)


# The thin one is for every machine. Not `max`: with FEAT_LPA2, Debian's 6.12 follows a null table
# in kexec_load(2); with FEAT_S1PIE, its kexec may not write where its own text lies.
@pytest.mark.parametrize(
    ("server", "track", "version"),
    [
        (CPU, "upstream", "7."),
        pytest.param(CPU, "v4.10", "4.10", marks=pytest.mark.stress),
        pytest.param("neoverse-v1", "upstream", "7.", marks=pytest.mark.stress),
    ],
    indirect=["server"],
    scope="module",  # or the server would end with the test
)
def test_deploy_measure_and_undeploy(request, server, track, version, own_kernel, tmp_path):
    if track == "v4.10":
        request.getfixturevalue("v4_10")
    deploy_measure_and_undeploy(server, tmp_path, track, version)


ENTRY = {"boot": "entry", "entry": "grub-reboot neve"}


@pytest.mark.stress
def test_entry_of_the_boot_loader(tmp_path):
    """UEFI, ACPI and GRUB, whose entry for us is chosen for one boot."""
    with running(tmp_path, uefi=True) as server:
        deploy_measure_and_undeploy(server, tmp_path, "upstream", "7.", **ENTRY)


@pytest.mark.stress
def test_entry_that_does_not_boot_gives_the_server_back(v4_10, tmp_path):
    """Today's firmware does not take Linux 4.10 for a program of its own."""
    with running(tmp_path, uefi=True) as server:
        file, power = playbook(tmp_path), {"power_cycle": None}
        done = run(server, tmp_path, "deploy", "INVENTORY", "--playbook", file, **ENTRY, **power)
        assert done.status == 0, done.output
        done = run(server, tmp_path, "run", file, "--inventory", "INVENTORY", **ENTRY, **power)
        assert done.status == 75, done.output
        assert "the server is back in its own kernel" in done.output
        assert "cannot load image" in done.output
        assert "neve." not in server.ssh("cat /proc/cmdline; ls /var/lib/neve/boot")


def deploy_measure_and_undeploy(server, tmp_path, track, version, **changes):
    file = playbook(tmp_path, track)
    before = server.ssh(SNAPSHOT)
    done = run(server, tmp_path, "deploy", "INVENTORY", "--playbook", file, **changes)
    assert done.status == 0, done.output
    assert "ok    KVM (EL2)" in done.output
    again = run(server, tmp_path, "deploy", "INVENTORY", "--playbook", file, **changes)
    assert "sent nothing" in again.output, again.output
    boot = server.ssh("cat /proc/sys/kernel/random/boot_id")
    done = run(server, tmp_path, "run", file, "--inventory", "INVENTORY", **changes)
    assert done.status == 0, done.output
    (record,) = RunFolder.open(tmp_path / "runs", "latest").records()
    values = {row.metric: row.value for row in record.measurements if not row.reason}
    assert values["cost"] > 0
    assert values["traps"] == pytest.approx(1, abs=0.05)
    metadata = json.loads((done.folder / "metadata.json").read_text())
    assert metadata["kernels"]["l0"]["version"].startswith(version)
    assert server.ssh("cat /proc/sys/kernel/random/boot_id") != boot
    whole = "".join(
        path.read_text(errors="replace") for path in done.folder.rglob("*") if path.is_file()
    )
    assert PASSWORD not in whole + done.output
    assert "power.py" not in json.dumps(metadata)
    done = run(server, tmp_path, "undeploy", "INVENTORY", **changes)
    assert done.status == 0, done.output
    assert server.ssh(SNAPSHOT) == before


@pytest.mark.stress
@pytest.mark.parametrize("server", [CPU], indirect=True)
@pytest.mark.parametrize("track", ["upstream", "v4.10"])
def test_two_boots(request, server, track, own_kernel, tmp_path):
    if track == "v4.10":
        request.getfixturevalue("v4_10")
    file = playbook(tmp_path, track, "hypercall, virtual-eoi")
    file.write_text(f"{file.read_text()}boots: 2\n")
    done = run(server, tmp_path, "deploy", "INVENTORY", "--playbook", file)
    assert done.status == 0, done.output
    done = run(server, tmp_path, "run", file, "--inventory", "INVENTORY")
    assert done.status == 0, done.output
    assert done.output.count("boot L0  ") == 2
    records = RunFolder.open(tmp_path / "runs", "latest").records()
    assert sorted(record.id for record in records) == [
        f"arm1/vm/{boot}/{name}" for boot in (1, 2) for name in ("hypercall", "virtual-eoi")
    ]
    batches = {}
    for record in records:
        (sample,) = record.samples
        assert sample["median"] > 0.5 * TICKS
        cost = (sample["median"] - sample["empty"]["median"]) / sample["batch"]
        assert cost == record.measurements[0].value
        batches.setdefault(record.name.benchmark, []).append(sample["batch"])
    assert max(batches["hypercall"]) < min(batches["virtual-eoi"])
    if track == "upstream":
        log = (done.folder / "consoles" / "arm1-console.log").read_text(errors="replace")
        assert log.count("KASLR enabled") >= 2
    done = run(server, tmp_path, "undeploy", "INVENTORY")
    assert done.status == 0, done.output


@pytest.mark.stress
@pytest.mark.parametrize("server", [CPU], indirect=True)
def test_who_follows_the_page_about_servers_gets_the_rows_of_the_vm(server, own_kernel, tmp_path):
    page = text_of("docs/how-to/server.md").partition("\n## With kernels of ours\n")[2]
    told = commands(page.partition("\n## ")[0])
    assert [command.split()[1] for command in told][-2:] == ["run", "undeploy"]
    for command in told:
        words = [
            "INVENTORY" if word == "lab.yaml" else ROOT / word if "playbooks/" in word else word
            for word in shlex.split(command)[1:]
        ]
        done = run(server, tmp_path, *words)
        assert done.status == 0, f"{command}\n{done.output}"
    records = RunFolder.open(tmp_path / "runs", "latest").records()
    assert {record.name.configuration for record in records if record.passed} == {"vm"}


def test_playbook_of_a_server_that_is_not_prepared(server, own_kernel, tmp_path):
    file = playbook(tmp_path, "upstream")
    done = run(server, tmp_path, "run", file, "--inventory", "INVENTORY")
    assert done.status == 2
    assert "neve deploy" in done.output
    assert "neve" not in server.ssh("ls /var/lib")


def test_who_is_not_let_in_learns_it_at_once(server, tmp_path):
    words = ("run", playbook(tmp_path, "upstream"), "--inventory", "INVENTORY")
    done = run(server, tmp_path, *words, password="wrong")
    assert done.status == 2, done.output
    assert "sudo does not take the password" in done.output
    stranger = tmp_path / "known_hosts"
    stranger.write_text(
        f"[127.0.0.1]:{server.port} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"
        "Fqs1sRpVYJgR7bUnqLz1S7o3b4yq1R8p0bX3xXo3sKm\n"
    )
    done = run(server, tmp_path, *words, known_hosts=str(stranger))
    assert done.status == 2, done.output
    assert "its key is not the known one" in done.output
    assert not (tmp_path / "runs" / "latest").exists()
