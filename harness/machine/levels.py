# SPDX-License-Identifier: MIT
"""The levels, each a context manager: L0 on its host, L1 in L0, and a guest to measure in
either."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from harness.build.artifacts import Artifacts
from harness.build.image.emulator import emulator
from harness.cache import Cache
from harness.machine.console import Place, Program, Shelf, Shell
from harness.machine.guest.linux import booted
from harness.machine.guest.parameters import implied_el2
from harness.machine.host import Host
from harness.machine.host.as_it_is import as_it_is
from harness.machine.host.fabric_host import FabricHost
from harness.machine.host.launch import OneShot
from harness.machine.host.lock import locked
from harness.machine.host.server import Server
from harness.machine.host.tcg import tcg_host
from harness.machine.host.tuning import constant_speed
from harness.model.guest import File, Guest, kernel_arguments
from harness.model.inventory import HostSpec, SshHostSpec, TcgHostSpec
from harness.model.machine import TcgMachine
from harness.plain import plain

BOOT_SECONDS = {"l1": 300.0, "l2": 300.0}


@dataclass(frozen=True)
class GuestPlace:
    """A Linux guest as the place of further guests; `images` are its files, by local path."""

    shell: Shell
    images: dict[Path, str]

    def attempt(self, command: str) -> bool:
        return self.shell.run(command, timeout=60, check=False).status == 0

    def put(self, local: Path) -> str:
        return self.images[local]

    def start(self, argv: Sequence[str], name: str) -> Program:
        return self.shell.start(argv, name)


def machine_of(spec: TcgHostSpec, artifacts: Artifacts) -> TcgMachine:
    """L0's machine, with its files."""
    machine = artifacts.setup.machine(spec)
    assert machine is not None, f"{spec.name} is a server"
    return replace(
        machine,
        kernel=str(artifacts.l0(spec.name).image),
        initramfs=str(artifacts.files[File.INITRAMFS]),
    )


def placed(guest: Guest, place: Shelf, artifacts: Artifacts) -> Guest:
    """`guest` with its files where `place` has them."""
    return guest.placed(lambda symbol: place.put(artifacts.files[symbol]))


def one_shot(spec: SshHostSpec, artifacts: Artifacts) -> OneShot:
    """What is booted on the server of `spec`."""
    assert artifacts.server_tools is not None, "no artifacts for a server were asked for"
    kernel = artifacts.l0(spec.name)
    return OneShot(
        kernel.image,
        kernel.version,
        artifacts.files[File.INITRAMFS],
        kernel_arguments("l0", *artifacts.setup.track.host_arguments(spec.gic), fixed=False),
        tuple(artifacts.for_guests(spec)),
        artifacts.server_tools,
    )


# What the vendor's kernel tells of a processor: the model's name, if it knows that, and MIDR_EL1.
_PROCESSOR = (
    "lscpu 2>/dev/null | sed -n 's/^Model name: *//p' | head -n 1; "
    "sed 's/^/MIDR_EL1 /' /sys/devices/system/cpu/cpu0/regs/identification/midr_el1 2>/dev/null"
)
_LINE = 200  # characters of what a server says of itself


def reach(spec: SshHostSpec, transcripts: Path, wait: float) -> str:
    """The processor of the server of `spec`, by its own word; nothing if it does not say. Raises
    if it is unusable, before minutes are spent on a kernel."""
    with (
        Server(spec, transcripts).vendor_kernel(wait, deployed=True)
        if spec.boots_ours
        else as_it_is(spec, transcripts, wait)
    ) as host:
        said = host.run(_PROCESSOR, check=False).stdout
        return plain(", ".join(said.split("\n")).strip(", "))[:_LINE]


@contextmanager
def l0(
    cache: Cache, spec: HostSpec, artifacts: Artifacts, transcripts: Path, *, wait: float = 0
) -> Iterator[Host]:
    """The host that `spec` describes, up and reachable; `wait` is for how many seconds another
    run may have it. A server is locked, and measured at a constant speed."""
    with ExitStack() as stack:
        if isinstance(spec, TcgHostSpec):
            wanted = machine_of(spec, artifacts)
            yield stack.enter_context(
                tcg_host(
                    spec.name,
                    emulator(cache),
                    wanted,
                    share=cache.artifacts,
                    transcripts=transcripts,
                )
            )
            return
        host: FabricHost
        if spec.boots_ours:
            server = Server(spec, transcripts)
            host = stack.enter_context(server.one_shot(one_shot(spec, artifacts), wait))
        else:
            host = stack.enter_context(as_it_is(spec, transcripts, wait))
            stack.enter_context(locked(host, wait))
            host.prepare()
        stack.enter_context(constant_speed(host))
        yield host


def el2_implied(host: Host, artifacts: Artifacts, guest: Guest) -> AbstractContextManager[None]:
    """Have KVM give `guest` its virtual EL2 where no VMM asks for it."""
    parameter = artifacts.setup.track.implied_el2 if guest.device_tree else None
    return implied_el2(host, parameter) if parameter else nullcontext()


@contextmanager
def l1(host: Host, artifacts: Artifacts, guest: Guest, *, name: str) -> Iterator[GuestPlace]:
    """Boot the guest hypervisor `guest` up to its shell."""
    with ExitStack() as stack:
        with el2_implied(host, artifacts, guest):
            shell = stack.enter_context(
                booted(host, guest, "l1", name=name, boot_seconds=BOOT_SECONDS["l1"])
            )
        yield GuestPlace(
            shell, {path: f"/images/{file}" for file, path in artifacts.nested.items()}
        )


@contextmanager
def l2(place: Place, guest: Guest, *, name: str) -> Iterator[Shell]:
    """Boot the Linux `guest` up to its shell."""
    with booted(place, guest, "l2", name=name, boot_seconds=BOOT_SECONDS["l2"]) as shell:
        yield shell
