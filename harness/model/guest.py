# SPDX-License-Identifier: MIT
"""Guests of KVM: what each one is made of."""

from dataclasses import dataclass

GUEST_CPUS = 2  # of a guest that is measured by micro-benchmarks, and of its hypervisor


@dataclass(frozen=True)
class Guest:
    """A guest of KVM. Paths are those of the level that starts it; sizes in MiB. vCPUs stay on
    `pinned`, one to one: by default on the first CPUs. `disk` is read-only; `tap` is the interface
    that its network card (address `mac`) is at the other end of, served by the kernel's vhost."""

    kernel: str
    cpus: int
    memory_mib: int
    gic: int
    initrd: str | None = None
    arguments: str | None = None
    virtual_el2: bool = False
    virtio_console: bool = False
    device_tree: str | None = None
    devices: tuple[str, ...] = ()
    chardevs: tuple[str, ...] = ()
    pinned: tuple[int, ...] = ()
    disk: str | None = None
    tap: str | None = None
    mac: str = ""


def kernel_arguments(level: str, *extra: str) -> tuple[str, ...]:
    """What every kernel of ours gets: no randomness, and the level that its init is told."""
    return (f"neve.level={level}", "nokaslr", "norandmaps", "panic=-1", *extra)


def linux_guest(
    level: str, *, kernel: str, initrd: str, cpus: int, memory_mib: int, gic: int
) -> Guest:
    """Linux at `level`."""
    return Guest(
        kernel=kernel,
        initrd=initrd,
        cpus=cpus,
        memory_mib=memory_mib,
        gic=gic,
        # In this order: an early console prints at once what came before "quiet".
        arguments=" ".join(kernel_arguments(level, "quiet", "earlycon", "console=hvc0")),
        virtio_console=True,
        devices=("virtio-rng-device",),
    )


def payload_guest(kernel: str, cpus: int, memory_mib: int, gic: int, arguments: str) -> Guest:
    """A flat image of the user's own.

    The test device is how kvm-unit-tests end with a status; others never look at it.
    """
    return Guest(
        kernel=kernel,
        cpus=cpus,
        memory_mib=memory_mib,
        gic=gic,
        arguments=arguments or None,
        chardevs=("testdev,id=testdev",),
        devices=("virtio-serial-device", "virtconsole,chardev=testdev"),
    )
