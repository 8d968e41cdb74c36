# SPDX-License-Identifier: MIT
"""What L0 gives to virtual EL2: ARMv8.3 (all traps), NEVE (FEAT_NV2), or HVCs in place of them."""

from harness.errors import InfrastructureError
from harness.machine.host import Host
from harness.model.track import Track


def set_nv_mode(host: Host, track: Track, value: str | None) -> None:
    """Set the track's switch to `value`, or to what a guest hypervisor boots with; one that runs
    follows when its vCPUs are next loaded, where it follows at all. Does nothing on a track without
    a switch.

    Raises InfrastructureError if L0's kernel or CPU can't do it. A kernel without our patches
    always does what a guest hypervisor boots with.
    """
    if track.nv_switch is None:
        return
    wanted = value or track.nv_switch.boot
    done = host.run(f"echo {wanted} > {track.nv_switch.file}", check=False)
    if done.status and wanted != track.nv_switch.boot:
        raise InfrastructureError(
            f"host {host.name}: virtual EL2 can't be {wanted}: {track.nv_switch.file} does not "
            "take it (is the kernel one of ours?), or the CPU lacks FEAT_NV"
        )
