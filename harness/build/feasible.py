# SPDX-License-Identifier: MIT
"""Checks, before anything is built, whether a playbook can be run at all."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from harness.build.debian import Debian
from harness.build.image import elf, payloads
from harness.build.image.emulator import Emulator, emulator_at_hand
from harness.build.kernel.choice import looked_up
from harness.build.qemu import quoted
from harness.cache import Cache
from harness.errors import UserError
from harness.model.document import shown
from harness.model.inventory import HostSpec, SshHostSpec, TcgHostSpec
from harness.model.kernel_choice import Level, is_release
from harness.model.playbook import Playbook
from harness.model.setup import Setup
from harness.model.track import Track
from harness.paths import expanded
from harness.process import ProcessError, run


def refuse_impossible(setup: Setup, origin: str, *, here: bool = True) -> None:
    """Raise UserError with everything that `setup`, read from `origin`, asks for and can't have.
    The memory of machines is this computer's only if they are started `here`.

    What only the emulator knows is asked of it if it is here already.
    """
    playbook = setup.playbook
    found = [*_files(playbook), *_kernels(setup, here), *_sizes(setup, here)]
    if found:
        raise UserError(f"{origin}: {'; '.join(found)}")
    if any(isinstance(host, TcgHostSpec) for host in playbook.hosts):
        qemu = emulator_at_hand(Cache.default())
        if qemu:
            refuse_machines(qemu, playbook.hosts, setup.track)


def refuse_missing(playbook: Playbook) -> None:
    """Raise UserError if a file of the user's is missing on this machine."""
    if found := [*_files(playbook)]:
        raise UserError("; ".join(found))


def refuse_empty(setup: Setup, origin: str) -> None:
    """Raise UserError if nothing of `setup` can run."""
    if not setup.cells:
        raise UserError(f"{origin}: nothing is left to run: {'; '.join(setup.skipped)}")


def refuse_machines(qemu: Emulator, hosts: tuple[HostSpec, ...], track: Track) -> None:
    """Raise UserError if `qemu` can't make one of the machines, as for a processor that it does
    not know or that is no 64-bit one. Takes a tenth of a second each; nothing is booted."""
    options = track.cpu_options
    for host in hosts:
        if isinstance(host, TcgHostSpec):
            # Only 64-bit processors have the property aarch64.
            cpu = ",".join(filter(None, (host.cpu, options.get(host.cpu), "aarch64=on")))
            _refuse_machine(qemu, host, cpu)


def _refuse_machine(qemu: Emulator, host: TcgHostSpec, cpu: str) -> None:
    # QEMU ends when it has written the device tree. It renames a file of its own for that, over
    # whatever is there: /dev/null would be gone.
    with tempfile.TemporaryDirectory(prefix="neve-machine-") as folder:
        tree = Path(folder) / "tree"
        try:
            run(
                [
                    *qemu.argv,
                    "-machine",
                    f"virt,virtualization=on,gic-version={host.gic},dumpdtb={quoted(tree)}",
                    "-cpu",
                    cpu,
                    "-smp",
                    str(host.cpus),
                    "-nodefaults",
                    "-display",
                    "none",
                ],
                timeout=60,
            )
        except ProcessError as error:
            said = error.complaint.partition("aarch64: ")[2] or error.complaint
            if said.endswith(".aarch64' not found"):
                said = "it is not a 64-bit processor"
            raise UserError(
                f"host {host.name}: QEMU {qemu.version} makes no machine with cpu "
                f"{shown(host.cpu)}: {said}"
            ) from error


def _files(playbook: Playbook) -> Iterator[str]:
    """Files of the user's that are missing."""
    if playbook.specjvm and not expanded(playbook.specjvm.jar, "specjvm").is_file():
        yield f"specjvm: no file {playbook.specjvm.jar}"
    if playbook.payload and not payloads.is_there(playbook.payload.image):
        ours = ", ".join(payloads.OURS)
        yield f"payload: no file {playbook.payload.image}, and none of ours ({ours})"
    if playbook.kernel_config and not playbook.kernel_config.is_file():
        yield f"kernel_config: no file {playbook.kernel_config}"
    if playbook.vmm and playbook.vmm not in (suites := Debian.load().suites):
        program = expanded(Path(playbook.vmm), "vmm")
        if not program.is_file():
            yield f"vmm: no file {playbook.vmm}, and no suite of Debian's ({', '.join(suites)})"
        elif not elf.is_arm64(program):
            yield f"vmm: {playbook.vmm} is no program for arm64"
    for host in playbook.hosts:
        config = host.kernel_config if isinstance(host, SshHostSpec) else None
        if config and not config.is_file():
            yield f"host {host.name}: kernel_config: no file {config}"


def _kernels(setup: Setup, here: bool) -> Iterator[str]:
    """Kernels that are not there, or would not be booted."""
    playbook = setup.playbook
    for host in playbook.hosts:
        if isinstance(host, SshHostSpec) and not host.boots_ours and Level.L0 in playbook.kernels:
            yield f"host {host.name}: it keeps its own kernel, so `kernels` has no l0 for it"
    for level, choice in playbook.kernels.items() if here else ():
        if not is_release(choice):
            try:
                looked_up(setup.track, choice)
            except UserError as error:
                yield f"kernel of {level}: {error}"


def _sizes(setup: Setup, here: bool) -> Iterator[str]:
    """Memory and CPUs that do not fit into what is below them."""
    playbook, cpus = setup.playbook, setup.guest_cpus
    guest, memory = "l2_memory", playbook.l2_memory
    if playbook.nested:
        if memory >= playbook.l1_memory:
            yield f"l2_memory: {memory} MiB do not fit into l1_memory, {playbook.l1_memory} MiB"
        guest, memory = "l1_memory", playbook.l1_memory
    there = psutil.virtual_memory().total >> 20
    for host in playbook.hosts:
        if isinstance(host, SshHostSpec):
            if host.isolated and len(host.isolated) < cpus:
                yield (
                    f"host {host.name}: `cpus` isolates {len(host.isolated)}, but guests have "
                    f"{cpus} vCPUs"
                )
            continue
        if memory >= host.memory:
            yield (
                f"{guest}: {memory} MiB do not fit into the memory of host {host.name}, "
                f"{host.memory} MiB"
            )
        if here and host.memory > there:
            yield (
                f"host {host.name}: memory: {host.memory} MiB are more than this computer's "
                f"{there} MiB"
            )
        if cpus > host.cpus:
            yield f"guest_cpus: {cpus} are more than the {host.cpus} cpus of host {host.name}"
