# SPDX-License-Identifier: MIT
"""Lets a VM read the cycle counter of the physical CPU: a parameter of our v4.10 kernels."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.host import Host

_PARAMETER = "/sys/module/kvm/parameters/cycle_counter"


@contextmanager
def cycle_counter(host: Host) -> Iterator[bool]:
    """VMs that are created meanwhile may read it; yields whether the host can do that.

    Such a VM has the whole PMU, so it must be trusted: the parameter is off again at the end.
    """
    on = host.run(f"echo Y > {_PARAMETER}", check=False).status == 0
    try:
        yield on
    finally:
        if on:
            host.run(f"echo N > {_PARAMETER}")
