# SPDX-License-Identifier: MIT
"""The CPUs of a server to which vCPUs are pinned, one to one, and checks that they are."""

import re
from collections.abc import Iterator, Sequence

from harness.errors import GuestError, UserError
from harness.machine.host.fabric_host import FabricHost
from harness.machine.host.protocol import Host
from harness.model.inventory import HostSpec, TcgHostSpec

_CPUS = r"[0-9,-]*"
_ONLINE = "cat /sys/devices/system/cpu/online; sed -n 's/^Cpus_allowed_list://p' /proc/self/status"
# Threads are named for their vCPUs, others' as well; ours are of a VMM with a file of ours.
_VCPUS = r"""for task in /proc/[0-9]*/task/*; do
	read -r name <"$task/comm" || continue
	case $name in "CPU "*/KVM)
		tr '\0' ' ' <"$task/cmdline" | grep -qF {root}/files/ &&
			sed -n "s|^Cpus_allowed_list:[^0-9]*|$name |p" "$task/status" ;;
	esac
done 2>/dev/null"""
_VCPU = re.compile(r"^CPU (\d+)/KVM ([0-9,-]+)$", re.MULTILINE)


def cpus_for_guests(host: Host, spec: HostSpec, wanted: int) -> tuple[int, ...]:
    """L0's CPUs on which `wanted` vCPUs are pinned: the isolated ones of a server, else the last
    ones that programs there may use; none in particular on a machine of ours. Raises UserError if
    there are too few."""
    if isinstance(spec, TcgHostSpec):
        return ()
    online, allowed = _online_and_allowed(host)
    if not spec.isolated:
        usable = sorted(online & allowed)
        if len(usable) < wanted:
            raise UserError(
                f"host {spec.name}: programs may use {len(usable)} of its CPUs, but "
                f"guests have {wanted} vCPUs"
            )
        return tuple(usable[-wanted:])
    if offline := sorted(set(spec.isolated) - online):
        raise UserError(f"host {spec.name}: `cpus` names CPU {offline[0]}, which is not online")
    if len(spec.isolated) < wanted:
        raise UserError(
            f"host {spec.name}: `cpus` isolates {len(spec.isolated)}, but guests have "
            f"{wanted} vCPUs"
        )
    return spec.isolated


def usable_cpus(host: Host) -> list[int]:
    """L0's CPUs that are online and that programs may use. nproc counts those that OpenMP's
    variables allow."""
    online, allowed = _online_and_allowed(host)
    return sorted(online & allowed)


def _online_and_allowed(host: Host) -> tuple[set[int], set[int]]:
    said = host.read(_ONLINE, rf"({_CPUS})\n\s*({_CPUS})\n")
    return set(numbers(said[1])), set(numbers(said[2]))


def numbers(text: str) -> Iterator[int]:
    """The CPUs of a list of the kernel's: `0-3,8`."""
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def verify(host: Host, cpus: Sequence[int]) -> None:
    """Raise GuestError if a vCPU in L0 may run elsewhere than on its own one of `cpus`: a CPU that
    goes offline, or a cpuset that changes, moves it without a word."""
    if not cpus:
        return
    assert isinstance(host, FabricHost), "only servers have CPUs in particular"
    said = host.run(_VCPUS.format(root=host.root), check=False)
    found = _VCPU.findall(said.stdout)
    if not found:
        raise GuestError(f"host {host.name}: no VMM of ours has a vCPU there")
    wanted = {f"{number}": f"{cpu}" for number, cpu in enumerate(cpus)}
    for number, allowed in found:
        if allowed != wanted.get(number):
            raise GuestError(
                f"host {host.name}: vCPU {number} of a guest is on CPU {allowed}, not "
                f"on CPU {wanted.get(number, 'of its own')} alone"
            )
