# SPDX-License-Identifier: MIT
"""A kernel of ours on a server, for once: started by kexec with a root in memory.

Nothing of it is on the server's disk but below our folder, and any reset ends it: the server's
firmware then starts the server's own kernel. It resets by itself when it panics, and when nobody
has been logged in for a while. It has the server's own host keys, which never leave the server,
so what answers is proved to be the server in either kernel.
"""

import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.console import Console
from harness.deadline import Deadline
from harness.errors import (
    DeniedError,
    HarnessError,
    InfrastructureError,
    NotRootError,
    UnknownAddressError,
    UnreachableError,
    UntrustedError,
    UserError,
)
from harness.host import ssh
from harness.host.fabric_host import FabricHost
from harness.host.keys import authorized_line, paramiko_key
from harness.host.lock import Busy, Record, locked
from harness.host.network import network_of
from harness.host.sudo import Sudo
from harness.image.server_tools import BUSYBOX, KEXEC, LOADER
from harness.inventory import SshHostSpec
from harness.process import run

MARKER = "deployed.json"
_OURS = "neve.level=l0"
_ATTEMPT_SECONDS = 15.0
_SETTLE_SECONDS = 60.0  # in which the run that has booted L0 logs in
_POWER_SECONDS = 120.0
_SESSIONS = 'netstat -tn | grep -c ":${SSH_CONNECTION##* } .*ESTABLISHED"'


@dataclass(frozen=True)
class OneShot:
    """What boots. `files` are found by `put` in L0 too; `version` is the kernel's; `tools` are
    an archive of programs for the server."""

    kernel: Path
    version: str
    initramfs: Path
    arguments: tuple[str, ...]
    files: tuple[Path, ...]
    tools: Path


class _Watched(FabricHost):
    """L0, whose death its console shows."""

    witness: Console | None = None

    def healthy(self) -> None:
        if self.witness:
            self.witness.check()


class Server:
    """A server with two kernels: its own, and ours."""

    def __init__(self, spec: SshHostSpec, transcripts: Path) -> None:
        self._spec = spec
        self._transcripts = transcripts
        self._release: str | None = None
        self._console: Console | None = None

    @contextmanager
    def own_kernel(self, wait: float, *, deployed: bool = False) -> Iterator[FabricHost]:
        """The server in its own kernel, locked for us; it must be `deployed` if that is said.

        One that was left in ours is given back first. Raises Busy while another run has it,
        UnreachableError if it does not let us in, else InfrastructureError.
        """
        host, abandoned = self._enter(wait)
        try:
            if deployed:
                _require_deployed(host)
            with locked(host, wait, abandoned) as lock:
                yield host
                lock.release(host)
        finally:
            host.close()

    @contextmanager
    def one_shot(self, boot: OneShot, wait: float) -> Iterator[FabricHost]:
        """L0: our kernel, for as long as the context lasts. Raises as `own_kernel` does."""
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
                    lock.release(host)
                    self._verify(host)
                finally:
                    host.close()

    def _enter(self, wait: float) -> tuple[FabricHost, str | None]:
        """The server in its own kernel, and the token of a run that left it in ours."""
        deadline = Deadline(self._spec.boot_seconds, "it")  # it may be in the middle of a boot
        while True:
            try:
                host, ours = self._open()
                break
            except (UnreachableError, InfrastructureError) as error:
                if isinstance(error, DeniedError | UntrustedError | UnknownAddressError):
                    raise
                if deadline.passed:
                    return self._await_own(Deadline(0, "it")), None
                time.sleep(1)
        if not ours:
            return _as_root(host, self._spec), None
        record = Record.parse(host.run(f"cat {host.root}/lock", check=False).stdout)
        end = time.monotonic() + wait
        while (others := _others(host)) or _settling(host):
            # A boot that nobody claims is over within a minute: that is worth waiting for.
            if others and time.monotonic() > end:
                host.close()
                raise Busy(f"host {host.name} is in use by {record or 'somebody'}; "
                           "--wait SECONDS waits")
            time.sleep(min(5.0, max(1.0, end - time.monotonic())))
        self._reset(host)
        own = self._await_own(Deadline(self._spec.boot_seconds, "its own kernel"))
        return own, record.token if record else None

    def _open(self) -> tuple[FabricHost, bool]:
        """The server as it is just now, and whether that is in our kernel."""
        host = ssh.server(self._spec, self._transcripts)
        try:
            host.open(_ATTEMPT_SECONDS)
            return host, _in_ours(host)
        except HarnessError:
            host.close()
            raise

    def _boot(self, host: FabricHost, boot: OneShot) -> FabricHost:
        key, token = Ed25519PrivateKey.generate(), secrets.token_hex(8)
        boot_id = host.boot_id()
        kexec = _load(host, boot, self._spec, key, token)
        if self._console:
            self._console.forget()
        with suppress(InfrastructureError):  # the connection may go before the answer comes
            host.run("systemctl kexec --no-block || { sync; echo u > /proc/sysrq-trigger; "
                     f"{kexec} -e; }}", timeout=30)
        deadline = Deadline(self._spec.boot_seconds, f"Linux {boot.version}")
        return self._await_ours(key, token, boot, boot_id, deadline)

    def _await_ours(
        self, key: Ed25519PrivateKey, token: str, boot: OneShot, before: str, deadline: Deadline
    ) -> FabricHost:
        connection = ssh.connection(self._spec)
        connection.connect_kwargs = {
            "pkey": paramiko_key(key), "look_for_keys": False, "allow_agent": False,
        }
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
        raise InfrastructureError(
            f"host {l0.name}: gave up waiting for {deadline.awaited} after "
            f"{deadline.seconds:.0f} s: {cause}{self._tail()}"
        )

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

        Raises InfrastructureError with the console's last lines.
        """
        try:
            return self._own_until(deadline)
        except InfrastructureError:
            if not self._spec.power_cycle:
                raise
        run(shlex.split(self._spec.power_cycle), timeout=_POWER_SECONDS)
        return self._own_until(Deadline(self._spec.boot_seconds, "it after a power cycle"))

    def _own_until(self, deadline: Deadline) -> FabricHost:
        cause = ""
        while True:
            try:
                host, ours = self._open()
                if not ours:
                    return _as_root(host, self._spec)
                self._reset(host)
                cause = "it stays in our kernel"
            except (UntrustedError, NotRootError):
                raise
            except (UnreachableError, InfrastructureError) as error:
                cause = str(error)
            if deadline.passed:
                raise InfrastructureError(
                    f"host {self._spec.name}: gave up waiting for {deadline.awaited} after "
                    f"{deadline.seconds:.0f} s: {cause}{self._tail()}"
                )
            time.sleep(1)

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
            shlex.split(self._spec.console), "console",
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


def _as_root(host: FabricHost, spec: SshHostSpec) -> FabricHost:
    try:
        host.become_root(Sudo.of(spec))
    except HarnessError:
        host.close()
        raise
    return host


def _require_deployed(host: FabricHost) -> None:
    if not host.attempt(f"test -f {host.root}/{MARKER}"):
        host.close()
        raise UserError(f"host {host.name} is not prepared: neve deploy")


def _in_ours(host: FabricHost) -> bool:
    return _OURS in host.run("cat /proc/cmdline", root=False).stdout


def _others(host: FabricHost) -> bool:
    """Whether another run is logged in to L0."""
    return int(host.run(_SESSIONS).stdout) > 1


def _settling(host: FabricHost) -> bool:
    """Whether the run that booted L0 may be about to log in."""
    return float(host.run("cut -d' ' -f1 /proc/uptime").stdout) < _SETTLE_SECONDS


def _load(
    host: FabricHost, boot: OneShot, spec: SshHostSpec, key: Ed25519PrivateKey, token: str
) -> str:
    """Put kernel and root file system into the server's memory; the command of its kexec.

    L0's root is ours, and behind it what belongs to this server and to this boot: its host keys,
    who may log in, whose lock it is, and our files.
    """
    kernel, root = host.put(boot.kernel), host.put(boot.initramfs)
    files = [host.put(file) for file in boot.files]
    tools = _unpacked(host, boot.tools)
    folder = f"{host.root}/boot"
    home = f"$(getent passwd {shlex.quote(spec.user)} | cut -d: -f6)"
    users = "".join(f"{name}::0:0::/root:/bin/sh\n" for name in dict.fromkeys(["root", spec.user]))
    wanted = [*files, f"{host.root}/lock"]
    parents = sorted({str(parent)[1:] for file in (*wanted, "/etc/ssh/x")
                      for parent in Path(file).parents} - {""})
    names = " ".join(shlex.quote(name) for name in [*parents, *(file[1:] for file in wanted)])
    pack = f"{tools}/{BUSYBOX} cpio -o -H newc"
    host.run(
        f"umask 077; rm -rf {folder}; mkdir -p {folder}/tree/etc {folder}/tree/root/.ssh && "
        f"cd {folder}/tree && printf %s {shlex.quote(users)} > etc/passwd && "
        f"{{ printf %s {shlex.quote(authorized_line(key).decode())}; "
        f"cat {home}/.ssh/authorized_keys 2>/dev/null; }} > root/.ssh/authorized_keys; "
        f"{{ cat {root} && cd / && {{ printf '%s\n' {names}; ls etc/ssh/ssh_host_*_key; }} "
        f"| {pack} && cd {folder}/tree && find . | {pack}; }} > {folder}/initrd",
        timeout=300,
    )
    consoles = [word for word in host.run("cat /proc/cmdline").stdout.split()
                if word.startswith(("console=", "earlycon"))]
    line = " ".join([
        *boot.arguments, *consoles, network_of(host).argument(), f"neve.boot={token}",
        f"neve.silence={spec.silence}", *_isolation(spec), *_without_lpis(host),
    ])
    try:
        host.run(
            f"{_kexec(tools)} -a -l {kernel} --initrd={folder}/initrd "
            f"--command-line={shlex.quote(line)}", timeout=300,
        )
    finally:
        host.run(f"rm -rf {folder}", check=False)
    return _kexec(tools)


def _unpacked(host: FabricHost, tools: Path) -> str:
    """The folder of the programs of ours on the server; whole, or not there."""
    archive = host.put(tools)
    folder = f"{archive.rpartition('/')[0]}/root"
    host.run(
        f"test -d {folder} || {{ rm -rf {folder}.new && mkdir {folder}.new && "
        f"tar -xf {archive} -C {folder}.new && mv {folder}.new {folder}; }}", timeout=120,
    )
    return folder


def _kexec(tools: str) -> str:
    """kexec with its own loader and libraries, so the distribution does not matter."""
    return f"{tools}/{LOADER} --library-path $(echo {tools}/usr/lib/*-linux-gnu) {tools}/{KEXEC}"


def _without_lpis(host: FabricHost) -> list[str]:
    """The server's kernel has given its GICv3 a table of LPIs. Where firmware can't say so to the
    next kernel, kexec may put our root there, and our driver of LPIs would reset it: a hole of 64
    KiB, in the VMM for one."""
    return [] if host.attempt("test -d /sys/firmware/efi") else ["irqchip.gicv3_nolpi=1"]


def _isolation(spec: SshHostSpec) -> list[str]:
    """Keeps everything but guests off their CPUs. No nohz_full: what it does at each entry into
    the kernel would be measured."""
    return [f"isolcpus={spec.cpus}"] if spec.cpus else []
