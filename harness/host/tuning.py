# SPDX-License-Identifier: MIT
"""A server while it is measured: processors at a constant speed."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from harness.host.protocol import Host

_GOVERNORS = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"


@contextmanager
def constant_speed(host: Host) -> Iterator[None]:
    """The governor `performance` on every CPU that has one, and what there was afterwards."""
    before = host.run(f"grep -H . {_GOVERNORS} 2>/dev/null", check=False).stdout.splitlines()
    host.run(f"for file in {_GOVERNORS}; do [ -w $file ] && echo performance > $file; done",
             check=False)
    try:
        yield
    finally:
        for line in before:
            file, _, governor = line.partition(":")
            host.run(f"echo {shlex.quote(governor)} > {shlex.quote(file)}", check=False)
