# SPDX-License-Identifier: MIT
"""The applications' workload: L0, a VM or a nested VM with the same disk, and a client beside them.

All levels and the client are on one Ethernet segment, so the client reaches each of them in the
same way. The client is in a network namespace of L0, with a bridge in between.
"""

import shlex
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from harness.bench.outcome import Outcome, Value
from harness.bench.traps import counting
from harness.bench.workload.workload import BootedHost, Workload
from harness.errors import GuestError, HarnessError, InfrastructureError
from harness.machine import levels
from harness.machine.console import Place, Shell
from harness.machine.host import Host
from harness.model.application import Application, applications
from harness.model.guest import File
from harness.model.measurement import Metric, Statistic
from harness.model.playbook import Cell, Configuration

_NETWORK = "192.0.2"  # TEST-NET-1: no lab has it
_IN_APP = "chroot /app /usr/bin/env -i PATH=/usr/sbin:/usr/bin HOME=/root"
_CLIENT = "/usr/bin/nsenter --net=/run/netns/client"
_QUIET = "sh /disk/neve/quiet"
_SERVER_LOG = "/tmp/server.log"  # below /app
_SETUP_SECONDS = 120.0
_START_SECONDS = 240.0
_TICKS = 100  # of /proc/stat, a second


def _address(level: int) -> str:
    return f"{_NETWORK}.{level + 1}"


class _System(Protocol):
    """Where lines of shell are run."""

    def run(self, line: str, seconds: float) -> str:
        """The output of `line`. Raises GuestError if it fails or takes longer."""
        ...


@dataclass(frozen=True)
class _OnHost:
    """L0 itself."""

    host: Host

    def run(self, line: str, seconds: float) -> str:
        try:
            done = self.host.run(line, timeout=seconds, check=False)
        except InfrastructureError as error:
            self.host.run("true")  # raises if it is the host that does not answer
            raise GuestError(str(error)) from error
        if done.status:
            raise GuestError(
                f"{self.host.name}: {line!r} ended with status {done.status}: "
                f"{(done.stdout + done.stderr).strip()}"
            )
        return done.stdout


@dataclass(frozen=True)
class _InGuest:
    """A guest, by its console."""

    shell: Shell

    def run(self, line: str, seconds: float) -> str:
        return self.shell.run(line, timeout=seconds).output


def _line(
    application: Application, step: str, variables: Mapping[str, object], prefix: str = ""
) -> str:
    """`step` of the application as a line for L0 or a guest: in its root, with its variables."""
    words = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in variables.items())
    return f"{_IN_APP} {words} {prefix} sh -c {shlex.quote(getattr(application, step))}"


@dataclass(frozen=True)
class _Measured:
    """A system with the disk of the applications: that of `level`."""

    booted: BootedHost
    system: _System
    level: int

    @property
    def shell(self) -> Shell | None:
        """The guest's; None if it is L0 that is measured."""
        return self.system.shell if isinstance(self.system, _InGuest) else None

    def measure(self, cell: Cell) -> Outcome:
        application = applications()[cell.benchmark]
        size = self.booted.playbook.size or ("small" if self.booted.spec.kind == "tcg" else "paper")
        amounts = dict(application.amounts(size))
        runs = amounts.pop("runs")
        variables = {
            **amounts,
            "server": _address(self.level),
            "cpus": self.booted.playbook.guest_cpus,
            **self._licensed(),
        }
        try:
            self._serve(application, variables)
            # The first run warms up, so it may as well be the one whose exits are counted.
            with counting(self.booted.host, self.booted.event) as counter:
                before, start = counter.read(), self._now()
                self._run(application, variables)
                seconds, exits = self._now() - start, counter.read()
            exits.subtract(before)
            before_runs = self._clocks()
            figures = [self._run(application, variables) for _ in range(runs)]
            used = self._clocks().since(before_runs)
        except GuestError as error:
            raise GuestError(f"{application.name}: {error}{self._server_log()}") from error
        finally:
            with suppress(HarnessError):  # of a system that died, whose error is under way
                _OnHost(self.booted.host).run(_QUIET, _SETUP_SECONDS)
                if self.level:
                    self.system.run(_QUIET, _SETUP_SECONDS)
        deviation = statistics.stdev(figures) if runs > 1 else None
        return Outcome(
            [
                Value(
                    application.metric,
                    application.unit,
                    statistics.fmean(figures),
                    deviation,
                    runs,
                    statistic=Statistic.MEAN,
                ),
                *_rates(exits, seconds),
                *(
                    Value(
                        Metric.CPU, "CPUs", value, None, runs, statistic=Statistic.MEAN, level=level
                    )
                    for level, value in used.items()
                ),
            ],
            [{"benchmark": application.name, "size": size, "figures": figures, **amounts}],
        )

    def _licensed(self) -> dict[str, str]:
        specjvm = self.booted.playbook.specjvm
        return (
            {"jar": specjvm.jar.name, "benchmarks": " ".join(specjvm.benchmarks)} if specjvm else {}
        )

    def _server_log(self) -> str:
        """The last lines that the server wrote, if its system still says them."""
        with suppress(HarnessError):
            lines = self.system.run(f"tail -n 20 /app{_SERVER_LOG} 2>/dev/null || :", 60).strip()
            return f"\nserver:\n{lines}" if lines else ""
        return ""

    def _serve(self, application: Application, variables: Mapping[str, object]) -> None:
        """Prepare it, start its server and load it with data."""
        seconds = self.booted.playbook.benchmark_seconds
        if application.prepare:
            self.system.run(_line(application, "prepare", variables), seconds)
        if application.start:
            start = _line(application, "start", variables)
            self.system.run(f"{start} >/app{_SERVER_LOG} 2>&1", seconds)
        if application.port:
            self._await(str(variables["server"]), application.port)
        if application.load:
            self._client(application, "load", variables)

    def _await(self, address: str, port: int) -> None:
        end = time.monotonic() + _START_SECONDS
        probe = f"nc -w 2 {address} {port} </dev/null >/dev/null 2>&1"
        while not self.booted.host.attempt(f"timeout 5 {probe}"):
            if time.monotonic() > end:
                raise GuestError(
                    f"its server does not answer at {address} port {port} within "
                    f"{_START_SECONDS:.0f} s"
                )
            time.sleep(0.5)

    def _run(self, application: Application, variables: Mapping[str, object]) -> float:
        if application.client:
            return application.parse(self._client(application, "client", variables))
        return application.parse(
            self.system.run(
                _line(application, "run", variables), self.booted.playbook.benchmark_seconds
            )
        )

    def _client(self, application: Application, step: str, variables: Mapping[str, object]) -> str:
        return _OnHost(self.booted.host).run(
            _line(application, step, variables, _CLIENT), self.booted.playbook.benchmark_seconds
        )

    def _now(self) -> float:
        """L0's time: a second of an emulated machine is not one of ours."""
        return float(self.booted.host.run("cat /proc/uptime").stdout.split()[0])

    def _clocks(self) -> "_Clocks":
        """L0's time, and how long the CPUs of each level have worked, by one command."""
        asked = [
            f"nc -w 10 {_address(level)} 9 </dev/null || echo" for level in range(1, self.level + 1)
        ]
        said = self.booted.host.run(
            "; ".join(["cat /proc/uptime", "head -n 1 /proc/stat", *asked])
        ).stdout.splitlines()
        return _Clocks(
            float(said[0].split()[0]),
            {
                f"L{level}": _worked(line)
                for level, line in enumerate(said[1:])
                if line.startswith("cpu ")
            },
        )


@dataclass(frozen=True)
class _Clocks:
    """L0's time in seconds, and by level the seconds that its CPUs have worked; a level that did
    not answer is not there."""

    now: float
    worked: Mapping[str, float]

    def since(self, start: "_Clocks") -> dict[str, float]:
        """How many CPUs of each level were busy since `start`."""
        seconds = self.now - start.now
        return {
            name: (self.worked[name] - start.worked[name]) / seconds
            for name in self.worked
            if name in start.worked
        }


def _worked(line: str) -> float:
    """Of the `cpu` line of /proc/stat: all but idle, iowait and steal; guests' is in user's."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, line.split()[1:8])
    return (user + nice + system + irq + softirq) / _TICKS


def _rates(exits: Counter[str], seconds: float) -> Iterator[Value]:
    """Exits to L0 per second: in all, and by reason."""
    for reason, count in {"": exits.total(), **dict(sorted(exits.items()))}.items():
        if count or not reason:
            yield Value(
                Metric.TRAPS,
                "exits per second",
                count / seconds,
                None,
                1,
                reason,
                statistic=Statistic.MEAN,
            )


class ApplicationWorkload(Workload):
    """Measures applications, natively and in guests."""

    @contextmanager
    def place(self, configuration: Configuration) -> Iterator[Place]:
        _ready_host(self.booted)
        with super().place(configuration) as place:
            yield place

    def settle(self, hypervisor: levels.GuestPlace) -> None:
        _ready(_InGuest(hypervisor.shell), "hypervisor", 1)

    @contextmanager
    def target(self, place: Place, configuration: Configuration) -> Iterator[_Measured]:
        booted, level = self.booted, configuration.guest_level
        if configuration is Configuration.NATIVE:
            yield _Measured(booted, _OnHost(booted.host), level)
            return
        guest = self.guest(place, configuration)
        with ExitStack() as stack:
            with booted.stage(f"{configuration}: boot guest at L{level}"):
                shell = stack.enter_context(levels.l2(place, guest, name=str(configuration)))
                system = _InGuest(shell)
                _ready(system, "guest", level)
            yield _Measured(booted, system, level)


def _ready(system: _System, role: str, level: int, disk: str = "/dev/vda") -> None:
    system.run(
        f"mkdir -p /disk && mount -t ext2 -o ro{'' if level else ',loop'} {disk} /disk && "
        f"sh /disk/neve/level {role} {_address(level)}/24",
        _SETUP_SECONDS,
    )


def _ready_host(booted: BootedHost) -> None:
    """L0 gets its disk and network once a boot."""
    if not booted.host.attempt("test -e /run/app/ready"):
        with booted.stage("disk and network"):
            _ready(
                _OnHost(booted.host), "host", 0, booted.host.put(booted.artifacts.files[File.DISK])
            )
