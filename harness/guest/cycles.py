# SPDX-License-Identifier: MIT
"""Lets a VM read the cycle counter of the physical CPU: a parameter of our v4.10 kernels."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.console import Place

_PARAMETER = "/sys/module/kvm/parameters/cycle_counter"


@contextmanager
def cycle_counter(place: Place, *, for_good: bool = False) -> Iterator[bool]:
    """VMs that are created in `place` meanwhile may read it; yields whether that can be.

    A nested VM must be allowed to at each level: L0 gives the counter to L1, and L1 to L2. In L1
    that is `for_good`: its console belongs to its guest until that ends, and L1 ends after it.

    Such a VM has the whole PMU, so it must be trusted: the parameter is off again at the end.
    """
    on = place.attempt(f"echo Y > {_PARAMETER}")
    try:
        yield on
    finally:
        if on and not for_good:
            place.attempt(f"echo N > {_PARAMETER}")
