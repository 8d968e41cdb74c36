# SPDX-License-Identifier: MIT
"""The command line of a stock QEMU as VMM, the same in L0 and in L1."""

from typing import TYPE_CHECKING

from harness.build.qemu import quoted
from harness.model.guest import Guest
from harness.paths import PINNED

if TYPE_CHECKING:  # `neve plan` prints command lines, and starts none
    from harness.machine.console import Place, Program, Shelf

QEMU = "qemu-system-aarch64"


def vmm_argv(guest: Guest) -> list[str]:
    """Arguments that start `guest` with its console on the terminal.

    A guest that resets ends QEMU (-no-reboot), so a reboot loop is noticed; signals of the
    terminal go to the guest, not to QEMU.

    A UART costs a guest an exit or more per character, and below a guest hypervisor a line is
    seconds then. With `virtio_console` the terminal is hvc0, and what a kernel has to say before
    it has found that comes out of the UART.
    """
    machine = f"virt,accel=kvm,gic-version={guest.gic}"
    if not guest.seed:
        machine += ",dtb-randomness=off"
    if guest.virtual_el2:
        machine += ",virtualization=on"
    argv = [
        QEMU,
        "-name",
        "guest,debug-threads=on",
        "-machine",
        machine,
        "-cpu",
        "host",
        "-smp",
        str(guest.cpus),
        "-m",
        f"{guest.memory_mib}M",
        "-seed",
        str(guest.seed or 1),
        "-nodefaults",
        "-nographic",
        "-no-reboot",
        *(() if guest.tap else ("-nic", "none")),
        "-monitor",
        "none",
        "-chardev",
        "stdio,id=console,signal=off",
    ]
    if guest.virtio_console:
        argv += [
            "-chardev",
            "file,id=early,append=on,path=/proc/self/fd/2",
            "-serial",
            "chardev:early",
            "-device",
            "virtio-serial-device",
            "-device",
            "virtconsole,chardev=console",
        ]
    else:
        argv += ["-serial", "chardev:console"]
    if not guest.ioeventfd:
        argv += ["-global", "virtio-mmio.ioeventfd=off"]
    argv += ["-kernel", guest.kernel]
    if guest.initrd:
        argv += ["-initrd", guest.initrd]
    if guest.arguments:
        argv += ["-append", guest.arguments]
    if guest.device_tree:
        argv += ["-dtb", guest.device_tree]
    if guest.disk:
        argv += [
            "-drive",
            f"if=none,id=disk,format=raw,readonly=on,file={quoted(guest.disk)}",
            "-device",
            "virtio-blk-device,drive=disk",
        ]
    if guest.tap:
        argv += [
            "-netdev",
            f"tap,id=net,ifname={guest.tap},script=no,downscript=no,vhost=on",
            "-device",
            f"virtio-net-device,netdev=net,mac={guest.mac}",
        ]
    for chardev in guest.chardevs:
        argv += ["-chardev", chardev]
    for device in guest.devices:
        argv += ["-device", device]
    return argv


def pinned_argv(place: "Shelf", guest: Guest) -> list[str]:
    """Arguments that start `guest` in `place`, each of its vCPUs on a CPU of its own."""
    cpus = " ".join(map(str, (guest.pinned or range(guest.cpus))[: guest.cpus]))
    return ["sh", place.put(PINNED), cpus, *vmm_argv(guest)]


def start(place: "Place", guest: Guest, name: str) -> "Program":
    """Start `guest` in `place`, each of its vCPUs on a CPU of its own."""
    return place.start(pinned_argv(place, guest), name)
