# SPDX-License-Identifier: MIT
"""Guests of KVM: what each one is made of."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

GUEST_CPUS = 2  # of a guest that is measured by micro-benchmarks, and of its hypervisor


class File(StrEnum):
    """Symbols of files that have yet to be built, or to be put where they are used."""

    INITRAMFS = "<initramfs>"  # of L0
    L1_INITRAMFS = "<l1-initramfs>"
    GUEST_INITRAMFS = "<guest-initramfs>"
    DEVICE_TREE = "<device-tree>"
    MICROBENCH = "<microbench>"
    DISK = "<disk>"
    PAYLOAD = "<payload>"


def kernel_file(name: str) -> str:
    """The symbol of the kernel that a track calls so."""
    return f"<{name}-kernel>"


def is_symbol(file: str) -> bool:
    """Whether `file` is no path yet."""
    return file.startswith("<")


@dataclass(frozen=True)
class Guest:
    """A guest of KVM. Files are paths of the level that starts it, or symbols; sizes are in MiB.
    vCPUs stay on `pinned`, one to one: by default on the first CPUs. `disk` is read-only; `tap` is
    the interface that its network card (address `mac`) is at the other end of, served by the
    kernel's vhost. Without `ioeventfd` the vCPU that notifies a device waits for the VMM's answer.
    What the VMM gives it at random is drawn by `seed`; with 0 there is nothing, and two boots are
    equal."""

    kernel: str
    cpus: int
    memory_mib: int
    gic: int
    initrd: str | None = None
    arguments: str | None = None
    virtual_el2: bool = False
    virtio_console: bool = False
    ioeventfd: bool = True
    device_tree: str | None = None
    devices: tuple[str, ...] = ()
    chardevs: tuple[str, ...] = ()
    pinned: tuple[int, ...] = ()
    disk: str | None = None
    tap: str | None = None
    mac: str = ""
    seed: int = 0

    @property
    def files(self) -> dict[str, str]:
        """What it boots from, {field: path or symbol}."""
        names = ("kernel", "initrd", "device_tree", "disk")
        return {name: file for name in names if (file := getattr(self, name))}

    def placed(self, path_of: Callable[[str], str]) -> "Guest":
        """With the paths of its symbols, which `path_of` gives."""
        paths: dict[str, Any] = {
            name: path_of(file) for name, file in self.files.items() if is_symbol(file)
        }
        return replace(self, **paths)

    def with_el2(self) -> "Guest":
        """With a virtual EL2: no VMM can ask for one beside a GICv2, so there the device tree
        tells the guest of it, and KVM has to imply it."""
        if self.gic == 3:
            return replace(self, virtual_el2=True)
        return replace(self, device_tree=File.DEVICE_TREE)


def kernel_arguments(level: str, *extra: str, fixed: bool = True) -> tuple[str, ...]:
    """What every kernel of ours gets: the level that its init is told, and no randomness where it
    is to be `fixed`."""
    still = ("nokaslr", "norandmaps") if fixed else ()
    return (f"neve.level={level}", *still, "panic=-1", *extra)


def linux_guest(
    level: str,
    *,
    kernel: str,
    initrd: str,
    cpus: int,
    memory_mib: int,
    gic: int,
    seed: int = 0,
) -> Guest:
    """Linux at `level`."""
    # In this order: an early console prints at once what came before "quiet".
    arguments = kernel_arguments(level, "quiet", "earlycon", "console=hvc0", fixed=not seed)
    return Guest(
        kernel=kernel,
        initrd=initrd,
        cpus=cpus,
        memory_mib=memory_mib,
        gic=gic,
        arguments=" ".join(arguments),
        virtio_console=True,
        devices=("virtio-rng-device",),
        seed=seed,
    )


def flat_guest(kernel: str, memory_mib: int, gic: int) -> Guest:
    """A flat image of ours that answers commands: like Linux, it is told where its console is.

    What it measures is alone: no thread of the VMM is left with a line, and KVM's bus has no
    notifications that an access to the distributor would be compared with. Linux would notify the
    VMM under a lock, for which an emulator's other CPUs spin.
    """
    return Guest(
        kernel,
        GUEST_CPUS,
        memory_mib,
        gic,
        arguments="console=hvc0",
        virtio_console=True,
        ioeventfd=False,
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
