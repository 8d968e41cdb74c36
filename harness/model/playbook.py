# SPDX-License-Identifier: MIT
"""Playbooks: YAML in; out come a frozen, validated model and its plan (the matrix of cells)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, GetJsonSchemaHandler, TypeAdapter, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from harness.errors import UserError
from harness.model.application import Size, applications
from harness.model.cell import CellName
from harness.model.document import (
    ONE_LINE,
    Flag,
    Form,
    Integer,
    Model,
    NoFileError,
    Number,
    complaints,
    read_yaml,
)
from harness.model.inventory import (
    HostSpec,
    Inventory,
    Name,
    SshHostSpec,
    TcgHostSpec,
    parse_address,
)
from harness.model.kernel_choice import KernelChoice, Level, is_release
from harness.model.processors import without_feat_nv
from harness.model.shipped import file_of, shipped
from harness.model.track import Track, nested, track_names
from harness.model.version import VERSION


class Configuration(StrEnum):
    """Where the benchmark runs, and what becomes of its hypervisor's EL2 accesses."""

    NATIVE = "native"
    VM = "vm"
    NESTED_V8_3 = "nested-v8.3"
    NESTED_V8_3_VHE = "nested-v8.3-vhe"
    NESTED_NEVE = "nested-neve"
    NESTED_NEVE_MEMORY = "nested-neve-memory"
    NESTED_NEVE_REGISTERS = "nested-neve-registers"
    NESTED_NEVE_VHE = "nested-neve-vhe"
    NESTED_NEVE_MEMORY_VHE = "nested-neve-memory-vhe"
    NESTED_NEVE_REGISTERS_VHE = "nested-neve-registers-vhe"
    NESTED_NV2 = "nested-nv2"
    NESTED_NV2_VHE = "nested-nv2-vhe"
    NESTED_FEAT_NV = "nested-feat-nv"
    NESTED_FEAT_NV_VHE = "nested-feat-nv-vhe"
    NESTED_FEAT_NV2 = "nested-feat-nv2"
    NESTED_FEAT_NV2_VHE = "nested-feat-nv2-vhe"

    @property
    def nested(self) -> bool:
        return nested(self.value)

    @property
    def guest_level(self) -> int:
        """The level of the guest that is measured; 0 if that is the host."""
        return 0 if self is Configuration.NATIVE else 2 if self.nested else 1


class Benchmark(StrEnum):
    """The micro-benchmarks, of which `images/microbench/bench.c` says what each one does; the
    applications, which `harness/model/applications/` describes; and an image of the user's own."""

    HYPERCALL = "hypercall"
    DEVICE_IO = "device-io"
    DEVICE_IO_USER = "device-io-user"
    VIRTUAL_IPI = "virtual-ipi"
    VIRTUAL_EOI = "virtual-eoi"
    KERNBENCH = "kernbench"
    HACKBENCH = "hackbench"
    SPECJVM2008 = "specjvm2008"
    MYSQL = "mysql"
    MEMCACHED = "memcached"
    TCP_RR = "tcp-rr"
    TCP_STREAM = "tcp-stream"
    TCP_MAERTS = "tcp-maerts"
    APACHE = "apache"
    NGINX = "nginx"
    PAYLOAD = "payload"

    @property
    def application(self) -> bool:
        return self.value in applications()

    @property
    def kind(self) -> str:
        """Benchmarks of one kind may be in one playbook."""
        if self is Benchmark.PAYLOAD:
            return "payload"
        return "application" if self.application else "operation"


class _OrItsName:
    """A host of a playbook may be one of the inventory, by name; `load` looks it up."""

    def __get_pydantic_json_schema__(
        self, inner: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        kinds = handler(inner)["discriminator"]["mapping"]
        return {
            "anyOf": [
                {"type": "string", "description": "The name of a host in the inventory."},
                {"$ref": kinds["tcg"]},
                {"$ref": kinds["ssh"], "required": ["kind"]},
            ]
        }


Vmm = Annotated[
    str,
    Field(min_length=1, max_length=4096),
    Form(ONE_LINE, "the path of an arm64 QEMU, or a suite of Debian's"),
]


class SpecJvm(Model):
    """The user's copy of SPECjvm2008, which is licensed."""

    jar: Path
    """SPECjvm2008.jar, in the folder that its installer made."""
    benchmarks: Annotated[tuple[Name, ...], Field(min_length=1)] = ("compress", "crypto.aes")
    """Which of its benchmarks run."""


class Payload(Model):
    """A flat arm64 image that is booted in place of benchmarks. It passes if it powers off, or ends
    with status 0."""

    image: Path
    """A file, or `readback`: a guest of the harness's own that fails if it reads back other bytes
    than it wrote."""
    arguments: str = ""
    """Its command line."""
    seconds: Annotated[Number, Field(gt=0)] = 600.0
    """How long it may run, in seconds."""


class Playbook(Model):
    """What to run. Only `configurations` and `benchmarks` have no default."""

    name: Name = "run"
    """Part of the name of each run."""
    track: str = "upstream"
    """The kernel line: `upstream`, Debian's newest kernel, or `v4.10`, the paper's."""
    kernel: Annotated[str, Form(VERSION, "a version of Linux, as 7.3 or 7.3.4")] | None = None
    """The version of Linux for all levels but those that `kernels` names; by default the newest of
    the track. Quote it: "7.3"."""
    kernels: Mapping[Level, KernelChoice] = {}
    """The kernel of a level: a version, a package, a tarball, a tree, or `repository@revision`."""
    kernel_config: Path | None = None
    """A file of options that the kernels of all levels are built with."""
    vmm: Vmm | None = None
    """The QEMU that runs guests in L0 and in L1: the path of an arm64 program, or a suite of
    Debian's, such as `trixie`."""
    hosts: Annotated[tuple[Annotated[HostSpec, _OrItsName()], ...], Field(min_length=1)] = (
        TcgHostSpec(),
    )
    """The machines that are L0: described here, or named if the inventory describes them."""
    configurations: Annotated[tuple[Configuration, ...], Field(min_length=1)]
    """Where the benchmarks run."""
    benchmarks: Annotated[tuple[Benchmark, ...], Field(min_length=1)]
    """What runs there: either micro-benchmarks or applications, as set-up for applications would
    disturb micro-benchmarks, or `payload` alone."""
    iterations: Annotated[Integer, Field(ge=2, le=65536)] = 1000
    """How many operations of a micro-benchmark are timed."""
    warmup: Annotated[Integer, Field(ge=0, le=65536)] = 100
    """How many operations run before that, untimed."""
    repetitions: Annotated[Integer, Field(ge=1, le=1000)] = 1
    """How often a cell is measured during one boot of L0, by turns with the others."""
    boots: Annotated[Integer, Field(ge=1, le=1000)] = 1
    """How often a server is booted; each boot measures all cells, in random order. It excludes
    `repetitions`. Emulated machines give the same figures in each boot, so they run
    micro-benchmarks in one."""
    trap_iterations: Annotated[Integer, Field(ge=2, le=65536)] = 100
    """How many operations are traced, in a repetition of their own."""
    nested_share: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """The part of all iterations that a nested configuration does, where an operation takes a
    hundred times as long."""
    check: Flag = False
    """Whether the history of its hosts judges the run: what looks changed is measured again, and
    the run fails if it has certainly become worse."""
    size: Size | None = None
    """How much an application does: the paper's amounts, or small ones for an emulated processor;
    by default what suits the host."""
    specjvm: SpecJvm | None = None
    """Your copy of SPECjvm2008; without it that benchmark is skipped."""
    payload: Payload | None = None
    """The image that the benchmark `payload` boots."""
    guest_cpus: Annotated[Integer, Field(ge=1, le=16)] = 4
    """How many CPUs a VM has that runs applications."""
    benchmark_seconds: Annotated[Number, Field(gt=0)] = 300.0
    """How long a benchmark may take, in seconds."""
    boot_seconds: Annotated[Number, Field(gt=0)] = 480.0
    """How long the boot of an emulated machine and its guests may take, in seconds."""
    l1_memory: Annotated[Integer, Field(ge=512, le=65536)] = 1024
    """Memory of the guest hypervisor's VM, in MiB."""
    l2_memory: Annotated[Integer, Field(ge=64, le=65536)] = 128
    """Memory of the measured VM, nested or not, in MiB."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what, names in (
            ("hosts", [host.name for host in self.hosts]),
            ("configurations", self.configurations),
            ("benchmarks", self.benchmarks),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"{what}: an entry is listed twice")
        if self.track not in track_names():
            raise ValueError(f"track: unknown {self.track!r}, known are {', '.join(track_names())}")
        if self.repetitions > 1 and self.boots > 1:
            raise ValueError("boots: each boot is a repetition, so leave `repetitions` out")
        if len({benchmark.kind for benchmark in self.benchmarks}) > 1:
            raise ValueError(
                "benchmarks: applications need a playbook of their own, as a payload does"
            )
        if (self.benchmarks[0] is Benchmark.PAYLOAD) != (self.payload is not None):
            raise ValueError(
                "payload: names the image of the benchmark `payload`, and nothing else"
            )
        track = Track.load(self.track)
        named = {f"kernels: {level}": choice for level, choice in self.kernels.items()}
        for what, kernel in {"kernel": self.kernel, **named}.items():
            try:
                if kernel and is_release(kernel):
                    track.check(kernel, what)
            except UserError as error:
                raise ValueError(str(error)) from error
        known = track.modes
        for configuration in self.configurations:
            if configuration not in known:
                raise ValueError(
                    f"configurations: track {self.track} can't run {configuration.value}, "
                    f"only {', '.join(known)}"
                )
        return self

    @property
    def nested(self) -> bool:
        """Whether some configuration needs a guest hypervisor."""
        return any(configuration.nested for configuration in self.configurations)

    @property
    def applications(self) -> bool:
        """Whether the benchmarks are applications."""
        return self.benchmarks[0].application

    @property
    def rounds(self) -> int:
        """How often a cell is measured: during one boot of its host, or each time in another."""
        return max(self.repetitions, self.boots)

    def exact(self, host: HostSpec) -> bool:
        """Whether two boots of `host` give the same figures, whatever else happens."""
        return isinstance(host, TcgHostSpec) and self.benchmarks[0].kind == "operation"


@dataclass(frozen=True)
class Cell:
    """One place of the matrix: a benchmark in a configuration on a host, once."""

    host: str
    configuration: Configuration
    repetition: int
    benchmark: Benchmark

    @property
    def id(self) -> str:
        return str(CellName(self.host, self.configuration, self.repetition, self.benchmark))


def plan(playbook: Playbook) -> list[Cell]:
    """The cells of a run, in the order of the playbook; those that mean nothing are left out.

    Repetitions are interleaved, so that drift in the course of a run affects every configuration
    alike. `shuffled` gives the order in which they run.
    """
    return [
        Cell(host.name, configuration, repetition, benchmark)
        for host in playbook.hosts
        for repetition, configuration, benchmark in product(
            range(1, (playbook.repetitions if playbook.exact(host) else playbook.rounds) + 1),
            playbook.configurations,
            playbook.benchmarks,
        )
        if obstacle(playbook, host, configuration) is None and not _missing(playbook, benchmark)
    ]


def shuffled(playbook: Playbook, cells: Iterable[Cell], seed: int) -> list[Cell]:
    """`cells` in the order in which they run: with micro-benchmarks on a server, configurations
    are in random order in each repetition, and benchmarks in each guest, so that what one leaves to
    the next (a warm cache, a hot processor) is no part of a figure.

    With the same `seed`, some of the cells are in the same order as all of them.
    """
    servers = {host.name for host in playbook.hosts if isinstance(host, SshHostSpec)}
    if playbook.benchmarks[0].kind != "operation":
        servers.clear()

    def place(cell: Cell) -> tuple[int, str, str]:
        if cell.host not in servers:
            return cell.repetition, "", ""
        guest = f"{seed}/{cell.host}/{cell.repetition}/{cell.configuration}"
        return cell.repetition, _drawn(guest), _drawn(f"{guest}/{cell.benchmark}")

    hosts = [host.name for host in playbook.hosts]
    return sorted(cells, key=lambda cell: (hosts.index(cell.host), *place(cell)))


def _drawn(text: str) -> str:
    """Pseudo-random, and the same each time."""
    return sha256(text.encode()).hexdigest()


def skipped(playbook: Playbook) -> list[str]:
    """What the playbook names and the plan leaves out, and why: a line each, for the report."""
    return [
        f"{host.name}, {configuration}: {why}"
        for host, configuration in product(playbook.hosts, playbook.configurations)
        if (why := obstacle(playbook, host, configuration))
    ] + [
        f"{benchmark}: {missing}"
        for benchmark in playbook.benchmarks
        if (missing := _missing(playbook, benchmark))
    ]


def _missing(playbook: Playbook, benchmark: Benchmark) -> str:
    """What `benchmark` needs and the playbook does not name; nothing for most."""
    needs = benchmark.application and applications()[benchmark].licensed
    if not needs or playbook.specjvm:
        return ""
    return "it is licensed: `specjvm` in the playbook names the jar of your copy"


def obstacle(playbook: Playbook, host: HostSpec, configuration: Configuration) -> str | None:
    """Why nothing can be measured there; None if it can."""
    if configuration is Configuration.NATIVE and not playbook.applications:
        return "there is no hypervisor whose cost these benchmarks could measure"
    if playbook.applications and isinstance(host, SshHostSpec) and not host.boots_ours:
        return "applications change a host's network, so they need a kernel of ours there"
    if playbook.boots > 1 and isinstance(host, SshHostSpec) and not host.boots_ours:
        return "boots: it keeps its own kernel, which we don't boot; `repetitions` are during one"
    return _nesting_obstacle(Track.load(playbook.track), host, configuration)


def _nesting_obstacle(track: Track, host: HostSpec, configuration: Configuration) -> str | None:
    if not configuration.nested:
        return None
    if host.gic != 3 and not track.implied_el2:
        return f"the track's KVM has no GICv{host.gic} for a guest hypervisor"
    if track.mechanism_of(configuration) == "architected" and isinstance(host, TcgHostSpec):
        return without_feat_nv(host.cpu)
    return None


def load(path: Path, inventory: Inventory | None = None) -> Playbook:
    """Read and validate `path`, a file or the name of a shipped playbook; a host that is only a
    name is looked up in `inventory`.

    Raises UserError with one line that says what is wrong.
    """
    try:
        data = read_yaml(file_of(path), "a playbook")
    except NoFileError as error:
        raise UserError(f"{error}; shipped are {', '.join(shipped())}") from error
    if isinstance(hosts := data.get("hosts"), list):
        data["hosts"] = [_host(entry, inventory or Inventory(), path) for entry in hosts]
    return validate(data, str(path))


def _host(entry: Any, inventory: Inventory, path: Path) -> Any:
    if isinstance(entry, str):
        found = inventory.find(entry)
        if found is None:
            raise UserError(f"{path}: host {entry} is not in the inventory (--inventory FILE)")
        return found
    return {"kind": "tcg", **entry} if isinstance(entry, dict) else entry


def validate(data: Mapping[str, Any], origin: str) -> Playbook:
    """The playbook that `data` describes; `origin` names it in errors."""
    try:
        return Playbook.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{origin}: {complaints(error)}") from error


_SELECTABLE = {"configuration": "configurations", "benchmark": "benchmarks", "host": "hosts"}


def selection(only: str, keys: Iterable[str]) -> dict[str, list[str]]:
    """{key: values} of `configuration=vm,benchmark=hypercall`. Raises UserError if it is not of
    that form, or names something else than `keys`."""
    known = list(keys)
    wanted: dict[str, list[str]] = {}
    for item in only.split(","):
        key, separator, value = item.partition("=")
        if not separator or key not in known:
            raise UserError(f"--only {only}: expected KEY=VALUE with KEY one of {', '.join(known)}")
        wanted.setdefault(key, []).append(value)
    return wanted


def narrow(playbook: Playbook, only: str) -> Playbook:
    """The part of `playbook` that `only` selects: `configuration=vm,benchmark=hypercall`.

    A key may stand more than once, its values then add up.
    """
    wanted = selection(only, _SELECTABLE)
    changes: dict[str, Any] = {}
    for key, values in wanted.items():
        present = getattr(playbook, _SELECTABLE[key])
        names = [entry.name if key == "host" else str(entry) for entry in present]
        for value in values:
            if value not in names:
                raise UserError(f"--only {key}={value}: the playbook has {', '.join(names)}")
        changes[_SELECTABLE[key]] = tuple(
            entry for entry, name in zip(present, names, strict=True) if name in values
        )
    return playbook.model_copy(update=changes)


def with_kernels(playbook: Playbook, kernels: Mapping[Level, str]) -> Playbook:
    """`playbook` with other kernels of some levels. Raises UserError if one can't be named so."""
    mine = validate(
        {
            "track": playbook.track,
            "configurations": playbook.configurations,
            "benchmarks": ["hypercall"],
            "kernels": {**playbook.kernels, **kernels},
        },
        "--kernel",
    )
    return playbook.model_copy(update={"kernels": mine.kernels})


def with_vmm(playbook: Playbook, vmm: str) -> Playbook:
    """`playbook` with another QEMU for its guests. Raises UserError if none can be named so."""
    try:
        return playbook.model_copy(update={"vmm": TypeAdapter(Vmm).validate_python(vmm)})
    except ValidationError as error:
        raise UserError(f"vmm: {complaints(error)}") from error


def with_payload(playbook: Playbook, payload: Payload) -> Playbook:
    """`playbook` with the user's image in place of its benchmarks, once in each configuration."""
    return playbook.model_copy(
        update={
            "name": "payload",
            "benchmarks": (Benchmark.PAYLOAD,),
            "payload": payload,
            "repetitions": 1,
            "boots": 1,
        }
    )


def on_host(playbook: Playbook, host: str, inventory: Inventory | None = None) -> Playbook:
    """`playbook` on one host: one of its own or of the inventory by name, or the server at
    [user@]address[:port]."""
    found = next((spec for spec in playbook.hosts if spec.name == host), None)
    spec = found or (inventory or Inventory()).find(host)
    if spec is None:
        if not {"@", ".", ":"} & set(host):
            names = ", ".join(spec.name for spec in playbook.hosts)
            raise UserError(
                f"--host {host}: unknown host: not in the playbook ({names}) or inventory, and "
                "not an address"
            )
        spec = parse_address(host)
    return playbook.model_copy(update={"hosts": (spec,)})
