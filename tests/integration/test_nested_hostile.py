# SPDX-License-Identifier: MIT
"""Track v4.10: hostile guests. One may lose all it has; its hypervisor, and who else, may not.

On a machine without -icount: there, time stands still while a guest takes exceptions and
executes nothing, which some of these do.
"""

import pytest

from harness.cache import Cache
from harness.deadline import Deadline
from harness.errors import GuestError
from harness.image.hostile import hostile
from tests.integration import nesting
from tests.integration.nesting import IMMEDIATES, OF_ANY_GUEST, SECONDS, Hostile

# Rounds of each attack; images/hostile/*.c say what they are.
OF_VIRTUAL_EL2 = {"watchdog": 20, "registers": 1000, "eret": 400, "tlbi": 1000, "lists": 400,
                  "system-2": 400, "tables": 400, "race": 1500, "neve": 400}
CHECKED = {"vmids": 1000, "address": 60}
ENDS = ("reset", "vectors", "device-vectors", "maintenance",
        *(pytest.param(end, marks=pytest.mark.stress) for end in (
            "cpu-off", "wfi", "mmu", "el1-loop")))


@pytest.fixture(scope="module", params=nesting.matrix(nesting.CONFIGURATIONS[:1]))
def setup(request):
    request.param.skip_if_not_yet()
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
def image(l0):
    return l0.put(hostile(Cache.default()))


@pytest.fixture(autouse=True)
def _no_trouble(l0):
    yield
    assert not nesting.trouble(l0)


def test_every_hvc_of_virtual_el2(l0, image, setup):
    with Hostile(l0, image, setup, virtual_el2=True) as guest:
        assert guest.level == 2
        assert int(guest.ask(f"hvc 2 0 {IMMEDIATES - 1} 1")["same_level"]) > IMMEDIATES - 700


def test_every_hvc_below_virtual_el2(l0, image, setup):
    """Each one of EL1 is virtual EL2's, with its immediate; those of EL0 are undefined."""
    with Hostile(l0, image, setup, virtual_el2=True) as guest:
        for level in (1, 0):
            assert int(guest.ask(f"ladder {level}")["rungs"]) == IMMEDIATES


def test_attacks_of_virtual_el2(l0, image, setup):
    with Hostile(l0, image, setup, virtual_el2=True) as guest:
        guest.attack(OF_VIRTUAL_EL2 | OF_ANY_GUEST, 1)
        guest.check(CHECKED, 1)


def test_attacks_of_a_vm(l0, image, setup):
    with Hostile(l0, image, setup) as guest:
        assert guest.level == 1
        for level in (1, 0):
            assert int(guest.ask(f"ladder {level}")["rungs"]) == IMMEDIATES
        guest.attack(OF_ANY_GUEST, 1)


@pytest.mark.parametrize("end", ENDS)
def test_what_the_guest_does_not_survive(l0, image, setup, end):
    with Hostile(l0, image, setup, virtual_el2=True, name=end) as guest:
        guest.program.send(f"lethal {end}\n")
        guest.answer("lethal")
        guest.lost = True
        with pytest.raises(GuestError, match="waiting for its end"):
            guest.program.expect("never", Deadline(3, "its end"))
    l0.run("n=0; while pgrep qemu-system; do sleep 1; n=$((n+1)); [ $n -lt 60 ] || exit 1; done",
           timeout=SECONDS)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(2, 12))
def test_more_attacks(l0, image, setup, seed):
    many = {name: rounds * 5 for name, rounds in (OF_VIRTUAL_EL2 | OF_ANY_GUEST).items()}
    with Hostile(l0, image, setup, virtual_el2=True) as guest:
        guest.attack(many, seed)
        guest.check({name: rounds * 10 for name, rounds in CHECKED.items()}, seed)
