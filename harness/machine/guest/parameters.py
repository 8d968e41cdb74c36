# SPDX-License-Identifier: MIT
"""Parameters of our v4.10 kernels' KVM, which hold for the VMs created while they are on."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import InfrastructureError
from harness.machine.console import Place

_CYCLE_COUNTER = "/sys/module/kvm/parameters/cycle_counter"


@contextmanager
def cycle_counter(place: Place, *, for_good: bool = False) -> Iterator[bool]:
    """VMs may read the cycle counter of the physical CPU; yields whether that can be.

    A nested VM must be allowed to at each level: L0 gives the counter to L1, and L1 to L2. In L1
    that is `for_good`: its console belongs to its guest until that ends, and L1 ends after it.

    Such a VM has the whole PMU, so it must be trusted: the parameter is off again at the end.
    """
    on = place.attempt(f"echo Y > {_CYCLE_COUNTER}")
    try:
        yield on
    finally:
        if on and not for_good:
            place.attempt(f"echo N > {_CYCLE_COUNTER}")


@contextmanager
def implied_el2(place: Place, file: str) -> Iterator[None]:
    """VMs have a virtual EL2 though their VMM does not ask for it: `file` is the parameter.

    Raises InfrastructureError if the kernel can't do that.
    """
    if not place.attempt(f"echo Y > {file}"):
        raise InfrastructureError(f"virtual EL2 can't be implied: the kernel does not take {file}")
    try:
        yield
    finally:
        place.attempt(f"echo N > {file}")
