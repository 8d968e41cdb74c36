# SPDX-License-Identifier: MIT
"""One object says what a run needs: the plan is what is run, for every playbook that is shipped."""

from pathlib import Path

import pytest

from harness.bench.workload import WORKLOADS, BootedHost
from harness.bench.workload.micro import MicroScript
from harness.build.artifacts import Artifacts
from harness.commands.plan import describe
from harness.commands.shell import at_level
from harness.errors import UserError
from harness.machine.guest.vmm import vmm_argv
from harness.machine.levels import GuestPlace
from harness.model.guest import File, is_symbol
from harness.model.inventory import Inventory
from harness.model.journal import Facts, Messages
from harness.model.playbook import Payload, load, validate, with_payload
from harness.model.setup import Setup, Workload
from harness.paths import PLAYBOOKS
from tests.plans import differences

LAB = Inventory.load(PLAYBOOKS / "lab.yaml")
SHIPPED = [path for path in sorted(PLAYBOOKS.glob("*.yaml")) if path.name != "lab.yaml"]
PAYLOAD = Payload(image=Path("selftest.flat"), arguments="smp=2")


class Place:
    """Has every file; what is started there is no matter."""

    def __init__(self, folder):
        self.folder = folder

    def put(self, local):
        return f"{self.folder}/{local.name}"


def setup_of(path, payload=None):
    playbook = load(path, LAB)
    return Setup.of(with_payload(playbook, payload) if payload else playbook)


def recorded(setup):
    """The command lines of guests that a run of `setup` keeps."""
    symbols = {
        file
        for spec in setup.playbook.hosts
        for guest in setup.guests(spec).values()
        for file in guest.files.values()
        if is_symbol(file)
    }
    files = {name: Path(name.strip("<>")) for name in {*symbols, *setup.l1_files}}
    in_l1 = {name: files[symbol] for symbol, name in setup.l1_files.items()}
    artifacts = Artifacts(setup, {}, files, in_l1, [])
    commands = {}

    def keep(event):
        if isinstance(event, Facts):
            commands.update(event.entries["commands"])

    for spec in setup.playbook.hosts:
        host, l1 = Place("/mnt"), Place("/images")
        booted = BootedHost(host, spec, artifacts, Messages(keep), None, ())
        for configuration in {cell.configuration for cell in setup.cells if cell.host == spec.name}:
            if setup.workload is Workload.MICRO:
                guests = MicroScript(artifacts, spec, configuration, None).guests(host)
                for name, guest in guests.items():
                    commands[f"{spec.name}: {name}"] = vmm_argv(guest)
                continue
            workload = WORKLOADS[setup.workload](booted)
            if configuration.nested:
                name = setup.track.hypervisor(configuration)
                booted.placed(name, setup.hypervisor(spec, configuration), host)
            if configuration.guest_level:
                workload.guest(l1 if configuration.nested else host, configuration)
    return commands


@pytest.mark.parametrize("payload", [None, PAYLOAD], ids=["benchmarks", "payload"])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_plan_is_what_is_run(path, payload):
    setup = setup_of(path, payload)
    plan = describe(setup)
    assert plan["cells"] == [cell.id for cell in setup.cells]
    guests = {name: argv for name, argv in plan["commands"].items() if not name.endswith(": L0")}
    assert guests
    assert not differences(guests, recorded(setup))


def test_what_l0_gives_to_its_guests_is_what_they_name():
    """A server gets that and no more: of applications the disk, too."""
    setup = setup_of(PLAYBOOKS / "applications.yaml")
    (spec,) = setup.playbook.hosts
    assert set(setup.files_on(spec)) == {
        "<l1-kernel>",
        File.L1_INITRAMFS,
        "<l2-kernel>",
        File.GUEST_INITRAMFS,
        File.DISK,
    }
    micro = setup_of(PLAYBOOKS / "paper.yaml")
    gicv3, gicv2 = micro.playbook.hosts
    assert File.DEVICE_TREE in micro.files_on(gicv2)
    assert File.DEVICE_TREE not in micro.files_on(gicv3)
    assert File.DISK not in micro.files_on(gicv3)


def test_kernels_of_applications_have_what_applications_need():
    plain = setup_of(PLAYBOOKS / "fallback.yaml")
    setup = setup_of(PLAYBOOKS / "applications.yaml")
    more = {file.path for file in setup.track.fragments} - {
        file.path for file in plain.track.fragments
    }
    assert more == {*plain.track.network, *plain.track.applications}
    assert set(setup.kernels) == {"l0", "l1", "l2"}


@pytest.mark.parametrize(
    ("changes", "reached"),
    [
        ({}, False),
        ({"hosts": [{"kind": "ssh", "name": "arm1", "address": "a"}, {"kind": "tcg"}]}, True),
        ({"benchmarks": ["memcached"]}, True),
        ({"benchmarks": ["payload"], "payload": {"image": "i"}}, True),
    ],
)
def test_only_what_is_reached_over_a_network_has_one(changes, reached):
    asked = {"configurations": ["vm"], "benchmarks": ["hypercall"], **changes}
    setup = Setup.of(validate(asked, "p"))
    assert setup.track.network
    fragments = {fragment.path for fragment in setup.track.fragments}
    assert (set(setup.track.network) <= fragments) is reached
    shell = Setup.of(setup.playbook, workload=Workload.LINUX)
    assert {*setup.track.network} <= {fragment.path for fragment in shell.track.fragments}


def test_a_payload_is_in_l1_where_there_is_one():
    setup = setup_of(PLAYBOOKS / "fallback.yaml", PAYLOAD)
    assert setup.l1_files[File.PAYLOAD] == "payload"
    assert {cell.benchmark for cell in setup.cells} == {"payload"}
    assert File.PAYLOAD not in setup_of(PLAYBOOKS / "fallback.yaml").l1_files


def test_shell_needs_no_more_than_its_level():
    shell = Setup.of(load(PLAYBOOKS / "paper.yaml"), workload=Workload.LINUX)
    assert set(at_level(shell, "l0").kernels) == {"l0"}
    assert set(at_level(shell, "l2").kernels) == {"l0", "l1-v8.3", "l2"}


def test_shell_at_a_level_that_the_host_can_not_have_is_refused(tmp_path):
    (tmp_path / "p.yaml").write_text(
        "configurations: [vm]\nbenchmarks: [hypercall]\nhosts: [{gic: 2}]\n"
    )
    shell = Setup.of(load(tmp_path / "p.yaml"), workload=Workload.LINUX)
    with pytest.raises(UserError, match=r"--level l1: .*GICv2"):
        at_level(shell, "l1")


def test_guest_place_has_what_l1_has(tmp_path):
    place = GuestPlace(None, {tmp_path / "a": "/images/a"})
    assert place.put(tmp_path / "a") == "/images/a"
