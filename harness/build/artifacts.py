# SPDX-License-Identifier: MIT
"""Everything that boots, found or built before a run starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.build.debian import Debian
from harness.build.feasible import refuse_machines, refuse_missing
from harness.build.image.device_tree import gicv2_with_el2
from harness.build.image.disk import disk
from harness.build.image.emulator import emulator
from harness.build.image.kernbench import kernbench
from harness.build.image.microbench import microbench
from harness.build.image.rootfs import l1_initramfs, rootfs
from harness.build.image.server_tools import server_tools
from harness.build.kernel.build import Kernel, build
from harness.build.kernel.source import Source, find
from harness.cache import Cache, file_sha256
from harness.model.guest import File, kernel_file
from harness.model.inventory import HostSpec, TcgHostSpec
from harness.model.playbook import Playbook
from harness.model.setup import Setup, Workload
from harness.model.track import Track
from harness.paths import PINNED, expanded
from harness.stages import Stages


@dataclass(frozen=True)
class Artifacts:
    """Local files of `setup`. `files` are by symbol, `nested` is what L1 finds below /images by its
    name there, and `host_kernels` are L0's by the name of the host that has a configuration of its
    own; `server_tools` are there with a server on which one is to be booted. `packages` lists what
    the root file system is made of."""

    setup: Setup
    kernels: Mapping[str, Kernel]
    files: Mapping[str, Path]
    nested: Mapping[str, Path]
    packages: Sequence[str]
    host_kernels: Mapping[str, Kernel] = field(default_factory=dict)
    server_tools: Path | None = None

    def l0(self, host: str) -> Kernel:
        """L0's kernel on `host`."""
        return self.host_kernels.get(host, self.kernels["l0"])

    def for_guests(self, host: HostSpec) -> list[Path]:
        """What L0 on `host` gives to its guests."""
        return [PINNED, *(self.files[symbol] for symbol in self.setup.files_on(host))]

    def present(self) -> bool:
        """Whether this machine has all of them."""
        kernels = [kernel.image for kernel in self.host_kernels.values()]
        tools = [self.server_tools] if self.server_tools else []
        files = (*self.files.values(), *self.nested.values(), *kernels, *tools)
        return all(file.exists() for file in files)

    def describe(self) -> dict[str, Any]:
        """Versions and hashes, for the metadata."""
        kernels = {
            **self.kernels,
            **{f"l0 of {host}": kernel for host, kernel in self.host_kernels.items()},
        }
        hashes = {
            name: {"sha256": file_sha256(self.files[symbol])}
            for name, symbol in (
                ("rootfs", File.INITRAMFS),
                ("microbench", File.MICROBENCH),
                ("disk", File.DISK),
                ("payload", File.PAYLOAD),
            )
            if symbol in self.files
        }
        return {
            "kernels": {
                level: {
                    "version": kernel.version,
                    "key": kernel.key,
                    "origin": kernel.origin,
                    "sha256": file_sha256(kernel.image),
                }
                for level, kernel in kernels.items()
            },
            "disk": None,
            **hashes,
            "rootfs": {**hashes["rootfs"], "packages": self.packages},
        }


def build_all(cache: Cache, progress: Stages, setup: Setup) -> Artifacts:
    """Find or build all that `setup` boots on its hosts. Raises UserError before anything is built
    if a file of the user's is missing here."""
    playbook, track = setup.playbook, setup.track
    refuse_missing(playbook)
    machines = tuple(host for host in playbook.hosts if isinstance(host, TcgHostSpec))
    if machines:
        with progress.stage("emulator"):
            refuse_machines(emulator(cache), machines, track)
    with progress.stage("kernel source"):
        source = find(cache, track, wanted=playbook.kernel)
    kernels = {}
    for name, settings in setup.kernels.items():
        with progress.stage(f"kernel {source.version} for {name}"):
            kernels[name] = build(cache, source, track, settings)
    host_kernels = _host_kernels(cache, progress, setup, source)
    with progress.stage("images"):
        debian = Debian.load()
        tools = server_tools(cache, debian) if setup.servers else None
        roots = rootfs(cache, debian)
        files = {
            **{kernel_file(name): kernel.image for name, kernel in kernels.items()},
            File.INITRAMFS: roots.hypervisor,
            File.GUEST_INITRAMFS: roots.guest,
            File.MICROBENCH: microbench(cache),
        }
        if playbook.payload:
            files[File.PAYLOAD] = playbook.payload.image
        nested = {name: files[symbol] for symbol, name in setup.l1_files.items()}
        nested[PINNED.name] = PINNED
        if any(name.startswith("l1") for name in kernels):
            files[File.L1_INITRAMFS] = l1_initramfs(cache, roots.hypervisor, nested)
            if track.implied_el2:
                files[File.DEVICE_TREE] = gicv2_with_el2(cache, emulator(cache), setup.guest_cpus)
    if setup.workload is Workload.APPLICATIONS:
        with progress.stage("disk"):
            files[File.DISK] = _disk(cache, playbook)
    return Artifacts(setup, kernels, files, nested, roots.packages, host_kernels, tools)


def _host_kernels(
    cache: Cache, progress: Stages, setup: Setup, source: Source
) -> dict[str, Kernel]:
    track, built = setup.track, {}
    for host, options in setup.host_kernels.items():
        with progress.stage(f"kernel {source.version} for {host}"):
            built[host] = build(cache, source, track.with_options(*options), track.roles.get("l0"))
    return built


def _disk(cache: Cache, playbook: Playbook) -> Path:
    """The applications', with the user's copy of SPECjvm2008 on it if there is one."""
    today = find(cache, Track.load("upstream"), wanted=None)
    folder = None
    if playbook.specjvm:
        folder = expanded(playbook.specjvm.jar, "specjvm").resolve().parent
    return disk(cache, Debian.load(), kernbench(cache, today), folder)
