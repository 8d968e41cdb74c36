# SPDX-License-Identifier: MIT
"""A parameter of our v4.10 kernels' KVM, which holds for the VMs created while it is on."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import InfrastructureError
from harness.machine.console import Place


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
