# SPDX-License-Identifier: MIT
"""The levels themselves: L2 Linux, user payloads, GICv2, and the host layer over real SSH."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import paramiko
import pexpect
import pytest

from harness.build.image.selftest import selftest
from harness.build.toolchain import Toolchain
from harness.cache import Cache, file_sha256
from harness.commands import doctor
from harness.deadline import Deadline
from harness.errors import GuestError, InfrastructureError, UnreachableError
from harness.machine import levels
from harness.machine.guest.nv_mode import set_nv_mode
from harness.machine.guest.vmm import QEMU, vmm_argv
from harness.machine.host import fabric_host, tcg
from harness.machine.host.ssh import ssh_host
from harness.model.guest import File, Guest, flat_guest, payload_guest
from harness.model.inventory import SshHostSpec, TcgHostSpec, parse_address
from harness.paths import IMAGES, ROOT
from harness.results.frames import read_csv
from harness.results.store import RunFolder
from tests.integration import nesting
from tests.integration.conftest import FALLBACK, finish, neve
from tests.integration.flat import flat

# A flat image that says hello on the PL011 and powers off: what a user might bring.
HELLO = """\
    mov x1, #0x09000000
    adr x2, text
1:  ldrb w0, [x2], #1
    cbz w0, 2f
    str w0, [x1]
    b 1b
2:  movz x0, #0x8400, lsl #16
    movk x0, #8
    hvc #0
text: .asciz "hello from the payload\\r\\n"
"""


@pytest.fixture(scope="module")
def payload(tmp_path_factory):
    return flat(tmp_path_factory.mktemp("payload"), "hello", HELLO)


def test_files_travel_whole_and_once(machine, tmp_path):
    file = tmp_path / "data"
    file.write_bytes(bytes(range(256)) * 1000)
    remote = machine.put(file)
    assert machine.run(f"sha256sum <{remote}").stdout.split()[0] == file_sha256(file)
    assert machine.put(file) == remote


def test_artifacts_are_shared_and_not_sent(machine, artifacts):
    remote = machine.put(artifacts.kernels["l0"].image)
    assert remote.startswith("/mnt/")
    assert machine.run(f"head -c 64 {remote} | tail -c 8 | head -c 3").stdout == "ARM"


def test_cpus_that_wait_for_an_event_go_on_without_one(machine):
    """QEMU gives no event at the end of an exception, or of a lock."""
    machine.run(f"cp {machine.put(selftest(Cache.default()))} /tmp; chmod +x /tmp/selftest")
    assert "@ST events ok" in machine.run("/tmp/selftest events:100").stdout


def test_doctor_explains_a_server(machine):
    found = doctor.server_findings(machine, parse_address("l0"))
    findings = {finding.what: finding for finding in found}
    assert all(finding.good for finding in findings.values()), findings
    assert "NV2" in findings["nested virtualization"].found


def test_payload_at_l1(machine, payload):
    program = machine.start(vmm_argv(payload_guest(machine.put(payload), 1, 128, 3, "")), "hello")
    program.expect("hello from the payload", Deadline(60, "the payload"))
    assert program.wait(Deadline(60, "its end")) == 0
    program.hang_up()


def boots(image, folder):
    """`image` at L2 by the command."""
    words = (FALLBACK, "--only", "configuration=nested-neve-vhe", "--payload", image)
    return finish(neve("run", *words, cwd=folder), folder)


def test_payload_at_l2_by_the_command(artifacts, payload, tmp_path):
    done = boots(payload, tmp_path)
    assert done.status == 0, done.output
    assert "hello from the payload" in (done.folder / "consoles" / "tcg-l1.log").read_text()
    assert "in 1 of 1 configurations" in done.output


def test_vmm_that_refuses_its_arguments_is_an_error_at_once(machine):
    guest = Guest("/none", 1, 128, 3)
    program = machine.start(vmm_argv(guest), "wrong")
    with pytest.raises(GuestError, match=r"VMM error: qemu-system-aarch64: .*/none"):
        program.expect("never", Deadline(60, "never"))
    program.hang_up()


def forgetful(folder):
    """The image `readback` of one that reads other bytes than it wrote."""
    for name in ("bare", "readback"):
        shutil.copytree(IMAGES / name, folder / name)
    source = folder / "readback" / "main.c"
    text = source.read_text()
    assert text.count(" *at))") == 1
    source.write_text(text.replace(" *at))", " *at + (page == 7)))"))
    make = ["make", "-s", f"O={folder}", f"CROSS_COMPILE={Toolchain.find().prefix}"]
    subprocess.run(make, cwd=folder / "readback", check=True)
    return folder / "readback.bin"


def test_what_is_read_back_is_what_was_written(artifacts, tmp_path):
    """At L2; an image that sees other bytes ends with a status that says so."""
    found = []
    for image in ("readback", forgetful(tmp_path)):
        done = boots(image, tmp_path)
        (record,) = RunFolder.open(tmp_path / "runs", "latest").records()
        found.append((done.status, record.samples[0]["status"]))
    assert found == [(0, 0), (1, 1)]


def test_hanging_up_ends_the_guest(machine, payload, artifacts):
    guest = flat_guest(machine.put(artifacts.files[File.MICROBENCH]), 128, 3)
    program = machine.start(vmm_argv(guest), "hang-up")
    program.expect("@MB ready", Deadline(60, "the guest"))
    program.hang_up()
    machine.run(f"for i in $(seq 9); do pidof {QEMU} || exit 0; sleep 1; done; exit 1")


def test_flat_guest_without_the_console_it_is_told_of_says_so(machine, artifacts):
    told = flat_guest(machine.put(artifacts.files[File.MICROBENCH]), 128, 3)
    program = machine.start(vmm_argv(replace(told, virtio_console=False)), "deaf")
    program.expect("@MB panic reason=no-hvc0", Deadline(60, "its last words"))
    assert program.wait(Deadline(60, "its end")) == 0
    program.hang_up()


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.stress)])
def test_linux_boots_in_l1_with_two_cpus_under_both_emulations(machine, artifacts, times):
    hypervisor = nesting.hypervisor(machine, artifacts, "nested-neve-vhe", gic=3, memory_mib=1024)
    with levels.l1(machine, artifacts, hypervisor, name="l1") as place:
        for value in ("Y",) * times + ("N",) * times:
            set_nv_mode(machine, artifacts.setup.track, value)
            with nesting.linux_l2(place, artifacts, gic=3, memory_mib=256, name="l2") as shell:
                assert shell.run("hostname; nproc").output.split() == ["l2", "2"]
        set_nv_mode(machine, artifacts.setup.track, None)
        assert "VHE" in place.shell.run("dmesg | grep kvm").output


def test_server_over_ssh_with_the_users_key(machine, tmp_path):
    """The ssh host, against the machine's real SSH server."""
    key = paramiko.RSAKey.generate(2048)
    key.write_private_key_file(str(tmp_path / "key"))
    machine.run(f"echo 'ssh-rsa {key.get_base64()}' >> /root/.ssh/authorized_keys")
    port = machine.connection.port
    known = tmp_path / "known_hosts"
    right = machine.connection.transport.get_remote_server_key()
    known.write_text(f"[127.0.0.1]:{port} {right.get_name()} {right.get_base64()}\n")
    spec = SshHostSpec(
        name="server",
        address="127.0.0.1",
        port=port,
        root="/run/neve",
        key_file=tmp_path / "key",
        known_hosts=known,
    )
    with ssh_host(spec, tmp_path) as server:
        assert server.run("uname -m").stdout == "aarch64\n"
        file = tmp_path / "file"
        file.write_text("sent")
        assert server.run(f"cat {server.put(file)}").stdout == "sent"
        program = server.start(["sh", "-c", "echo hi; exit 3"], "program")
        assert program.wait(Deadline(20, "its end")) == 3
    wrong = paramiko.RSAKey.generate(2048)
    known.write_text(f"[127.0.0.1]:{port} ssh-rsa {wrong.get_base64()}\n")
    with (
        pytest.raises(UnreachableError, match="can't be reached"),
        ssh_host(spec, tmp_path),
    ):
        pass


def test_reboot_is_proved_by_a_new_boot_id(machine):
    read = "cat /proc/sys/kernel/random/boot_id"
    before = machine.run(read).stdout
    machine.reboot(120)
    assert machine.run(read).stdout != before


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (
            lambda host: host.run("(sleep 1; ip link set eth0 down) > /dev/null 2>&1 &"),
            "its console does answer",
        ),
        (
            lambda host: host._serial.send(f"{tcg.MONITOR}stop\n{tcg.MONITOR}"),
            "its console does not answer",
        ),
        (lambda host: os.kill(host._serial.spawn.pid, signal.SIGSTOP), "nor does its emulator"),
    ],
    ids=["network", "kernel", "emulator"],
)
def test_silence_of_l0_is_explained(end, said, artifacts, tmp_path, monkeypatch):
    monkeypatch.setattr(fabric_host, "_LOST_SECONDS", 4)
    monkeypatch.setattr(tcg, "_ANSWER_SECONDS", 3)
    with levels.l0(Cache.default(), TcgHostSpec(), artifacts, tmp_path) as host:
        program = host.start(["sleep", "1000"], "sleep")
        end(host)
        with pytest.raises(InfrastructureError, match=rf"the connection is lost \(.+\); .*{said}"):
            program.expect("never", Deadline(60, "never"))
        written = (tmp_path / "tcg-l0.log").read_text()
        assert ("PSTATE=" in written) == ("emulator" not in said)


def test_panic_of_l0_is_said_at_once(machine):
    """Last on this machine: it does not survive."""
    program = machine.start(["sh", "-c", "sleep 1; echo c > /proc/sysrq-trigger"], "killer")
    started = time.monotonic()
    with pytest.raises(GuestError, match=r"(?s)l0: kernel panic.*sysrq triggered crash"):
        program.expect("never", Deadline(60, "never"))
    assert time.monotonic() - started < 20


def test_interactive_shell_on_a_terminal(artifacts, tmp_path):
    user = pexpect.spawn(
        sys.executable,
        ["-m", "harness", "shell", "--level", "l1"],
        cwd=str(tmp_path),
        timeout=120,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    user.expect("l1# ")
    user.send("cat /sys/module/kvm/parameters/none || echo level-$(hostname)\r")
    user.expect("level-l1")
    user.send("\x1d")
    user.expect(pexpect.EOF)
    user.close()
    assert user.exitstatus == 0
    assert "Traceback" not in user.before


def test_gicv2_vm(tmp_path):
    (tmp_path / "p.yaml").write_text(
        "hosts: [{gic: 2}]\nconfigurations: [vm]\niterations: 100\nwarmup: 10\n"
        "benchmarks: [hypercall, device-io, device-io-user, virtual-ipi, virtual-eoi]\n"
    )
    done = finish(neve("run", "p.yaml", cwd=tmp_path), tmp_path)
    assert done.status == 0, done.output
    rows = read_csv(done.folder / "results.csv")
    totals = rows[rows["reason"] == ""].set_index(["benchmark", "metric"])["value"]
    assert totals.xs("traps", level="metric").to_dict() == {
        "hypercall": 1,
        "device-io": 1,
        "device-io-user": 1,
        "virtual-ipi": 2,
        "virtual-eoi": 0,
    }
    assert (totals.xs("cost", level="metric") > 0).all()
