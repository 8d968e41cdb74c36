# SPDX-License-Identifier: MIT
"""Playbooks: YAML in, a frozen and validated model and its plan (the matrix of cells) out."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import UserError
from harness.kernel.track import Track, nested, track_names


class Configuration(StrEnum):
    """Where the benchmark runs, and what its hypervisor's EL2 accesses meet."""

    NATIVE = "native"
    VM = "vm"
    NESTED_V8_3 = "nested-v8.3"
    NESTED_V8_3_VHE = "nested-v8.3-vhe"
    NESTED_NEVE = "nested-neve"
    NESTED_NEVE_MEMORY = "nested-neve-memory"
    NESTED_NEVE_REGISTERS = "nested-neve-registers"
    NESTED_NEVE_VHE = "nested-neve-vhe"

    @property
    def nested(self) -> bool:
        return nested(self.value)


class Benchmark(StrEnum):
    """The micro-benchmarks; `images/microbench/bench.c` says what each one does."""

    HYPERCALL = "hypercall"
    DEVICE_IO = "device-io"
    DEVICE_IO_USER = "device-io-user"
    VIRTUAL_IPI = "virtual-ipi"
    VIRTUAL_EOI = "virtual-eoi"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class TcgHostSpec(_Model):
    """A QEMU TCG machine; sizes in MiB. `cpus` exceeds the guests' two: see the README."""

    kind: Literal["tcg"] = "tcg"
    name: _Name = "tcg"
    cpu: str = "max"
    gic: Literal[2, 3] = 3
    cpus: Annotated[int, Field(ge=2, le=16)] = 4
    memory: Annotated[int, Field(ge=1024, le=65536)] = 2560


class SshHostSpec(_Model):
    """An ARM server that runs L0's kernel already."""

    kind: Literal["ssh"]
    name: _Name
    address: str
    user: str = "root"
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    key_file: Path | None = None
    known_hosts: Path | None = None
    gic: Literal[2, 3] = 3


HostSpec = Annotated[TcgHostSpec | SshHostSpec, Field(discriminator="kind")]


class Playbook(_Model):
    """What to run. Every key has a default but `configurations` and `benchmarks`.

    `nested_share` is the part of all iterations that a nested configuration gets, where an
    operation takes a hundred times as long. `check` judges the run by its hosts' history: what
    looks changed is measured again, and the run fails if it got worse for certain.
    """

    name: _Name = "run"
    track: str = "upstream"
    kernel: str | None = None
    hosts: Annotated[tuple[HostSpec, ...], Field(min_length=1)] = (TcgHostSpec(),)
    configurations: Annotated[tuple[Configuration, ...], Field(min_length=1)]
    benchmarks: Annotated[tuple[Benchmark, ...], Field(min_length=1)]
    iterations: Annotated[int, Field(ge=2, le=65536)] = 1000
    warmup: Annotated[int, Field(ge=0, le=65536)] = 100
    repetitions: Annotated[int, Field(ge=1, le=1000)] = 1
    trap_iterations: tuple[
        Annotated[int, Field(ge=1, le=65536)], Annotated[int, Field(ge=2, le=65536)]
    ] = (100, 1100)
    nested_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    spread_limit: Annotated[float, Field(gt=0)] = 1.0
    check: bool = False
    l1_memory: Annotated[int, Field(ge=512, le=65536)] = 1024
    l2_memory: Annotated[int, Field(ge=64, le=65536)] = 128

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.trap_iterations[0] >= self.trap_iterations[1]:
            raise ValueError("trap_iterations: the first count must be below the second")
        for what, names in (
            ("hosts", [host.name for host in self.hosts]),
            ("configurations", self.configurations),
            ("benchmarks", self.benchmarks),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"{what}: an entry stands twice")
        if self.track not in track_names():
            raise ValueError(f"track: unknown {self.track!r}, known are {', '.join(track_names())}")
        known = Track.load(self.track).modes
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


@dataclass(frozen=True)
class Cell:
    """One place of the matrix: a benchmark in a configuration on a host, once."""

    host: str
    configuration: Configuration
    repetition: int
    benchmark: Benchmark

    @property
    def id(self) -> str:
        return f"{self.host}/{self.configuration}/{self.repetition}/{self.benchmark}"


def plan(playbook: Playbook) -> list[Cell]:
    """The cells in the order in which they run; those that mean nothing are left out."""
    return [
        Cell(host.name, configuration, repetition, benchmark)
        for host, configuration, repetition, benchmark in product(
            playbook.hosts, playbook.configurations, range(1, playbook.repetitions + 1),
            playbook.benchmarks,
        )
        if _obstacle(playbook.track, host, configuration) is None
    ]


def skipped(playbook: Playbook) -> list[str]:
    """What the playbook names and the plan leaves out, and why: a line for the report each."""
    return [
        f"{host.name}, {configuration}: {obstacle}"
        for host, configuration in product(playbook.hosts, playbook.configurations)
        if (obstacle := _obstacle(playbook.track, host, configuration))
    ]


def _obstacle(track: str, host: HostSpec, configuration: Configuration) -> str | None:
    """Why nothing can be measured there; None if it can."""
    if configuration is Configuration.NATIVE:
        return "there is no hypervisor whose cost these benchmarks could measure"
    if configuration.nested and host.gic != 3 and not Track.load(track).implied_el2:
        return f"the track's KVM has no GICv{host.gic} for a guest hypervisor"
    return None


def load(path: Path) -> Playbook:
    """Read and validate `path`. Raises UserError with one line that says what is wrong."""
    try:
        data = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such playbook") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise UserError(f"{path}: a playbook is a mapping of keys to values")
    for host in data.get("hosts") or []:
        if isinstance(host, dict):
            host.setdefault("kind", "tcg")
    return validate(data, str(path))


def validate(data: Mapping[str, Any], origin: str) -> Playbook:
    """The playbook that `data` describes; `origin` names it in errors."""
    try:
        return Playbook.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{origin}: {'; '.join(_complaints(error))}") from error


def _complaints(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"] if part not in ("tcg", "ssh"))
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key"
        elif item["type"] == "enum":
            message = f"unknown value {item['input']!r}, {message.lower()}"
        yield f"{where}: {message}" if where else message


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
    data = playbook.model_dump(mode="json")
    for key, values in wanted.items():
        present = data[_SELECTABLE[key]]
        names = [entry["name"] if key == "host" else entry for entry in present]
        for value in values:
            if value not in names:
                raise UserError(
                    f"--only {key}={value}: the playbook has {', '.join(names)}"
                )
        data[_SELECTABLE[key]] = [
            entry for entry, name in zip(present, names, strict=True) if name in values
        ]
    return validate(data, f"--only {only}")


def on_host(playbook: Playbook, host: str) -> Playbook:
    """`playbook` on one host: one of its own by name, or the server at [user@]address[:port]."""
    data = playbook.model_dump(mode="json")
    named = [entry for entry in data["hosts"] if entry["name"] == host]
    if not named:
        if not {"@", ".", ":"} & set(host):
            names = ", ".join(entry["name"] for entry in data["hosts"])
            raise UserError(f"--host {host}: neither of the playbook ({names}) nor an address")
        named = [parse_address(host)]
    return validate({**data, "hosts": named}, f"--host {host}")


def parse_address(text: str) -> dict[str, Any]:
    """The host entry that `[user@]address[:port]` stands for."""
    match = re.fullmatch(r"(?:([^@]+)@)?([^@:]+)(?::(\d+))?", text)
    if match is None:
        raise UserError(f"{text!r} is no address: expected [user@]address[:port]")
    return {
        "kind": "ssh", "name": match[2], "address": match[2], "user": match[1] or "root",
        "port": int(match[3] or 22),
    }
