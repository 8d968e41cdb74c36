# SPDX-License-Identifier: MIT
"""Everything that boots, found or built before a run starts."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.build.beside import beside
from harness.build.debian import Debian
from harness.build.feasible import refuse_machines, refuse_missing
from harness.build.image.device_tree import gicv2_with_el2
from harness.build.image.disk import disk
from harness.build.image.emulator import emulator
from harness.build.image.kernbench import kernbench
from harness.build.image.microbench import microbench
from harness.build.image.payloads import payload
from harness.build.image.rootfs import l1_initramfs, rootfs
from harness.build.image.server_tools import server_tools
from harness.build.kernel.build import Kernel, build_what_applies
from harness.build.kernel.choice import chosen
from harness.build.kernel.source import find, unpack
from harness.build.stock import has_images
from harness.cache import Cache, file_sha256
from harness.model.guest import File, kernel_file
from harness.model.inventory import HostSpec, TcgHostSpec
from harness.model.playbook import Configuration, Playbook
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

    def booted_by(self, host: HostSpec, configuration: Configuration) -> dict[str, Kernel | None]:
        """The kernels that boot in `configuration`, by level, that of a guest which is measured as
        l2; None where L0 keeps its own."""
        ours = isinstance(host, TcgHostSpec) or host.boots_ours
        found = {"l0": self.l0(host.name) if ours else None}
        if configuration.nested:
            found["l1"] = self.kernels[self.setup.track.hypervisor(configuration)]
        if self.setup.linux_guest and configuration is not Configuration.NATIVE:
            found["l2"] = self.kernels["l2"]
        return found

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
                    "commit": kernel.commit,
                    "without": list(kernel.without),
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
    with ExitStack() as stack:
        if not has_images(cache):  # the first time
            stack.enter_context(beside(_images, cache, setup))
            stack.enter_context(beside(_unpacked, cache, setup))
        if machines:
            with progress.stage("emulator"):
                refuse_machines(emulator(cache), machines, track)
        kernels, host_kernels = _kernels(cache, progress, setup)
        with progress.stage("images"):
            images = _images(cache, setup)
            files = {
                **{kernel_file(name): kernel.image for name, kernel in kernels.items()},
                **images.files,
            }
            nested = _for_l1(cache, setup, files)
        if setup.workload is Workload.APPLICATIONS:
            with progress.stage("disk"):
                files[File.DISK] = _disk(cache, playbook)
    return Artifacts(
        setup, kernels, files, nested, images.packages, host_kernels, images.server_tools
    )


def _for_l1(cache: Cache, setup: Setup, files: dict[str, Path]) -> dict[str, Path]:
    """What L1 has for its guests, of `files`, which get what it boots from if there is an L1."""
    nested = {name: files[symbol] for symbol, name in setup.l1_files.items()}
    nested[PINNED.name] = PINNED
    if any(name.startswith("l1") for name in setup.kernels):
        files[File.L1_INITRAMFS] = l1_initramfs(cache, files[File.INITRAMFS], nested)
        if setup.track.implied_el2:
            files[File.DEVICE_TREE] = gicv2_with_el2(cache, emulator(cache), setup.guest_cpus)
    return nested


@dataclass(frozen=True)
class _Images:
    """What no kernel is in, as in Artifacts."""

    files: dict[str, Path]
    packages: Sequence[str]
    server_tools: Path | None


def _images(cache: Cache, setup: Setup) -> _Images:
    debian, payload_image = Debian.load(), setup.playbook.payload
    tools = server_tools(cache, debian) if setup.servers else None
    roots = rootfs(cache, debian, setup.playbook.vmm)
    files: dict[str, Path] = {
        File.INITRAMFS: roots.hypervisor,
        File.GUEST_INITRAMFS: roots.guest,
        File.MICROBENCH: microbench(cache),
    }
    if payload_image:
        files[File.PAYLOAD] = payload(cache, payload_image.image)
    return _Images(files, roots.packages, tools)


def _unpacked(cache: Cache, setup: Setup) -> None:
    """Bring and unpack the source of the kernels, if it is the track's newest."""
    if any(setup.choice(name) is None for name in setup.kernels):
        source = find(cache, setup.track)
        with cache.lock(f"tree-{source.tree_name}"):
            unpack(cache, source)


def _kernels(
    cache: Cache, progress: Stages, setup: Setup
) -> tuple[dict[str, Kernel], dict[str, Kernel]]:
    """Those of `setup` by name, and L0's by host."""
    with progress.stage("kernel source"):
        choices = dict.fromkeys(setup.choice(name) for name in setup.kernels)
        sources = {choice: chosen(cache, setup.track, choice) for choice in choices}

    def built(
        name: str, what: str, options: tuple[Path, ...], settings: Mapping[str, str]
    ) -> Kernel:
        source, track = sources[setup.choice(name)], setup.track.with_options(*options)
        with progress.stage(f"kernel {source.version} for {what}"):
            kernel = build_what_applies(cache, source, track, settings, setup.spare(name))
        for switch in kernel.without:
            lost = next(item.spare for item in track.series.parameters if item.name == switch)
            progress.note(
                f"{source.origin}, for {what}: built without {switch}, which does not apply: "
                f"{lost if name == 'l0' else 'a guest hypervisor does not need it'}"
            )
        return kernel

    kernels = {name: built(name, name, (), wanted) for name, wanted in setup.kernels.items()}
    of_hosts = {
        host: built("l0", host, options, setup.track.roles.get("l0", {}))
        for host, options in setup.host_kernels.items()
    }
    return kernels, of_hosts


def _disk(cache: Cache, playbook: Playbook) -> Path:
    """The applications', with the user's copy of SPECjvm2008 on it if there is one."""
    today = find(cache, Track.load("upstream"), wanted=None)
    folder = None
    if playbook.specjvm:
        folder = expanded(playbook.specjvm.jar, "specjvm").resolve().parent
    return disk(cache, Debian.load(), kernbench(cache, today), folder)
