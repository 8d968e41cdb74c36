# SPDX-License-Identifier: MIT
"""The only implementation of commands, files and consoles: Fabric over SSH."""

import logging
import re
import shlex
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import paramiko
from invoke.exceptions import CommandTimedOut, Failure, ThreadException

from harness.cache import file_sha256
from harness.errors import Busy, DeniedError, HarnessError, InfrastructureError, NotRootError
from harness.machine.console import Console, Program
from harness.machine.host import upload
from harness.machine.host.answer import Question, line
from harness.machine.host.connection import SshConnection, refusal
from harness.machine.host.protocol import Completed, Guard
from harness.machine.host.sudo import Sudo
from harness.verbosity import COMMANDS, tell

# What goes wrong is raised, too: tracebacks of paramiko's threads help nobody.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_UNREACHABLE = (paramiko.SSHException, OSError, EOFError)
_LOST_SECONDS = 60
_LOGIN_SECONDS = 60  # OpenSSH's servers give up after 120
_NO_STATUS = -1  # of paramiko's, where the connection ends before the command does
_KEEPALIVE_SECONDS = 15
OCCUPIED = re.compile(r"^neve: in use by (\S[ \S]{0,300})$", re.MULTILINE)
_LINE = 200  # characters of what a server says that an error shows
_TRACEFS = "mount | grep -q ' /sys/kernel/tracing ' || mount -t tracefs tracefs /sys/kernel/tracing"


def _told(error: BaseException) -> str:
    """What happened to a connection, in the words of who noticed."""
    return str(error) or (
        "closed by the other side" if isinstance(error, EOFError) else type(error).__name__
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LINE]


class FabricHost:
    """A host behind an SSH server. Subclasses say how to reach it and what else it shares.

    `root` is the folder there that is ours; files lie below it by their content, and `uploads`
    counts those that had to be sent. The user is root, or becomes it.
    """

    def __init__(
        self, name: str, connection: SshConnection, transcripts: Path, *, root: str
    ) -> None:
        self.name = name
        self.connection = connection
        self.root = root
        self.uploads = 0
        self._asked = time.monotonic()
        self._transcripts = transcripts
        self._sudo: Sudo | None = None
        self._compared: set[str] = set()
        self._cause = ""
        self._further: list[SshConnection] = []
        self.guard: Guard | None = None

    def connect(self, timeout: float) -> None:
        """Connect, and make ready what measurements need. Raises as `open` does."""
        self.open(timeout)
        self.prepare()

    def prepare(self) -> None:
        """Make ready what measurements need."""
        self.run(_TRACEFS, check=False)  # without it traps are not counted, which is told then

    def open(self, timeout: float) -> None:
        """Connect; nothing is changed on the host.

        Raises UnreachableError: UntrustedError if the host's key is not the known one,
        DeniedError if it does not let us in, Busy if that is because another run has booted it;
        NotNowError if it may do so later.
        """
        self._cause = ""
        self._compared.clear()  # it may have booted, and its root may have been in memory
        try:
            self._open(self.connection, timeout)
        except _UNREACHABLE as error:
            told = self._occupied(error) or self._unreachable(error)
            self._hang_up()
            self.require_alive()
            raise told from error

    def _open(self, connection: SshConnection, timeout: float) -> None:
        connection.connect_timeout = timeout
        connection.connect_kwargs.update(
            banner_timeout=timeout,
            auth_timeout=max(timeout, _LOGIN_SECONDS),
            channel_timeout=_LOST_SECONDS,
        )
        connection.open()
        transport = connection.transport
        transport.set_keepalive(_KEEPALIVE_SECONDS)
        if getattr(transport.sock, "family", None) in (socket.AF_INET, socket.AF_INET6):
            # Without these, a cut cable is noticed only after a quarter of an hour.
            transport.sock.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _LOST_SECONDS * 1000
            )

    def become_root(self, sudo: Sudo | None) -> None:
        """Run what follows through `sudo`; nothing without one. Raises NotRootError."""
        if sudo is None:
            return
        self._sudo = sudo
        try:
            tried = self.run("true", check=False)
        except NotRootError as error:
            raise sudo.refused(str(error)) from error
        if tried.status:
            said = _one_line(tried.stderr or tried.stdout) or f"status {tried.status}"
            raise sudo.refused(
                f"host {self.name}: {self.connection.user} can't become root: {said}; see `sudo` "
                "in the inventory"
            )

    def _occupied(self, error: Exception) -> Busy | None:
        """That another run has the host, if that is why it does not let us in: L0 lets in who has
        booted it, and tells all others before they log in."""
        transport = self.connection.client.get_transport()
        banner = transport.get_banner() if transport else None
        found = OCCUPIED.search((banner or b"").decode(errors="replace"))
        if found is None or not isinstance(error, paramiko.AuthenticationException):
            return None
        return Busy(f"host {self.name} is in use by {found[1]}; --wait SECONDS waits")

    def _unreachable(self, error: Exception) -> HarnessError:
        host = self.connection.host
        where = (
            f"host {self.name} ({self.connection.user}@"
            f"{f'[{host}]' if ':' in host else host}:{self.connection.port})"
        )
        return refusal(f"{where} can't be reached", error, self.connection)

    def require_alive(self) -> None:
        """Raise if the machine below is known to be dead; subclasses know how to tell."""

    def describe_silence(self) -> str:
        """What is known of a host that no longer answers; subclasses may know more."""
        return ""

    def declare_lost(self, what: str) -> InfrastructureError:
        """The error of a host that answers no longer. Raises what `healthy` does if it is dead.

        Where SSH does not answer either, the connection is given up: what is still asked, to
        leave the host as it was, then fails at once.
        """
        self.require_alive()
        known = self.describe_silence()
        if not self._answers():
            self._hang_up()
        return InfrastructureError(f"host {self.name}: {what}{'; ' if known else ''}{known}")

    def _answers(self) -> bool:
        """Whether the host's SSH server does. TCP may end before it, at a jump host say."""
        transport = self.connection.transport
        if not (transport and transport.is_active()):
            return False
        try:
            transport.open_session(timeout=_LOST_SECONDS / 2).close()
        except paramiko.ChannelException:
            return True  # that is an answer: there are as many sessions as it allows
        except _UNREACHABLE as error:
            self._blame(error)
            return False
        return True

    def _blame(self, error: Exception) -> None:
        """The first cause that is heard of stays. Where the lock was lost, that is what has closed
        the connection."""
        self._cause = self._cause or (self.guard.loss() if self.guard else "") or _told(error)

    def _lost_connection(self) -> str:
        """That it is, and why: mostly the transport knows."""
        transport = self.connection.transport
        # paramiko keeps the exception of its thread, but for the plain end of the stream
        error = getattr(transport, "saved_exception", None) or EOFError()
        self._blame(error)
        return f"the connection is lost ({self._cause})"

    def _require_connection(self) -> None:
        """Fabric would connect anew, to whatever answers there by then."""
        if not self.connection.is_connected:
            self.require_alive()
            raise InfrastructureError(f"host {self.name}: {self._lost_connection()}")

    def run(
        self, command: str, *, timeout: float = 60, check: bool = True, root: bool = True
    ) -> Completed:
        self._require_connection()
        tell(f"{self.name}: {command}", COMMANDS)
        end = time.monotonic() + timeout
        sudo = self._sudo if root else None
        question = Question(
            self.guard.before(command) if self.guard and root else command,
            sudo.command() if sudo else "",
        )
        try:
            result = self.connection.run(
                question.line(),
                hide=True,
                warn=True,
                pty=False,
                in_stream=False,
                timeout=timeout,
                encoding="utf-8",
                watchers=sudo.answers() if sudo else [],
            )
        except CommandTimedOut as error:
            raise self._unanswered(command, timeout, end) from error
        except Failure as error:
            raise NotRootError(f"host {self.name}: sudo does not take the password") from error
        except (ThreadException, *_UNREACHABLE) as error:
            raise self._unanswered(command, timeout, end) from error
        if result.exited == _NO_STATUS:
            raise self._unanswered(command, timeout, end)
        answer = question.answer(result.stdout, result.stderr)
        if answer is None:
            raise self._no_answer(command, question, result.stdout, result.stderr)
        status, stdout, stderr = answer
        if sudo:
            stderr = sudo.unasked(stderr)
        return self._checked(command, Completed(status, stdout, stderr), check)

    def _checked(self, command: str, done: Completed, check: bool) -> Completed:
        if self.guard and (why := self.guard.refusal(done)):
            raise InfrastructureError(f"host {self.name}: {why}")
        if check and done.status:
            raise InfrastructureError(
                f"host {self.name}: {command!r} ended with status {done.status}: "
                f"{(done.stderr or done.stdout).strip()}"
            )
        return done

    def _no_answer(
        self, command: str, question: Question, stdout: str, stderr: str
    ) -> HarnessError:
        """The error of a command that has ended without its answer: the login shell has not come
        so far, or what it started was ended by others."""
        said = _one_line(f"{stdout} {stderr}") or "nothing"
        if question.begun(stdout):
            return InfrastructureError(f"host {self.name}: {command!r} was cut off: {said}")
        return DeniedError(
            f"host {self.name}: the login shell of {self.connection.user} runs no command; it "
            f"says: {said}"
        )

    def read(self, command: str, pattern: str) -> re.Match[str]:
        said = self.run(command, check=False)
        found = re.fullmatch(pattern, said.stdout)
        if found is None:
            raise InfrastructureError(
                f"host {self.name}: unexpected answer to {command!r}: "
                f"{_one_line(said.stdout or said.stderr) or 'nothing'!r}"
            )
        return found

    def _unanswered(self, command: str, timeout: float, end: float) -> InfrastructureError:
        # The clock tells: a command that is given up may look to fabric like a connection that
        # ends, when its timer's thread is slow.
        late = time.monotonic() >= end
        why = f" within {timeout:.0f} s" if late else f": {self._lost_connection()}"
        return self.declare_lost(f"{command!r} got no answer{why}")

    def attempt(self, command: str) -> bool:
        return self.run(command, check=False).status == 0

    def put(self, local: Path) -> str:
        digest = file_sha256(local)
        remote = f"{self.root}/files/{digest[:16]}/{local.name}"
        if remote in self._compared:
            return remote
        if not upload.there(self, digest, remote):
            upload.send(self, local, digest, remote)
            self.uploads += 1
        self._compared.add(remote)
        return remote

    def start(self, argv: Sequence[str], name: str, *, terminal: bool = True) -> Program:
        self._require_connection()
        try:
            channel = self._lasting_session()
            if terminal:
                channel.get_pty(term="dumb", width=200, height=50)
            else:
                channel.set_combine_stderr(True)
            channel.exec_command(line(self._as_root(argv, terminal)))
        except _UNREACHABLE as error:
            raise self.declare_lost(f"could not start {argv[0]}: {_told(error)}") from error
        transcript = self._transcripts / f"{self.name}-{name}.log"
        console = Console.of_channel(channel, name, transcript, self._connected)
        if self._sudo:
            self._sudo.let_in(console, self.name)
        return Program(console)

    def _lasting_session(self) -> paramiko.Channel:
        """One for a program that stays. Commands and files need one beside it: where the server
        gives a connection no more (sshd's MaxSessions), the program has its own connection."""
        channel = self.connection.create_session()
        try:
            self.connection.transport.open_session().close()
        except paramiko.ChannelException:
            channel.close()
            own = self.connection.again()
            self._further.append(own)
            self._open(own, _LOGIN_SECONDS)
            channel = own.transport.open_session()
        return channel

    def _connected(self) -> None:
        """Raise if the connection is lost, for which the host is asked now and then."""
        self.require_alive()
        if time.monotonic() > self._asked + _LOST_SECONDS:
            alive, self._asked = self._answers(), time.monotonic()
        else:
            alive = self.connection.is_connected
        if not alive:
            raise self.declare_lost(self._lost_connection())

    def reboot(self, timeout: float) -> None:
        before = self.boot_id()
        end = time.monotonic() + timeout
        self.run("(sleep 1; reboot -f) >/dev/null 2>&1 &", check=False)
        self._hang_up()
        while time.monotonic() < end:
            self.require_alive()
            try:
                self.connect(min(10.0, max(1.0, end - time.monotonic())))
                if self.boot_id() != before:
                    return
            except HarnessError:
                pass
            self._hang_up()
            time.sleep(0.5)
        raise InfrastructureError(
            f"host {self.name} did not come back with a new boot_id within {timeout:.0f} s"
        )

    def give_up(self, cause: str) -> None:
        """Let go of the host for `cause`: whatever is asked of it from now on fails with that."""
        self._cause = self._cause or cause
        self._hang_up()

    def close(self) -> None:
        self._hang_up()

    def _hang_up(self) -> None:
        self._cause = self._cause or "hung up here"
        for connection in (*self._further, self.connection):
            connection.close()
        self._further.clear()

    def boot_id(self) -> str:
        """The kernel's name of this boot."""
        return self.run("cat /proc/sys/kernel/random/boot_id").stdout.strip()

    def _as_root(self, argv: Sequence[str], terminal: bool) -> str:
        """The command that becomes `argv`, as root."""
        if self.guard:
            argv = ["sh", "-c", self.guard.before('exec "$0" "$@"'), *argv]
        words = self._sudo.program(argv, terminal=terminal) if self._sudo else shlex.join(argv)
        return f"exec {words}"
