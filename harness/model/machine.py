# SPDX-License-Identifier: MIT
"""The emulated machine that is L0."""

from dataclasses import dataclass

from harness.model.guest import File, kernel_arguments, kernel_file
from harness.model.inventory import TcgHostSpec
from harness.model.track import Track

# A tick of the generic timer is a nanosecond, which is an instruction where those are counted.
_COUNTER = "cntfrq=1000000000"


@dataclass(frozen=True)
class TcgMachine:
    """What the machine is made of. `cpu` and `gic` as QEMU names them; files as paths or symbols.

    Without `icount` its time is ours, and its CPUs run at once. Nothing from outside reaches a
    `hermetic` one, see `harness.machine.host.hermetic`.
    """

    cpu: str
    gic: int
    cpus: int
    memory_mib: int
    kernel_arguments: tuple[str, ...]
    kernel: str = kernel_file("l0")
    initramfs: str = File.INITRAMFS
    icount: bool = True
    hermetic: bool = False


def tcg_machine(spec: TcgHostSpec, track: Track) -> TcgMachine:
    """The machine that `spec` asks for, with the kernel of `track` as L0."""
    options = (spec.cpu, track.cpu_options.get(spec.cpu), _COUNTER)
    return TcgMachine(
        cpu=",".join(filter(None, options)),
        gic=spec.gic,
        cpus=spec.cpus,
        memory_mib=spec.memory,
        kernel_arguments=kernel_arguments("l0", "console=ttyAMA0", *track.host_arguments(spec.gic)),
    )
