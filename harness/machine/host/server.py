# SPDX-License-Identifier: MIT
"""A server with two kernels: its own, and ours for one boot, with a root in memory.

Outside our folder nothing of ours is on the server's disk, and any reset ends our kernel: the
server's firmware then starts the server's own kernel. Our kernel resets by itself when it panics,
and when nobody has been logged in for a while. It has the server's own host keys, which never leave
the server, so what answers is proved to be the server in either kernel.
"""

import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.deadline import Deadline
from harness.errors import (
    Busy,
    DeniedError,
    HarnessError,
    InfrastructureError,
    NotNowError,
    NoWayError,
    UnknownAddressError,
    UnreachableError,
    UntrustedError,
    UserError,
)
from harness.machine.console import Console, Program
from harness.machine.host import ssh
from harness.machine.host.departure import announce, require_consent
from harness.machine.host.fabric_host import FabricHost
from harness.machine.host.keys import paramiko_key
from harness.machine.host.launch import OneShot, Start, load, unload
from harness.machine.host.lock import LOCK, HostLock, Record, locked
from harness.machine.host.sudo import Sudo
from harness.model.inventory import SshHostSpec
from harness.process import lab_environment, run

MARKER = "deployed.json"
_OURS = "neve.level=l0"
_ATTEMPT_SECONDS = 15.0
_SETTLE_SECONDS = 60.0  # in which the run that has booted L0 logs in
_POWER_SECONDS = 120.0
# What a server that has let us in before says only for a while.
_PASSING = (Busy, DeniedError, NoWayError, UnknownAddressError)
_SESSIONS = "sessions | wc -l"  # L0's init has it


class _Watched(FabricHost):
    """L0, whose death its console shows."""

    witness: Console | None = None

    def require_alive(self) -> None:
        if self.witness:
            self.witness.check()


class Server:
    """A server with two kernels: its own, and ours."""

    def __init__(self, spec: SshHostSpec, transcripts: Path) -> None:
        self._spec = spec
        self._transcripts = transcripts
        self._release: str | None = None
        self._console: Console | None = None
        self._proved: paramiko.PKey | None = None  # the host key of its own kernel
        self._gone = False  # whether it has left its own kernel for us
        self._start: Start | None = None
        self._presence: Program | None = None

    @contextmanager
    def vendor_kernel(self, wait: float, *, deployed: bool = False) -> Iterator[FabricHost]:
        """The server in its own kernel, locked for us; it must be `deployed` if that is said.

        One that was left in ours is given back first. Raises Busy while another run has it,
        UnreachableError if it does not let us in, else InfrastructureError.
        """
        host, abandoned = self._enter(wait)
        try:
            if deployed:
                _require_deployed(host)
            with locked(host, wait, abandoned):
                yield host
        finally:
            host.close()

    @contextmanager
    def one_shot(self, boot: OneShot, wait: float) -> Iterator[FabricHost]:
        """L0: our kernel, for as long as the context lasts. Raises as `vendor_kernel` does."""
        host, abandoned = self._enter(wait)
        _require_deployed(host)
        with self._watched(), locked(host, wait, abandoned) as lock:
            self._release = host.run("uname -r").stdout.strip()
            try:
                l0 = self._boot(host, boot)
                # Until now: nobody else may have the server while it goes down.
                lock.let_go()
                host.close()
                try:
                    yield l0
                finally:
                    self._reset(l0)
            finally:
                host.close()
                host = self._await_own(Deadline(self._spec.boot_seconds, "its own kernel"))
                try:
                    self._tidied(host, lock)
                    self._verify(host)
                finally:
                    host.close()

    def _tidied(self, host: FabricHost, lock: HostLock) -> None:
        """Remove what the boot has left, unless we were away for so long that another run has the
        server."""
        with suppress(Busy):
            lock.acquire(host, 0)
            unload(host, self._start)
            lock.release()

    def _enter(self, wait: float) -> tuple[FabricHost, str | None]:
        """The server in its own kernel, and the token of a run that left it in ours.

        One that does not answer is left alone, whatever it is in: nothing proves that it is ours.
        """
        busy = Deadline(wait, "another run")
        over = Deadline(wait + self._spec.boot_seconds, "another run's end")
        while True:
            try:  # it may be in the middle of a boot
                host, ours = self._opened(Deadline(self._spec.boot_seconds, "it"))
            except Busy:  # one that does not let us in, so only its end is worth waiting for
                if busy.passed:
                    raise
                time.sleep(min(5.0, max(1.0, busy.left)))
                continue
            if not ours:
                return host, None
            with closing(host):
                try:
                    token = self._abandoned(host, busy)
                    _claim(host)
                except Busy:
                    raise
                except InfrastructureError:
                    # Whoever has it gives it back: once more, until that should be over.
                    if over.passed:
                        raise
                    continue
                self._gone = True
                self._reset(host)
            own = self._await_own(Deadline(self._spec.boot_seconds, "its own kernel"))
            return own, token

    def _abandoned(self, l0: FabricHost, busy: Deadline) -> str | None:
        """The token of the run that booted `l0`, when nobody is there. Raises Busy."""
        record = Record.parse(l0.run(f"cat {LOCK}", check=False).stdout)
        while (others := _others(l0)) or _settling(l0):
            # A boot that nobody claims is over within a minute: that is worth waiting for.
            if others and busy.passed:
                raise Busy(
                    f"host {l0.name} is in use by {record or 'somebody'}; --wait SECONDS waits"
                )
            time.sleep(min(5.0, max(1.0, busy.left)))
        return record.token if record else None

    def _open(self) -> tuple[FabricHost, bool]:
        """The server as it is just now, for root, and whether that is in our kernel."""
        host = ssh.server(self._spec, self._transcripts, self._proved)
        try:
            host.open(_ATTEMPT_SECONDS)
            ours = in_ours(host)
            if not ours:
                self._proved = host.connection.transport.get_remote_server_key()
                host.become_root(Sudo.of(self._spec, host.connection.user))
            return host, ours
        except HarnessError:
            host.close()
            raise

    def _opened(
        self, deadline: Deadline, passing: tuple[type[HarnessError], ...] = ()
    ) -> tuple[FabricHost, bool]:
        """As `_open`, as soon as it succeeds. Raises InfrastructureError with the console's last
        lines, and at once what no time changes, but for errors of a `passing` kind."""
        while True:
            try:
                return self._open()
            except (UserError, InfrastructureError) as error:
                final = isinstance(error, (UserError, Busy))
                if final and type(error) not in (UnreachableError, *passing):
                    raise
                if deadline.passed:
                    raise self._vain(deadline, str(error)) from error
            time.sleep(1)

    def _boot(self, host: FabricHost, boot: OneShot) -> FabricHost:
        key, token = Ed25519PrivateKey.generate(), secrets.token_hex(8)
        boot_id = host.boot_id()
        require_consent(host)
        announce(host, self._spec)
        self._start = load(host, boot, self._spec, key, token)
        require_consent(host)
        if self._console:
            self._console.forget()
        self._gone, left = True, None
        with suppress(InfrastructureError):  # the connection may go before the answer comes
            left = host.run(self._start.command, timeout=30, check=False)
        if left and left.status:
            self._gone = False
            said = " ".join((left.stderr or left.stdout).split())
            raise InfrastructureError(f"host {host.name} does not restart: {said or left.status}")
        deadline = Deadline(self._spec.boot_seconds, f"Linux {boot.version}")
        return self._await_ours(key, token, boot, boot_id, deadline)

    def _await_ours(
        self, key: Ed25519PrivateKey, token: str, boot: OneShot, before: str, deadline: Deadline
    ) -> FabricHost:
        connection = ssh.connection(self._spec, paramiko_key(key), self._proved)
        l0 = _Watched(self._spec.name, connection, self._transcripts, root=self._spec.root)
        l0.witness = self._console
        cause = ""
        while not deadline.passed:
            try:
                l0.open(min(_ATTEMPT_SECONDS, deadline.left + 1))
                if f"neve.boot={token}" in l0.run("cat /proc/cmdline").stdout:
                    release = l0.run("uname -r").stdout.strip()
                    if not release.startswith(boot.version) or l0.boot_id() == before:
                        raise UserError(f"host {l0.name}: Linux {release} boots as {boot.version}")
                    l0.prepare()
                    # For L0's init and for others: somebody is here, also between two commands.
                    self._presence = l0.start(["sleep", "2000000000"], "presence")
                    return l0
            except UntrustedError:
                raise
            except (UnreachableError, InfrastructureError) as error:
                cause = str(error)
            l0.close()
            if self._came_back(before):
                raise InfrastructureError(
                    f"host {l0.name}: Linux {boot.version} did not boot: the server is back in "
                    f"its own kernel{self._tail()}"
                )
            time.sleep(1)
        raise self._vain(deadline, cause)

    def _came_back(self, before: str) -> bool:
        """Whether the server has booted its own kernel anew."""
        with suppress(HarnessError):
            host, ours = self._open()
            with closing(host):
                return not ours and host.boot_id() != before
        return False

    def _reset(self, l0: FabricHost) -> None:
        """End our kernel. It may be dead already, and then has done so by itself."""
        with suppress(HarnessError):
            l0.run("(sleep 1; reboot -f) >/dev/null 2>&1 &")
        l0.close()

    def _await_own(self, deadline: Deadline) -> FabricHost:
        """The server in its own kernel; power is cut, once, if it does not come by itself.

        That is for a server that we have taken from its own kernel and that is silent since: not
        for one that answers, whatever it says, nor for what fails on this machine. Raises
        InfrastructureError with the console's last lines.
        """
        try:
            return self._own_until(deadline)
        except InfrastructureError as error:
            if not (self._gone and self._spec.power_cycle and _silent(error.__cause__)):
                raise
        words, env = shlex.split(self._spec.power_cycle), lab_environment()
        run(words, timeout=_POWER_SECONDS, env=env, private=True)
        return self._own_until(Deadline(self._spec.boot_seconds, "it after a power cycle"))

    def _own_until(self, deadline: Deadline) -> FabricHost:
        while True:
            host, ours = self._opened(deadline, _PASSING)
            if not ours:
                self._gone = False
                return host
            self._reset(host)
            if deadline.passed:
                raise self._vain(deadline, "it stays in our kernel")
            time.sleep(1)

    def _vain(self, deadline: Deadline, cause: str) -> InfrastructureError:
        return InfrastructureError(
            f"host {self._spec.name}: gave up waiting for {deadline.awaited} after "
            f"{deadline.seconds:.0f} s: {cause}{self._tail()}"
        )

    def _verify(self, host: FabricHost) -> None:
        release = host.run("uname -r").stdout.strip()
        if release != self._release:
            raise InfrastructureError(
                f"host {host.name}: came back with Linux {release}, not {self._release}"
            )

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """The server's console, where there is a command for it."""
        if not self._spec.console:
            yield
            return
        self._console = Console.of_process(
            shlex.split(self._spec.console),
            "console",
            self._transcripts / f"{self._spec.name}-console.log",
        )
        try:
            yield
        finally:
            self._console.close()
            self._console = None

    def _tail(self) -> str:
        if self._console is None:
            return ""
        with suppress(HarnessError):
            self._console.check()
        return f"\n{self._console.tail()}\nconsole: {self._console.transcript}"


def _require_deployed(host: FabricHost) -> None:
    if not host.attempt(f"test -f {host.root}/{MARKER}"):
        host.close()
        raise UserError(f"host {host.name} is not prepared: neve deploy")


def in_ours(host: FabricHost) -> bool:
    """Whether the server runs a kernel of ours, just now."""
    return _OURS in host.run("cat /proc/cmdline", root=False).stdout


def _silent(cause: BaseException | None) -> bool:
    """Whether nobody has answered, or our kernel has and does not end. One that is in use is
    perhaps another run's by now."""
    if isinstance(cause, UserError):
        return type(cause) is UnreachableError
    return not isinstance(cause, (NotNowError, Busy))


def _claim(l0: FabricHost) -> None:
    """Be the only one who takes the server back. Raises Busy."""
    if not l0.attempt("mkdir /run/neve-taken-back"):
        raise Busy(f"host {l0.name} is being taken back by another run; --wait SECONDS waits")


def _others(host: FabricHost) -> bool:
    """Whether another run is logged in to L0."""
    return int(host.run(_SESSIONS).stdout) != 1  # which is ours


def _settling(host: FabricHost) -> bool:
    """Whether the run that booted L0 may be about to log in."""
    return float(host.run("cut -d' ' -f1 /proc/uptime").stdout) < _SETTLE_SECONDS
