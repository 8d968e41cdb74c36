# SPDX-License-Identifier: MIT
"""A track: one kernel line, described by `kernel-patches/<track>/series.toml`."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.model.aside import Aside
from harness.model.origin import Origin, origin_of
from harness.model.series import ParameterValue, PatchSeries
from harness.model.version import ALL_VERSIONS, VERSION, VersionRange
from harness.paths import KERNEL_PATCHES


@dataclass(frozen=True)
class Fragment:
    """A piece of kernel configuration, for some versions and some variants of the series."""

    path: Path
    versions: VersionRange = ALL_VERSIONS
    when: Mapping[str, ParameterValue] = field(default_factory=dict)

    def belongs(self, version: str, values: Mapping[str, ParameterValue]) -> bool:
        """Whether it is for Linux `version` with the series' parameters at `values`."""
        return version in self.versions and self.when.items() <= values.items()


@dataclass(frozen=True)
class NvSwitch:
    """A parameter of L0's kernel that says what virtual EL2 meets: its file, and the value that a
    guest hypervisor boots with. The series has it by `parameter`; a kernel without it is always
    as with `boot`. If it is `of_vm`, a VM keeps what there was when it was created."""

    file: str
    boot: str
    parameter: str = ""
    of_vm: bool = False


@dataclass(frozen=True)
class Mode:
    """What makes a configuration: the parameters of the series that are its guest hypervisor's
    own, where the track's `nv_switch` stands while it is measured, and the mechanism, where that
    is not the track's. `emulated_by` is the configuration that does the same without it."""

    l1: Mapping[str, str] = field(default_factory=dict)
    nv: str | None = None
    mechanism: str | None = None
    emulated_by: str | None = None


@dataclass(frozen=True)
class Track:
    """Where the track's kernels come from and what they are made with.

    `modes` are the configurations that it can run, by name; `roles` the series' parameters by
    level, where they differ; `cpu_options` what QEMU's processor models need; `nested_arguments`
    what the host's kernel is told so that it nests, by GIC where it does; `mechanism` how EL2
    accesses of its guest hypervisor reach L0; `implied_el2` the parameter of L0's kernel that gives
    EL2 to VMs with a GICv2, for which no VMM asks; `nv_switch` what chooses between ARMv8.3 and
    NEVE, or whether they are emulated, where the guest hypervisor's kernel does not; `compared` how
    far its results compare with the paper's, and `asides` the registers behind that; `server` the
    fragments that L0 needs on some servers, by SshHostSpec's `features` (`kaslr`: where it is
    booted several times); `network` and `applications` those that all kernels need where L0 is
    reached over a network, and for applications.
    """

    name: str
    origin: Origin
    fragments: tuple[Fragment, ...]
    series: PatchSeries
    modes: Mapping[str, Mode] = field(default_factory=dict)
    manifest: Path | None = None
    roles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cpu_options: Mapping[str, str] = field(default_factory=dict)
    nested_arguments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mechanism: str = "none"
    implied_el2: str | None = None
    nv_switch: NvSwitch | None = None
    compared: str = ""
    asides: tuple[Aside, ...] = ()
    server: Mapping[str, Path] = field(default_factory=dict)
    network: tuple[Path, ...] = ()
    applications: tuple[Path, ...] = ()

    @classmethod
    @cache
    def load(cls, name: str) -> "Track":
        """The track `name`. Raises UserError if there is none."""
        file = KERNEL_PATCHES / name / "series.toml"
        if name not in track_names():
            raise UserError(f"unknown track {name!r}: known are {', '.join(track_names())}")
        data = tomllib.loads(file.read_text(encoding="utf-8"))
        return cls(
            name=name,
            origin=origin_of(data["origin"]),
            fragments=tuple(_fragment(file.parent, item) for item in data["fragments"]),
            series=PatchSeries.of(file.parent, data),
            modes={name: Mode(**item) for name, item in data["configurations"].items()},
            manifest=file.parent / data["manifest"] if "manifest" in data else None,
            roles=data.get("roles", {}),
            cpu_options=data.get("cpu_options", {}),
            nested_arguments=data["nested_arguments"],
            mechanism=data["mechanism"],
            implied_el2=data.get("implied_el2"),
            nv_switch=NvSwitch(**data["nv_switch"]) if "nv_switch" in data else None,
            server={name: file.parent / path for name, path in data["server"].items()},
            network=tuple(file.parent / path for path in data.get("network", ())),
            applications=tuple(file.parent / path for path in data["applications"]),
            compared=" ".join(data["compared"].split()),
            asides=tuple(Aside(**item) for item in data.get("asides", ())),
        )

    def host_arguments(self, gic: int) -> Sequence[str]:
        """What L0's kernel is told so that it nests; nothing where it can't with that GIC."""
        return self.nested_arguments.get(f"gicv{gic}", ())

    def fragments_for(self, version: str, values: Mapping[str, ParameterValue]) -> list[Path]:
        """The fragments that such a kernel is configured with."""
        return [item.path for item in self.fragments if item.belongs(version, values)]

    def with_options(self, *fragments: Path) -> "Track":
        """The same track, its kernels with more options."""
        return replace(self, fragments=(*self.fragments, *map(Fragment, fragments)))

    def kernels(
        self, configurations: Iterable[str], *, linux_guest: bool = False
    ) -> dict[str, dict[str, str]]:
        """{name: parameters of the series} of the kernels that `configurations` boot.

        The names are l0 and, if one of them is nested, l2 and those that `hypervisor` gives. A
        `linux_guest` is what is measured: l2 is also that of a VM.
        """
        wanted = {"l0": dict(self.roles.get("l0", {}))}
        if linux_guest:
            wanted["l2"] = dict(self.roles.get("l2", {}))
        for name in configurations:
            if nested(name):
                own = self.modes[name].l1
                wanted[self.hypervisor(name)] = {**self.roles.get("l1", {}), **own}
                wanted["l2"] = dict(self.roles.get("l2", {}))
        return wanted

    def hypervisor(self, configuration: str) -> str:
        """The name of the kernel that is the guest hypervisor of `configuration`."""
        return "-".join(["l1", *self.modes[configuration].l1.values()])

    @property
    def emulated_by(self) -> dict[str, str]:
        """Configurations with the CPU's own virtual EL2, and each one's emulation."""
        modes = self.modes.items()
        return {name: mode.emulated_by for name, mode in modes if mode.emulated_by}

    def mechanism_of(self, configuration: str) -> str:
        """How EL2 accesses of the guest hypervisor of `configuration` reach L0."""
        if not nested(configuration):
            return "none"
        return self.modes[configuration].mechanism or self.mechanism

    def nv(self, configuration: str, *, booting: bool = False) -> str | None:
        """Where the `nv_switch` stands while `configuration` is measured, or while its guest
        hypervisor is `booting`; None on a track without one."""
        switch = self.nv_switch
        if switch is None:
            return None
        if booting and not switch.of_vm:
            return switch.boot
        return self.modes[configuration].nv or switch.boot

    def spare(self, name: str, configurations: Iterable[str]) -> set[str]:
        """The parameters of the series that the kernel `name` can do without for these
        `configurations`: guests need none of what is for L0."""
        spare = {item.name for item in self.series.parameters if item.spare}
        switch = self.nv_switch
        if name == "l0" and switch:
            modes = {self.modes[each].nv for each in configurations if nested(each)}
            if modes - {None, switch.boot}:
                spare.discard(switch.parameter)
        return spare

    def check(self, version: str, what: str) -> None:
        """Raise UserError if a kernel of `version` can't be used on this track."""
        if re.fullmatch(VERSION, version, re.ASCII) is None:
            raise UserError(f"{what}: {version!r} is not a version of Linux, as 7.3 or 7.3.4")
        if not self.origin.accepts(version):
            raise UserError(
                f"{what} is Linux {version}; track {self.name} needs {self.origin.accepted}"
            )


def nested(configuration: str) -> bool:
    """Whether what is measured in `configuration` runs below a guest hypervisor."""
    return configuration.startswith("nested")


def e2h(configuration: str) -> bool:
    """Whether the guest hypervisor of `configuration` runs with HCR_EL2.E2H = 1, as VHE does."""
    return configuration.endswith("-vhe")


def nv2(configuration: str) -> bool:
    """Whether what is redirected in `configuration` is what FEAT_NV2 redirects, not NEVE's own."""
    return "nv2" in configuration.split("-")


def track_names() -> list[str]:
    """All tracks that the project has."""
    return sorted(path.parent.name for path in KERNEL_PATCHES.glob("*/series.toml"))


def _fragment(folder: Path, item: Mapping[str, Any]) -> Fragment:
    return Fragment(folder / item["file"], VersionRange.of(item), item.get("when", {}))
