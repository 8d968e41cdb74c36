# SPDX-License-Identifier: MIT
"""Workers that a lab lends: a job runs in the Dask worker that has its host as a resource."""

import ipaddress
import logging
import os
import pickle
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import dask
from distributed import Client, Future, KilledWorker, get_worker

from harness.build.artifacts import build_all
from harness.cache import Cache
from harness.errors import HarnessError, InfrastructureError, UserError
from harness.holding import one_use
from harness.model.inventory import HostSpec, SshHostSpec
from harness.model.journal import Journal, Messages, Transcript
from harness.process import explain
from harness.run.dispatch import Heard, Lost, Over, dispatch, work
from harness.run.job import Job

_CONNECT_SECONDS = 20
# A worker that restarts is back by then; without a word for so long we look whether it is there.
_SILENT_SECONDS = 60
_SETTINGS = {
    # We know which cells are left, Dask does not: it must not begin a job again.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.work-stealing": False,
    "distributed.comm.timeouts.connect": _CONNECT_SECONDS,
}


def probe(specs: Sequence[HostSpec], scheduler: str) -> None:
    """Raise UserError if jobs on `specs` can't be given out: before minutes go into a kernel."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with dask.config.set(_SETTINGS), _lab(scheduler, specs):
        pass


def execute(jobs: Sequence[Job], journal: Journal, scheduler: str) -> None:
    """Run `jobs` at once on the workers of `scheduler`.

    Raises, when all have ended, the errors of those that failed, `together`. UserError if
    `scheduler` can't be used.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with (
        dask.config.set(_SETTINGS),
        _lab(scheduler, [job.spec for job in jobs]) as client,
    ):
        dispatch(_Fleet.of(client), jobs, journal)


@dataclass
class _Fleet:
    """What comes from the workers is told by `topic`; `hosts` are those of jobs under way."""

    client: Client
    topic: str
    inbox: SimpleQueue[tuple[str, Any]] = field(default_factory=SimpleQueue)
    hosts: dict[str, str] = field(default_factory=dict)
    submitted: int = 0

    @classmethod
    def of(cls, client: Client) -> "_Fleet":
        fleet = cls(client, f"neve-{os.getpid()}-{os.urandom(4).hex()}")
        client.subscribe_topic(fleet.topic, lambda event: fleet.inbox.put(pickle.loads(event[1])))
        return fleet

    def submit(self, job: Job) -> None:
        self.hosts[job.name] = job.spec.name
        self.submitted += 1
        future = self.client.submit(
            _work,
            job,
            self.topic,
            key=f"{self.topic}-{self.submitted}",
            pure=False,
            resources={job.spec.name: 1},
        )
        future.add_done_callback(lambda done: self.inbox.put((job.name, done)))

    def heard(self) -> Heard:
        """What comes next. Raises what a worker raised that is no error of ours."""
        silent = 0
        while True:
            try:
                name, event = self.inbox.get(timeout=_SILENT_SECONDS)
            except Empty:
                silent += 1
                if silent > 1:
                    self._give_up_unoffered()
                continue
            silent = 0
            if isinstance(event, Over):
                self.hosts.pop(name, None)
            if not isinstance(event, Future):
                return name, event
            if event.status != "finished":
                if not isinstance(cause := event.exception(), KilledWorker):
                    raise cause
                return name, Lost()

    def _give_up_unoffered(self) -> None:
        offered = _offered(self.client)
        for name, host in self.hosts.items():
            if host not in offered:
                error = InfrastructureError(f"{name}: no worker has host {host} any more")
                self.inbox.put((name, Over(error)))


def _work(job: Job, topic: str) -> None:
    """In the worker."""
    worker = get_worker()

    def tell(event: Any) -> None:
        worker.log_event(topic, pickle.dumps((job.name, event)))

    journal = Messages(tell)
    try:
        with one_use(), _at_home(job, journal) as settled:
            over = work(settled, journal)
    except (HarnessError, OSError) as error:
        over = Over(explain(error))
    tell(over)


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
            "servers: use a tls:// scheduler (docs/how-to/lab.md says how to start one)"
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
