# SPDX-License-Identifier: MIT
"""Keeps a server's processors at a constant speed while it is measured.

What there was before the first of our runs is kept on the server, for as long as it has not been
set right: by the run, or by what holds the lock there when the run is killed, or by the next run.
A boot sets it right, too.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.machine.host.folder import STATE
from harness.machine.host.protocol import Host

_GOVERNORS = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"
_BEFORE = f"{STATE}/governors"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_SAVE = f"""umask 077
read -r boot < {_BOOT_ID}
grep -qsx "$boot" {_BEFORE} || {{
	{{ echo "$boot"; grep -H . {_GOVERNORS} 2>/dev/null; }} > {_BEFORE}.new
	mv {_BEFORE}.new {_BEFORE}
}}"""
_SET = f"""for file in {_GOVERNORS}; do
	[ ! -w "$file" ] || echo performance > "$file"
done"""
# For whoever has the lock. What the server says of its governors does not become a command.
RESTORE = f"""[ ! -f {_BEFORE} ] || {{
	{{
		read -r was && read -r boot < {_BOOT_ID} && [ "$was" = "$boot" ] &&
		while IFS=: read -r file governor; do
			case $file in
			{_GOVERNORS}) echo "$governor" > "$file" ;;
			esac
		done
	}} < {_BEFORE}
	rm {_BEFORE}
}}"""


@contextmanager
def constant_speed(host: Host) -> Iterator[None]:
    """The governor `performance` on every CPU that has one, and what there was afterwards."""
    host.run(_SAVE)
    host.run(_SET, check=False)
    try:
        yield
    finally:
        host.run(RESTORE, check=False)
