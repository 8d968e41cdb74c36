# SPDX-License-Identifier: MIT
"""metadata.json of a run: what was asked for, what it was measured with, and how far the run
came."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from harness.model.cell import CellId
from harness.model.legend import Legend
from harness.model.measurement import OPEN

State = Literal["unfinished", "cut off", "finished"]


class Image(BaseModel):
    """A file that boots, or that a guest has."""

    model_config = OPEN

    sha256: str
    """Its hash."""


class RootImage(Image):
    """The root file system of L0 and L1."""

    packages: tuple[str, ...] = ()
    """The Debian packages in it, by the names of their files."""


class KernelImage(BaseModel):
    """A kernel that was built for the run."""

    model_config = OPEN

    version: str
    """Linux's."""
    key: str
    """Names source, patches, configuration and compiler: the same key is the same kernel."""
    origin: str = "of unknown origin"
    """Where its source came from."""
    sha256: str = ""
    """The image's hash."""
    commit: str = ""
    """Of its source, if that is a git repository's."""
    without: tuple[str, ...] = ()
    """Parameters of the patch series whose patches do not apply to it."""


class BootedKernel(BaseModel):
    """What a level said that it had booted."""

    model_config = OPEN

    version: str
    """Its /proc/version."""
    arguments: str
    """Its /proc/cmdline."""
    build_id: str
    """Of its kernel, by /sys/kernel/notes; empty if it has none."""
    config: str
    """The SHA-256 of its configuration; empty if it is not known."""


class Computer(BaseModel):
    """Where the harness ran, and with it every emulated machine."""

    model_config = OPEN

    processor: str
    """Its model."""
    cpus: int
    """How many it has for us."""
    memory: int
    """In bytes."""
    system: str
    """Distribution and kernel."""


class Accounting(BaseModel):
    """How the exits of a host were counted."""

    model_config = OPEN

    tracepoint: str = ""
    """Of L0's kernel."""
    all_exits: bool
    """Whether it also sees exits that KVM handles inside its world switch."""


class Change(BaseModel):
    """What the history says of a series that looks changed in this run."""

    model_config = OPEN

    host: str
    """These name the series, as columns of results.csv do."""
    configuration: str
    benchmark: str
    metric: str
    level: str = ""
    unit: str
    statistic: str = ""
    settings: str = ""
    """What its playbook sets: `iterations=500 …`."""
    subject: str = ""
    """What was measured, if it is exact: kernels and benchmark guest, `L0=7.3.4/key …`."""
    last: float
    """The value of this run, in `unit`."""
    median: float
    """The median since the change."""
    since: str = ""
    """The run that it began with."""
    before: float | None = None
    """The median before the change; none if none is certain."""
    noise: float | None
    """Relative standard deviation from run to run; none of exact figures, which have no noise."""
    verdict: Literal["suspicious", "regressed", "improved", "changed", "unusual"]
    """suspicious: a second measurement did not confirm it; changed: another sequence of as many
    traps; unusual: should be exact, as it was before, and is not."""
    effect: float | None = None
    """The relative change; none from near 0."""
    confidence: float | None = None
    """Of the verdict, from 0 to 1; none without a change, and of exact figures."""
    difference: tuple[str, ...] = ()
    """What is new and what is gone in the trap sequence, and where; none where it is not known."""
    causes: tuple[str, ...] = ()
    """What else differs between the runs before and after the change."""


class Metadata(BaseModel):
    """Everything about a run but its results. It is written before the run starts, and again at
    every step."""

    model_config = OPEN

    schema_number: Literal[2] = Field(alias="schema")
    """The number of the format that the file is in."""
    run_id: str
    """The name of the run: that of its folder."""
    started: datetime
    """When it began, with its time zone."""
    ended: datetime | None = None
    """When it ended, the last time if it was resumed."""
    state: State = "unfinished"
    """unfinished: it is under way, or was killed; cut off: an error or the user ended it."""
    harness: str = ""
    """The harness's version and commit."""
    repeat: str | None = None
    """The command that repeats the run."""
    track: str | None = None
    """The kernel line: v4.10 or upstream."""
    playbook: dict[str, Any] = {}
    """What was asked for, with every default (see the schema of playbooks) and all hosts."""
    planned: tuple[CellId, ...] = ()
    """The ids of the cells, in the order in which they were to run."""
    seed: int | None = None
    """Of the order of the cells, which is random on servers; a run that is resumed keeps it."""
    skipped: tuple[str, ...] = ()
    """What the playbook names and no cell measures, and why."""
    kernels: dict[str, KernelImage] = {}
    """By level: l0, l1 and l2; `l1-…` for guest hypervisors of several kinds; `l0 of HOST` for a
    host that has a configuration of its own."""
    booted: dict[str, dict[str, BootedKernel]] = {}
    """What each level said that it had booted, by `host/configuration` and level: l0, l1."""
    rootfs: RootImage | None = None
    """The root file system of L0 and L1."""
    microbench: Image | None = None
    """The guest that runs the micro-benchmarks."""
    disk: Image | None = None
    """The disk with the applications; none without."""
    payload: Image | None = None
    """The image of the user's that was run in place of benchmarks; none without."""
    emulator: str | None = None
    """The version of the QEMU that emulated machines; none if all hosts were servers."""
    computer: Computer | None = None
    """Where the harness ran, and with it every emulated machine."""
    processors: dict[str, str] = {}
    """The model and MIDR_EL1 of each server, by host, as its own system tells them."""
    commands: dict[str, tuple[str, ...]] = {}
    """The exact command lines of the machines and guests, by host and purpose."""
    accounting: dict[str, Accounting] = {}
    """How exits were counted, by host."""
    durations: dict[str, float] = {}
    """How long each stage took, in seconds."""
    changes: tuple[Change, ...] | None = None
    """What looks changed against the history; none if the run was not judged by it."""
    legend: Legend | None = None
    """What names in the results mean, by the tables of the harness that began the run."""

    def merged(self, entries: Mapping[str, Any]) -> "Metadata":
        """With `entries`; a mapping adds to the one that is there."""
        known = self.written()
        for key, value in entries.items():
            old = known.get(key)
            if isinstance(value, dict) and isinstance(old, dict):
                known[key] = {**old, **value}
            else:
                known[key] = value
        return type(self).model_validate(known)

    def written(self) -> dict[str, Any]:
        """What was said of the run, as JSON has it."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def text(self) -> str:
        """The file."""
        return json.dumps(self.written(), indent=2, sort_keys=True) + "\n"
