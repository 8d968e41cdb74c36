# SPDX-License-Identifier: MIT
"""Everything that boots, found or built before a run starts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.build.debian import Debian
from harness.build.feasible import refuse_machines
from harness.build.image.device_tree import gicv2_with_el2
from harness.build.image.disk import disk
from harness.build.image.emulator import emulator
from harness.build.image.kernbench import kernbench
from harness.build.image.microbench import microbench
from harness.build.image.rootfs import Roots, l1_initramfs, rootfs
from harness.build.image.server_tools import server_tools
from harness.build.kernel.build import Kernel, build
from harness.build.kernel.source import find
from harness.cache import Cache, file_sha256
from harness.errors import UserError
from harness.model.guest import GUEST_CPUS
from harness.model.inventory import HostSpec, SshHostSpec, TcgHostSpec
from harness.model.playbook import Playbook
from harness.model.track import Track
from harness.paths import PINNED, expanded
from harness.progress import Stages


@dataclass(frozen=True)
class Artifacts:
    """Local files. `kernels` are by `Track.kernels`; `nested` is what L1 finds below /images;
    `device_tree` that of an L1 with GICv2, where the track can give it EL2. `own_kernels` are
    L0's by the name of the host that has a configuration of its own; `server_tools` are there
    with a server on which one is to be booted, `disk` with applications.

    What only a guest hypervisor needs is there only if it was asked for.
    """

    track: Track
    kernels: Mapping[str, Kernel]
    roots: Roots
    microbench: Path
    nested: dict[str, Path]
    l1_initramfs: Path | None
    device_tree: Path | None
    own_kernels: Mapping[str, Kernel] = field(default_factory=dict)
    server_tools: Path | None = None
    disk: Path | None = None

    def l0(self, host: str) -> Kernel:
        """L0's kernel on `host`."""
        return self.own_kernels.get(host, self.kernels["l0"])

    def for_l0(self) -> tuple[Path, ...]:
        """What L0 gives to its guests."""
        guests = [kernel.image for name, kernel in self.kernels.items() if name.startswith("l1")]
        if self.disk:
            guests += [self.kernels["l2"].image, self.roots.guest, self.disk]
        own = (PINNED, self.microbench, self.l1_initramfs, self.device_tree, *guests)
        return tuple(path for path in own if path)

    def present(self) -> bool:
        """Whether this machine has all of them."""
        kernels = (*self.kernels.values(), *self.own_kernels.values())
        files = [kernel.image for kernel in kernels]
        files += [self.roots.hypervisor, self.roots.guest, self.microbench, *self.nested.values()]
        more = (self.l1_initramfs, self.device_tree, self.server_tools, self.disk)
        return all(file.exists() for file in (*files, *more) if file)

    def hypervisor(self, configuration: str) -> Kernel:
        """The guest hypervisor of `configuration`."""
        return self.kernels[self.track.hypervisor(configuration)]

    def describe(self) -> dict[str, Any]:
        """Versions and hashes, for the metadata."""
        return {
            "kernels": {
                level: {
                    "version": kernel.version,
                    "key": kernel.key,
                    "origin": kernel.origin,
                    "sha256": file_sha256(kernel.image),
                }
                for level, kernel in {
                    **self.kernels,
                    **{f"l0 of {host}": own for host, own in self.own_kernels.items()},
                }.items()
            },
            "rootfs": {
                "sha256": file_sha256(self.roots.hypervisor),
                "packages": self.roots.packages,
            },
            "microbench": {"sha256": file_sha256(self.microbench)},
            "disk": {"sha256": file_sha256(self.disk)} if self.disk else None,
        }


def artifacts_of(
    cache: Cache, progress: Stages, playbook: Playbook, hosts: Iterable[HostSpec] | None = None
) -> Artifacts:
    """What `playbook` boots on `hosts`, by default all of its own."""
    return prepare(
        cache,
        progress,
        track=playbook.track,
        configurations=playbook.configurations,
        kernel=playbook.kernel,
        hosts=playbook.hosts if hosts is None else hosts,
        applications=playbook.applications,
        specjvm=_installed(playbook.specjvm.jar) if playbook.specjvm else None,
        guest_cpus=playbook.guest_cpus if playbook.applications else GUEST_CPUS,
    )


def _installed(jar: Path) -> Path:
    """The folder of the copy whose jar that is."""
    file = expanded(jar, "specjvm")
    if not file.is_file():
        raise UserError(f"specjvm: no file {jar}")
    return file.resolve().parent


def prepare(
    cache: Cache,
    progress: Stages,
    *,
    track: str,
    configurations: Iterable[str],
    kernel: str | None = None,
    payload: Path | None = None,
    hosts: Iterable[HostSpec] = (),
    applications: bool = False,
    specjvm: Path | None = None,
    guest_cpus: int = GUEST_CPUS,
) -> Artifacts:
    """Find or build what track `track` boots for `configurations` on `hosts`; `payload` is an
    image of the user's. For `applications` every kernel has more options, and guests are Linux
    with a disk, on which `specjvm` is too."""
    line = Track.load(track)
    if applications:
        line = line.with_options(*line.applications)
    machines = tuple(host for host in hosts if isinstance(host, TcgHostSpec))
    if machines:
        with progress.stage("emulator"):
            refuse_machines(emulator(cache), machines, track)
    with progress.stage("kernel source"):
        source = find(cache, line, wanted=kernel)
    kernels = {}
    for name, settings in line.kernels(configurations, linux_guest=applications).items():
        with progress.stage(f"kernel {source.version} for {name}"):
            kernels[name] = build(cache, source, line, settings)
    servers = [host for host in hosts if isinstance(host, SshHostSpec) and host.boots_ours]
    own = {}
    for host in servers:
        own_options = [line.server[name] for name in host.features if name in line.server]
        own_options += [host.kernel_config] if host.kernel_config else []
        if own_options:
            with progress.stage(f"kernel {source.version} for {host.name}"):
                own[host.name] = build(
                    cache, source, line.with_options(*own_options), line.roles.get("l0")
                )
    with progress.stage("images"):
        tools = server_tools(cache, Debian.load()) if servers else None
        roots = rootfs(cache, Debian.load())
        guest = microbench(cache)
        nested = {"microbench.bin": guest, "guest.cpio": roots.guest, PINNED.name: PINNED}
        if "l2" in kernels:
            nested["Image"] = kernels["l2"].image
        if payload:
            nested["payload"] = payload
        initramfs = tree = None
        if any(name.startswith("l1") for name in kernels):
            initramfs = l1_initramfs(cache, roots.hypervisor, nested)
            if line.implied_el2:
                tree = gicv2_with_el2(cache, emulator(cache), guest_cpus)
    programs = None
    if applications:
        with progress.stage("disk"):
            today = find(cache, Track.load("upstream"), wanted=None)
            programs = disk(cache, Debian.load(), kernbench(cache, today), specjvm)
    return Artifacts(line, kernels, roots, guest, nested, initramfs, tree, own, tools, programs)
