# SPDX-License-Identifier: MIT
"""Many hosts at once: a job runs in the Dask worker that has its host as a resource.

The workers are a lab's, or processes of ours. What a job finds reaches us as it goes, so a worker
that dies costs no more than the cell under way.
"""

import ipaddress
import logging
import multiprocessing
import os
import pickle
import re
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import dask
from distributed import Client, Future, KilledWorker, Nanny, Scheduler, SpecCluster, get_worker
from distributed.security import Security

from harness.build.artifacts import build_all
from harness.cache import Cache
from harness.errors import HarnessError, InfrastructureError, UserError, together
from harness.holding import one_use
from harness.model.cell import CellRecord
from harness.model.inventory import HostSpec, SshHostSpec
from harness.model.journal import Begun, Ended, Journal, Messages, Transcript
from harness.process import explain
from harness.run.execution import execute as execute_job
from harness.run.job import Job

_ATTEMPTS = 3
_CONNECT_SECONDS = 20
# A worker that restarts is back by then; without a word for so long we look whether it is there.
_SILENT_SECONDS = 60
_SETTINGS = {
    # We know which cells are left, Dask does not: it must not begin a job again.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.work-stealing": False,
    "distributed.comm.timeouts.connect": _CONNECT_SECONDS,
}


@dataclass(frozen=True)
class _Over:
    """The last event of a job."""

    error: HarnessError | None


def probe(specs: Sequence[HostSpec], scheduler: str | None) -> None:
    """Raise UserError if jobs on `specs` can't be given out: before minutes go into a kernel."""
    if scheduler is None:
        try:
            multiprocessing.get_context("spawn").Lock()
        except OSError as error:
            raise UserError(
                f"several hosts at once need shared memory, but /dev/shm can't be used: "
                f"{error.strerror}; mount it, or run one host at a time with --host"
            ) from error
        return
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with dask.config.set(_SETTINGS), _lab(scheduler, specs):
        pass


def execute(jobs: Sequence[Job], journal: Journal, scheduler: str | None) -> None:
    """Run `jobs` at once, on the workers of `scheduler` or on our own.

    Raises, when all have ended, the errors of those that failed, `together`. UserError if
    `scheduler` can't be used.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    settings = {**_SETTINGS, "temporary-directory": str(Cache.default().root / "workers")}
    with (
        dask.config.set(settings),
        _lab(scheduler, [job.spec for job in jobs]) if scheduler else _own_workers(jobs) as client,
    ):
        errors = _Fleet(client, journal, {job.spec.name: job for job in jobs}).execute()
    if errors:
        raise together(errors)


@dataclass
class _Fleet:
    """The jobs under way, by host, each with the cells that are left of it."""

    client: Client
    journal: Journal
    jobs: dict[str, Job]
    inbox: SimpleQueue[tuple[str, Any]] = field(default_factory=SimpleQueue)
    attempts: dict[str, int] = field(default_factory=dict)
    stages: dict[str, list[str]] = field(default_factory=dict)
    errors: list[HarnessError] = field(default_factory=list)

    def execute(self) -> list[HarnessError]:
        topic = f"neve-{os.getpid()}-{next(iter(self.jobs.values())).run_id}"
        self.client.subscribe_topic(topic, lambda event: self.inbox.put(pickle.loads(event[1])))
        for name in list(self.jobs):
            self._submit(name, topic)
        silent = 0
        try:
            while self.jobs:
                try:
                    name, event = self.inbox.get(timeout=_SILENT_SECONDS)
                except Empty:
                    silent += 1
                    if silent > 1:
                        self._give_up_unoffered()
                    continue
                silent = 0
                if name in self.jobs:
                    self._take(name, event, topic)
        finally:
            for name in self.stages:
                self._break_off(name)
        return self.errors

    def _submit(self, name: str, topic: str) -> None:
        attempt = self.attempts[name] = self.attempts.get(name, 0) + 1
        future = self.client.submit(
            _work,
            self.jobs[name],
            topic,
            key=f"{topic}-{name}-{attempt}",
            pure=False,
            resources={name: 1},
        )
        future.add_done_callback(lambda done: self.inbox.put((name, done)))

    def _take(self, name: str, event: Any, topic: str) -> None:
        match event:
            case _Over(error):
                self._end(name, error)
                return
            case Future():
                if event.status != "finished":
                    self._lost(name, event.exception(), topic)
                return
            case Begun(stage):
                self.stages.setdefault(name, []).append(stage)
            case Ended(stage):
                self.stages[name].remove(stage)
            case CellRecord(cell_id):
                job = self.jobs[name]
                left = tuple(cell for cell in job.cells if cell.id != cell_id)
                self.jobs[name] = replace(job, cells=left)
        self.journal.record(event)

    def _lost(self, name: str, cause: BaseException, topic: str) -> None:
        if not isinstance(cause, KilledWorker):
            raise cause
        self._break_off(name)
        if self.attempts[name] == _ATTEMPTS:
            self._end(
                name, InfrastructureError(f"host {name}: its worker was lost {_ATTEMPTS} times")
            )
        else:
            self.journal.note(f"{name}: its worker was lost; another one goes on")
            self._submit(name, topic)

    def _break_off(self, name: str) -> None:
        """End the stages which nobody will end."""
        stages = self.stages.setdefault(name, [])
        while stages:
            self.journal.end(stages.pop(), "failed", 0.0)

    def _give_up_unoffered(self) -> None:
        for name in set(self.jobs) - _offered(self.client):
            self._end(name, InfrastructureError(f"host {name}: no worker has it any more"))

    def _end(self, name: str, error: HarnessError | None) -> None:
        del self.jobs[name]
        if error:
            self.errors.append(error)
            self.journal.note(f"{name}: {str(error).splitlines()[0]}")


def _work(job: Job, topic: str) -> None:
    """In the worker."""
    worker = get_worker()
    journal = Messages(lambda event: worker.log_event(topic, pickle.dumps((job.spec.name, event))))
    error = None
    try:
        with one_use(), _at_home(job, journal) as settled:
            execute_job(settled, journal)
    except (HarnessError, OSError) as failure:
        error = explain(failure)
    worker.log_event(topic, pickle.dumps((job.spec.name, _Over(error))))


@contextmanager
def _at_home(job: Job, journal: Journal) -> Iterator[Job]:
    """`job` with the files of this machine, which may be another one than the user's."""
    if not job.artifacts.present():
        setup = job.artifacts.setup.on([job.spec])
        job = replace(job, artifacts=build_all(Cache.default(), journal, setup))
    if job.consoles.is_dir():
        yield job
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield replace(job, consoles=Path(folder))
        finally:
            for file in Path(folder).iterdir():
                journal.record(Transcript(file.name, file.read_bytes()))


def _offered(client: Client) -> set[str]:
    """The hosts that the workers have."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return {name for worker in workers for name in worker["resources"]}


@contextmanager
def _lab(address: str, specs: Sequence[HostSpec]) -> Iterator[Client]:
    """A client of the scheduler at `address`, whose workers have all hosts."""
    if re.fullmatch(r"(tcp|tls|ws|wss)://.+:\d+", address) is None:
        raise UserError(f"--scheduler {address}: expected an address such as tls://host:8786")
    _require_secrecy(address, specs)
    try:
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # TypeError: no certificate
        reason = str(error).splitlines()[0]
        raise UserError(f"--scheduler {address}: can't be reached: {reason}") from error
    with client:
        missing = {spec.name for spec in specs} - _offered(client)
        if missing:
            wanted = " ".join(f"{name}=1" for name in sorted(missing))
            raise UserError(
                f"--scheduler {address}: no worker has {', '.join(sorted(missing))}: start one "
                f"with: dask worker {address} --nthreads 1 --resources {wanted!r}"
            )
        yield client


def _require_secrecy(address: str, specs: Sequence[HostSpec]) -> None:
    """Whoever reaches a scheduler in the clear has what its workers have: root on the lab's
    servers. So TLS is asked for beyond this machine, and on it for what was answered to a prompt:
    others on it may listen."""
    if address.startswith("tls://"):
        return
    if not _on_loopback(address):
        raise UserError(
            f"--scheduler {address}: whoever reaches it could run commands as root on the lab's "
            "servers: use a tls:// scheduler (the README says how to start one)"
        )
    asked = sorted(
        spec.name
        for spec in specs
        if isinstance(spec, SshHostSpec) and spec.sudo and spec.sudo.prompt
    )
    if asked:
        raise UserError(
            f"--scheduler {address}: sudo's password of {', '.join(asked)} would go there in the "
            "clear: use a tls:// scheduler, or `environment` or `command` in place of `prompt`, "
            "which the worker reads by itself"
        )


def _on_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


@contextmanager
def _own_workers(jobs: Sequence[Job]) -> Iterator[Client]:
    """A client of workers on this machine, which end with us."""
    # Others on this machine may connect to the loopback interface, too.
    security = Security.temporary()
    common = {
        "nthreads": 1,
        "memory_limit": 0,
        "security": security,
        "dashboard": False,
        "silence_logs": logging.CRITICAL,
        "host": "127.0.0.1",
    }
    workers = {
        index: {"cls": Nanny, "options": {**common, "resources": dict.fromkeys(names, 1)}}
        for index, names in enumerate(_shares(jobs))
    }
    scheduler = {
        "cls": Scheduler,
        "options": {
            "host": "127.0.0.1",
            "port": 0,
            "protocol": "tls://",
            "dashboard": False,
            "security": security,
        },
    }
    # Ctrl-C is for us alone; the workers inherit that they ignore it.
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        cluster = SpecCluster(workers=workers, scheduler=scheduler, security=security)
    finally:
        signal.signal(signal.SIGINT, ours)
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


def _shares(jobs: Sequence[Job]) -> list[list[str]]:
    """The hosts of each of our workers: one server, or so many TCG machines that no two workers
    share a CPU."""
    servers = [job.spec.name for job in jobs if isinstance(job.spec, SshHostSpec)]
    machines = [job.spec.name for job in jobs if job.spec.name not in servers]
    cpus = len(os.sched_getaffinity(0))
    return [[name] for name in servers] + [
        machines[first::cpus] for first in range(min(cpus, len(machines)))
    ]
