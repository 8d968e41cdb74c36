# SPDX-License-Identifier: MIT
"""A server is left as it was found, and that is looked at."""

import os
import shutil

import pytest
import yaml

from tests.integration.conftest import finish, neve
from tests.integration.server.machine import free_port

pytestmark = pytest.mark.timeout(120)
ITS_OWN = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/log")
SNAPSHOT = (
    f"find / -xdev \\( {' -o '.join(f'-path {path}' for path in ITS_OWN)} \\) -prune -o "
    "-printf '%p|%y|%m|%U:%G|%l\\n' | sort"
)


def inventory(server, tmp_path, **changes):
    spec = server.spec(**changes).model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    file = tmp_path / "lab.yaml"
    file.write_text(yaml.safe_dump({"hosts": [{**spec, "address": "127.0.0.1"}]}))
    return file


def undeployed(tmp_path, *arguments):
    return finish(neve("undeploy", *arguments, cwd=tmp_path), tmp_path)


@pytest.fixture
def known(server, tmp_path, monkeypatch):
    """The address, for an ssh that knows the server and has its key."""
    (tmp_path / "config").write_text(
        f"UserKnownHostsFile {server.known_hosts()}\nIdentityFile {server.folder}/key\n"
    )
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/config "$@"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    return f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("user", ["root", "bob"])
def test_nothing_is_left_of_a_run_at_an_address(server, start, known, tmp_path, user):
    before = server.ssh(SNAPSHOT)
    one = start("one", user, seconds=600)
    assert one.stdout.readline() == "locked\n"
    assert "lock" in server.ssh("ls /var/lib/neve")
    refused = undeployed(tmp_path, "--host", f"{user}@{known}")
    assert refused.status == 75
    assert "is in use by" in refused.output
    one.kill()
    done = undeployed(tmp_path, "--host", f"{user}@{known}", "--wait", "60")
    assert done.status == 0, done.output
    server.ssh("rm -rf /measur*")
    assert server.ssh(SNAPSHOT) == before
    governor = "cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    assert server.ssh(governor) == "schedutil\n"


@pytest.mark.parametrize("root", ["/var/lib/neve", "/srv/neve"])
def test_what_a_killed_run_has_left_is_set_right_first(server, tmp_path, root):
    server.ssh(
        "umask 077; mkdir /var/lib/neve; { cat /proc/sys/kernel/random/boot_id; cd "
        "/sys/devices/system/cpu/cpu0/cpufreq; echo $PWD/scaling_governor:schedutil; echo "
        "performance >scaling_governor; } >/var/lib/neve/governors"
    )
    done = undeployed(tmp_path, inventory(server, tmp_path, root=root))
    assert done.status == 0, done.output
    assert server.ssh("cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") == "schedutil\n"
    assert server.ssh("ls /var/lib /srv | grep -c neve || true") == "0\n"


def test_a_folder_behind_a_link_is_not_said_to_be_gone(server, tmp_path):
    server.ssh("mkdir -p /srv/data; touch /srv/data/deployed.json; ln -s /srv/data /srv/neve")
    done = undeployed(tmp_path, inventory(server, tmp_path, root="/srv/neve"))
    assert done.status == 2, done.output
    assert "/srv/neve -> /srv/data" in done.output
    assert server.ssh("ls /srv/data") == "deployed.json\n"


def test_what_cannot_be_removed_is_named(server, tmp_path):
    server.ssh(
        "umask 077; mkdir -p /srv/neve/files/x; mount -t tmpfs -o mode=700 none /srv/neve/files/x"
    )
    try:
        done = undeployed(tmp_path, inventory(server, tmp_path, root="/srv/neve"))
    finally:
        server.ssh("umount /srv/neve/files/x")
    assert done.status == 75, done.output
    assert "/srv/neve is still there, and 2 more: " in done.output
    assert "busy" in done.output


def test_nobody_elses_folder_is_removed(server, tmp_path):
    server.ssh("mkdir /srv/data; touch /srv/data/precious")
    done = undeployed(tmp_path, inventory(server, tmp_path, root="/srv/data"))
    assert done.status == 2, done.output
    assert "/srv/data exists and is not ours: precious" in done.output
    assert server.ssh("ls /srv/data") == "precious\n"


def test_a_folder_that_another_run_uses_stays(server, tmp_path):
    """That of the default, beside one that an inventory names."""
    server.ssh("umask 077; mkdir -p /var/lib/neve/files/x /srv/neve/files/y")
    done = undeployed(tmp_path, inventory(server, tmp_path, root="/srv/neve"))
    assert done.status == 0, done.output
    assert server.ssh("ls /srv /var/lib/neve") == "/srv:\n\n/var/lib/neve:\nfiles\nlock\n"


def test_undeploy_of_nothing_says_what_it_wants(tmp_path):
    done = undeployed(tmp_path)
    assert done.status == 2
    assert "neve undeploy INVENTORY, or --host user@address[:port]" in done.output


def test_an_address_where_nobody_is_costs_no_time(server, known, tmp_path):
    done = undeployed(tmp_path, "--host", f"bob@127.0.0.1:{free_port()}")
    assert done.status == 2, done.output
    assert "Connection refused" in done.output
    assert done.seconds < 30


def test_the_doctor_looks_at_the_folder_and_at_usable_cpus(server, known, tmp_path):
    server.ssh("mkdir /var/lib/neve; chown lab /var/lib/neve")
    done = finish(neve("doctor", "--host", f"wendy@{known}", cwd=tmp_path), tmp_path)
    assert done.status == 2, done.output
    assert (
        "FAIL  folder: host 127.0.0.1: others than root can change what is in /var/lib/neve: "
        in done.output
    )
    usable = len(os.sched_getaffinity(0) & {0, 1})
    assert f"ok    processors: {usable}\n" in done.output
    server.ssh("rm -r /var/lib/neve")
    done = finish(neve("doctor", "--host", f"wendy@{known}", cwd=tmp_path), tmp_path)
    assert "ok    folder: /var/lib/neve is free" in done.output
    assert server.ssh("ls /var/lib | grep -c neve || true") == "0\n"
