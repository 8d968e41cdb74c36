# SPDX-License-Identifier: MIT
"""Track v4.10: hostile guests. One may lose all it has; its hypervisor, and who else, may not.

On a machine without -icount: there, time stands still while a guest takes exceptions and
executes nothing, which some of these do.
"""

import pytest

from harness.build.image.hostile import hostile
from harness.cache import Cache
from harness.deadline import Deadline
from harness.errors import GuestError
from harness.machine.guest.vmm import QEMU
from harness.model.operations import by_number
from tests.integration import nesting
from tests.integration.nesting import (
    CHECKED_OF_ANY_GUEST,
    IMMEDIATES,
    OF_ANY_GUEST,
    SECONDS,
    Hostile,
    hostile_el2,
    hostile_guest,
)

# Rounds of each attack; images/hostile/*.c say what they are.
OF_VIRTUAL_EL2 = {
    "watchdog": 20,
    "registers": 1000,
    "eret": 400,
    "tlbi": 1000,
    "lists": 400,
    "system-2": 400,
    "tables": 400,
    "race": 1500,
    "neve": 400,
    "e2h": 400,
}
OF_GICV2 = {"frames": 1000}
OF_PARAVIRTUAL_EL2 = {"neve", "cpus"}  # with a page of the guest's
OF_CHANGING_E2H = {"hosted"}  # with FEAT_NV2 it stays as it is
CHECKED = {
    "vmids": 1000,
    "address": 60,
    "cpus": 30,
    "hosted": 200,
    "senders": 10,
} | CHECKED_OF_ANY_GUEST
ENDS = (
    "reset",
    "vectors",
    "device-vectors",
    "maintenance",
    *(pytest.param(end, marks=pytest.mark.stress) for end in ("cpu-off", "wfi", "mmu", "el1-loop")),
)


@pytest.fixture(scope="module", params=nesting.matrix())
def setup(request):
    return request.param


@pytest.fixture(scope="module")
def l0(suite_artifacts, setup, tmp_path_factory):
    with nesting.real_time_l0(suite_artifacts, setup, tmp_path_factory.mktemp("consoles")) as host:
        host.run("dmesg -n 1")  # refused accesses are logged, one line each
        nesting.assert_healthy(host, suite_artifacts, setup)
        used = nesting.used_kib(host)
        yield host
        nesting.assert_healthy(host, suite_artifacts, setup)
        assert nesting.vms(host) == 0
        assert nesting.used_kib(host) - used < nesting.LOST_KIB
        assert not nesting.leaks(host)


@pytest.fixture
def image(l0, setup):
    return l0.put(hostile(Cache.default(), architected=setup.architected))


@pytest.fixture
def guest(l0, suite_artifacts, image, setup):
    """One in virtual EL2."""
    with hostile_el2(l0, suite_artifacts, image, setup) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_trouble(l0):
    yield
    assert not nesting.trouble(l0)


def rounds_of_virtual_el2(setup):
    only_there = OF_GICV2 if setup.gic == 2 else {}
    return possible(OF_VIRTUAL_EL2 | only_there | OF_ANY_GUEST, setup)


def possible(rounds, setup):
    without = OF_PARAVIRTUAL_EL2 if setup.architected else set()
    if setup.configuration.startswith("nested-feat-nv2"):
        without = without | OF_CHANGING_E2H
    return {name: count for name, count in rounds.items() if name not in without}


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.stress)])
def test_every_hvc_of_virtual_el2(guest, step):
    """All that stand for something, and of the others every so many."""
    beyond = 64 * (max(by_number()) + 1)
    for immediates in (range(beyond), range(beyond, IMMEDIATES, step)):
        asked = f"hvc 2 {immediates.start} {immediates.stop - 1} {immediates.step}"
        assert int(guest.ask(asked)["same_level"]) > len(immediates) - 700


def test_every_hvc_below_virtual_el2(guest):
    """Each one of EL1 is virtual EL2's, with its immediate; those of EL0 are undefined."""
    for level in (1, 0):
        assert int(guest.ask(f"ladder {level}")["rungs"]) == IMMEDIATES


def test_attacks_of_virtual_el2(guest, setup):
    guest.attack(rounds_of_virtual_el2(setup), 1)
    guest.check(possible(CHECKED, setup), 1)


def test_attacks_of_a_vm(l0, image, setup):
    with Hostile(l0, hostile_guest(image, setup)) as guest:
        assert guest.level == 1
        for level in (1, 0):
            assert int(guest.ask(f"ladder {level}")["rungs"]) == IMMEDIATES
        guest.attack(OF_ANY_GUEST, 1)
        guest.check(CHECKED_OF_ANY_GUEST, 1)


@pytest.mark.parametrize("end", ENDS)
def test_what_the_guest_does_not_survive(l0, suite_artifacts, image, setup, end):
    with hostile_el2(l0, suite_artifacts, image, setup, name=end) as guest:
        guest.program.send(f"lethal {end}\n")
        guest.answer("lethal")
        guest.lost = True
        with pytest.raises(GuestError, match="waiting for its end"):
            guest.program.expect("never", Deadline(3, "its end"))
    l0.run(f"for i in $(seq 60); do pidof {QEMU} || exit 0; sleep 1; done; exit 1", timeout=SECONDS)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(2, 12))
def test_more_attacks(guest, setup, seed):
    guest.attack({name: rounds * 5 for name, rounds in rounds_of_virtual_el2(setup).items()}, seed)
    checked = possible(CHECKED, setup)
    guest.check({name: rounds * 10 for name, rounds in checked.items()}, seed)
