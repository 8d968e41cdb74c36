# SPDX-License-Identifier: MIT
"""More than one server: two that are measured at once, and one behind another."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import pexpect
import psutil
import pytest

from harness.paths import ROOT
from harness.results.store import RunFolder
from tests.integration.conftest import finish
from tests.integration.conftest import neve as start
from tests.integration.server import connect
from tests.integration.server.machine import PASSWORD, running
from tests.integration.test_server import playbook

pytestmark = [pytest.mark.stress, pytest.mark.timeout(3600)]
SECOND = "10.0.2.100"  # where the first one finds the second
# What the emulator starts for each connection there.
CONNECT = f"{sys.executable} {Path(connect.__file__)}"


def neve_done(*arguments, cwd):
    done = finish(start(*arguments, cwd=cwd, ARM1_SUDO=PASSWORD), cwd)
    assert done.status == 0, done.output
    return done


def shown(pid):
    """What anybody may see of a process and of those below it."""
    for each in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        with suppress(psutil.Error):
            yield from (*each.cmdline(), *each.environ().values())


def test_two_servers_at_once(server, v4_10, tmp_path):
    """One of them asks for sudo's password, which its worker gets without showing it."""
    folder = tmp_path / "second"
    folder.mkdir()
    file = playbook(tmp_path)
    file.write_text(file.read_text().replace("[arm1]", "[arm1, arm2]"))
    root = {"user": "root", "sudo": None}
    with running(folder) as second:
        lab = server.inventory(second.host(name="arm2", **root), **root)
        neve_done("deploy", lab, "--playbook", file, cwd=tmp_path)
        boots = [each.ssh("cat /proc/sys/kernel/random/boot_id") for each in (server, second)]
        server.inventory(second.host(name="arm2", sudo={"prompt": True}), **root)
        with (tmp_path / "said").open("w") as log:
            neve = pexpect.spawn(
                sys.executable,
                ["-m", "harness", "run", str(file), "--inventory", str(lab)],
                cwd=str(tmp_path),
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                timeout=1800,
                encoding="utf-8",
            )
            neve.logfile_read = log
            neve.expect_exact("sudo's password on arm2: ")
            neve.sendline(PASSWORD)
            neve.expect_exact("arm2: vm: boot benchmark guest")
            assert not [word for word in shown(neve.pid) if PASSWORD in word]
            neve.expect_exact(pexpect.EOF)
        neve.close()
        output = (tmp_path / "said").read_text()
        assert neve.exitstatus == 0, output
        ids = [record.id for record in RunFolder.open(tmp_path / "runs", "latest").records()]
        assert sorted(ids) == ["arm1/vm/1/hypercall", "arm2/vm/1/hypercall"]
        # Neither waited for the other to end.
        begun = [output.index(f"{name}: boot L0") for name in ("arm1", "arm2")]
        ended = [output.index(f"ok  {name}: vm: hypercall") for name in ("arm1", "arm2")]
        assert max(begun) < min(ended)
        for each, boot in zip((server, second), boots, strict=True):
            assert each.ssh("cat /proc/sys/kernel/random/boot_id") != boot
            assert "neve." not in each.ssh("cat /proc/cmdline")
        kept = "".join(
            path.read_text(errors="replace")
            for path in tmp_path.rglob("runs/**/*")
            if path.is_file()
        )
        assert PASSWORD not in output + kept


def test_server_behind_another(v4_10, tmp_path):
    behind, gate = tmp_path / "behind", tmp_path / "gate"
    behind.mkdir()
    gate.mkdir()
    with running(behind) as second:
        forward = f",guestfwd=tcp:{SECOND}:22-cmd:{CONNECT} {second.port}"
        with running(gate, forward=forward) as first:
            known = tmp_path / "known_hosts"
            keys = (second.made / "host_keys").read_text().splitlines()
            known.write_text(
                first.known_hosts().read_text() + "".join(f"{SECOND} {key}\n" for key in keys)
            )
            lab = second.inventory(
                address=SECOND, port=22, known_hosts=str(known), jump=f"lab@127.0.0.1:{first.port}"
            )
            file = playbook(tmp_path)
            neve_done("deploy", lab, "--playbook", file, cwd=tmp_path)
            neve_done("run", file, "--inventory", lab, cwd=tmp_path)
            (record,) = RunFolder.open(tmp_path / "runs", "latest").records()
            assert record.status == "passed"
            neve_done("undeploy", lab, cwd=tmp_path)
