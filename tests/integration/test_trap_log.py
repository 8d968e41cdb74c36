# SPDX-License-Identifier: MIT
"""What track upstream's tracepoint reports, and what it must not."""

import pytest

from harness.bench.traps import counting, usable_event
from harness.deadline import Deadline
from harness.machine.guest.nv_mode import set_nv_mode
from harness.machine.guest.vmm import start
from harness.model.guest import Guest
from tests.integration.flat import flat

ROUNDS = 10
# Virtual EL2 that spins; once it has received an `e`, with ERETs to where it is, which L0's world
# switch handles on its own; once it has received an `s`, without. It answers in upper case.
SPINNER = """\
    mov x1, #0x09000000
    adr x2, back
    msr elr_el2, x2
    mov x2, #0x3c9
    msr spsr_el2, x2
poll:
    ldr w2, [x1, #0x18]
    tbnz w2, #4, 1f
    ldr w4, [x1]
    bic w2, w4, #0x20
    str w2, [x1]
1:  mov w3, #0x40000
2:  cmp w4, #'e'
    b.ne back
    eret
back:
    subs w3, w3, #1
    b.ne 2b
    b poll
"""


@pytest.fixture(scope="module")
def spinner(tmp_path_factory):
    return flat(tmp_path_factory.mktemp("spinner"), "spinner", SPINNER)


def test_exits_of_one_session_are_not_told_in_the_next(machine, artifacts, spinner):
    """A session ends while its exits are in the log, as a guest is hardly ever out of the world
    switch here. The next one begins when the guest takes no such exits any more."""
    event = usable_event(machine)
    assert event.complete
    set_nv_mode(machine, artifacts.setup.track, "Y")
    guest = start(machine, Guest(machine.put(spinner), 1, 128, 3, virtual_el2=True), "spinner")

    def told(order):
        guest.send(order)
        guest.expect(order.upper(), Deadline(60, "the guest's answer"))
        with counting(machine, event) as counter:
            machine.run("sleep 0.2")
            return counter.read()

    for number in range(ROUNDS):
        assert told("e")["ERET"] > 1000
        assert told("s")["ERET"] == 0, f"round {number}"
    guest.hang_up()
    set_nv_mode(machine, artifacts.setup.track, None)
