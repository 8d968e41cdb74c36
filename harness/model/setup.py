# SPDX-License-Identifier: MIT
"""What a run needs, worked out once: cells, kernels, guests and their files.

This builds and boots nothing. Symbols such as `<l0-kernel>` stand for files, until `build` has made
them and their place is known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from harness.model.guest import (
    GUEST_CPUS,
    File,
    Guest,
    flat_guest,
    is_symbol,
    kernel_file,
    linux_guest,
    payload_guest,
)
from harness.model.inventory import HostSpec, SshHostSpec
from harness.model.kernel_choice import Level
from harness.model.machine import TcgMachine, tcg_machine
from harness.model.playbook import Cell, Configuration, Playbook, plan, skipped
from harness.model.track import Track

# What L1 has below /images: what its own guests are made of.
L1_FILES = {
    File.MICROBENCH: "microbench.bin",
    File.GUEST_INITRAMFS: "guest.cpio",
    kernel_file("l2"): "Image",
    File.PAYLOAD: "payload",
}


class Workload(StrEnum):
    """What runs in the guest that is measured."""

    MICRO = "micro-benchmarks"
    APPLICATIONS = "applications"
    PAYLOAD = "payload"
    LINUX = "Linux"


@dataclass(frozen=True)
class Setup:
    """`playbook` on `track`, whose kernels have all options that `workload` needs."""

    playbook: Playbook
    track: Track
    workload: Workload

    @classmethod
    def of(
        cls, playbook: Playbook, track: Track | None = None, workload: Workload | None = None
    ) -> "Setup":
        """Of what `playbook` measures, or of another `workload` on its hosts."""
        track = track or Track.load(playbook.track)
        if workload is None:
            workload = (
                Workload.PAYLOAD
                if playbook.payload
                else Workload.APPLICATIONS
                if playbook.applications
                else Workload.MICRO
            )
        if workload is not Workload.MICRO or not all(map(playbook.exact, playbook.hosts)):
            track = track.with_options(*track.network)
        if workload is Workload.APPLICATIONS:
            track = track.with_options(*track.applications)
        if playbook.kernel_config:
            track = track.with_options(playbook.kernel_config)
        return cls(playbook, track, workload)

    def on(self, hosts: Iterable[HostSpec]) -> "Setup":
        """The same on `hosts` alone."""
        return replace(self, playbook=self.playbook.model_copy(update={"hosts": tuple(hosts)}))

    @property
    def cells(self) -> list[Cell]:
        """What is measured."""
        return plan(self.playbook)

    def boots(self, cells: Iterable[Cell]) -> dict[str, tuple[Cell, ...]]:
        """`cells` by what has nothing to do with the others, by name: those of each host. An
        emulated machine is booted for each configuration of micro-benchmarks, so there each has
        its own."""
        hosts = {host.name: host for host in self.playbook.hosts}
        found: dict[str, list[Cell]] = {}
        for cell in cells:
            name = cell.host
            if (machine := self.machine(hosts[name])) and machine.hermetic:
                name = f"{name}/{cell.configuration}/{cell.repetition}"
            found.setdefault(name, []).append(cell)
        return {name: tuple(mine) for name, mine in found.items()}

    @property
    def skipped(self) -> list[str]:
        """What the playbook names and is not measured, and why."""
        return skipped(self.playbook)

    @property
    def guest_cpus(self) -> int:
        """vCPUs of every guest."""
        if self.workload is Workload.APPLICATIONS:
            return self.playbook.guest_cpus
        return GUEST_CPUS

    @property
    def linux_guest(self) -> bool:
        """Whether what is measured is Linux."""
        return self.workload in {Workload.APPLICATIONS, Workload.LINUX}

    @property
    def kernels(self) -> dict[str, dict[str, str]]:
        """{name: parameters of the series} of the kernels that boot, but for `host_kernels`."""
        configurations = self.playbook.configurations
        linux = self.linux_guest and bool(configurations)  # a shell in L0 has none
        return self.track.kernels(configurations, linux_guest=linux)

    def choice(self, name: str) -> str | None:
        """What the kernel of that name is made of: a version, a path, `repository@revision`; None
        for the track's newest."""
        return self.playbook.kernels.get(Level.of(name), self.playbook.kernel)

    def spare(self, name: str) -> set[str]:
        """Parameters of the series that the kernel of that name can do without."""
        return self.track.spare(name, self.playbook.configurations)

    @property
    def host_kernels(self) -> dict[str, tuple[Path, ...]]:
        """{host: the fragments by which L0's kernel there differs from the track's}."""
        wanted = {}
        for host in self.servers:
            needed = (*host.features, *(["kaslr"] if self.playbook.boots > 1 else []))
            options = [self.track.server[name] for name in needed if name in self.track.server]
            if host.kernel_config:
                options.append(host.kernel_config)
            if options:
                wanted[host.name] = tuple(options)
        return wanted

    @property
    def servers(self) -> list[SshHostSpec]:
        """The servers on which a kernel of ours is booted."""
        return [
            host
            for host in self.playbook.hosts
            if isinstance(host, SshHostSpec) and host.boots_ours
        ]

    @property
    def l1_files(self) -> dict[str, str]:
        """{symbol: name below /images} of what L1 has for its guests."""
        present = {File.MICROBENCH, File.GUEST_INITRAMFS, *map(kernel_file, self.kernels)}
        if self.playbook.payload:
            present.add(File.PAYLOAD)
        return {symbol: name for symbol, name in L1_FILES.items() if symbol in present}

    def machine(self, spec: HostSpec) -> TcgMachine | None:
        """The machine that is L0; None if that is a server."""
        if isinstance(spec, SshHostSpec):
            return None
        machine = tcg_machine(spec, self.track)
        return replace(machine, hermetic=self.workload is Workload.MICRO)

    def hypervisor(self, spec: HostSpec, configuration: Configuration) -> Guest:
        """The guest hypervisor of `configuration`, with a virtual EL2 where the track's KVM can
        give it one."""
        guest = linux_guest(
            "l1",
            kernel=kernel_file(self.track.hypervisor(configuration)),
            initrd=File.L1_INITRAMFS,
            cpus=self.guest_cpus,
            memory_mib=self.playbook.l1_memory,
            gic=spec.gic,
            seed=_seed(spec),
        ).with_el2()
        if self.workload is Workload.MICRO:
            # It is told on its console which guest to start; nothing in it is random.
            guest = replace(guest, arguments=f"{guest.arguments} neve.guest=1", devices=())
        return self._connected(guest, 1)

    def measured(self, spec: HostSpec, configuration: Configuration) -> Guest | None:
        """The guest that is measured in `configuration`; None if that is L0 itself."""
        if configuration is Configuration.NATIVE:
            return None
        memory, level = self.playbook.l2_memory, configuration.guest_level
        if self.linux_guest:
            return self._connected(
                linux_guest(
                    "l2",
                    kernel=kernel_file("l2"),
                    initrd=File.GUEST_INITRAMFS,
                    cpus=self.guest_cpus,
                    memory_mib=memory,
                    gic=spec.gic,
                    seed=_seed(spec),
                ),
                level,
            )
        if payload := self.playbook.payload:
            return payload_guest(File.PAYLOAD, GUEST_CPUS, memory, spec.gic, payload.arguments)
        return flat_guest(File.MICROBENCH, memory, spec.gic)

    def guests(self, spec: HostSpec) -> Mapping[str, Guest]:
        """All guests on the host, each by what it is called in plans and in metadata."""
        named: dict[str, Guest] = {}
        for configuration in dict.fromkeys(
            cell.configuration for cell in self.cells if cell.host == spec.name
        ):
            if configuration.nested:
                hypervisor = self.hypervisor(spec, configuration)
                named.setdefault(self.track.hypervisor(configuration), hypervisor)
            if measured := self.measured(spec, configuration):
                named[f"{configuration}: guest at L{configuration.guest_level}"] = measured
        return named

    def files_on(self, spec: HostSpec) -> list[str]:
        """Symbols of what L0 on the host gives to its guests; what L2 needs is in L1."""
        guests = [guest for name, guest in self.guests(spec).items() if not name.endswith("L2")]
        files = [file for guest in guests for file in guest.files.values() if is_symbol(file)]
        if self.workload is Workload.APPLICATIONS:
            files.append(File.DISK)
        return list(dict.fromkeys(files))

    def _connected(self, guest: Guest, level: int) -> Guest:
        """With the applications' disk, and a card in their network."""
        if self.workload is not Workload.APPLICATIONS:
            return guest
        disk = File.DISK if level == 1 else "/dev/vda"
        return replace(guest, disk=disk, tap="guest", mac=f"52:54:00:00:02:{level:02x}")


def _seed(spec: HostSpec) -> int:
    """Of a guest that differs from boot to boot: where each measurement does, so that they are not
    all of one layout."""
    return 1 if isinstance(spec, SshHostSpec) else 0
