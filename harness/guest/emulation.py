# SPDX-License-Identifier: MIT
"""Which architecture L0 gives to virtual EL2: ARMv8.3 (all traps) or NEVE (FEAT_NV2)."""

from harness.errors import InfrastructureError
from harness.host import Host
from harness.kernel.track import Track


def use_neve(host: Host, track: Track, neve: bool) -> None:
    """From now on; a guest hypervisor that runs follows when its vCPUs are next loaded.

    Does nothing on a track whose guest hypervisor is compiled for one of the two.

    Raises InfrastructureError if v8.3 is asked for and L0's kernel or CPU can't do it. A
    kernel without our patches always does NEVE.
    """
    if track.nested_switch is None:
        return
    done = host.run(f"echo {'Y' if neve else 'N'} > {track.nested_switch}", check=False)
    if done.status and not neve:
        raise InfrastructureError(
            f"host {host.name}: virtual EL2 can't run without FEAT_NV2: the kernel lacks the "
            "parameter kvm-arm.nested_neve (is it one of ours?) or the CPU lacks FEAT_NV"
        )
