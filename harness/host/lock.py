# SPDX-License-Identifier: MIT
"""One run per host at a time, whoever starts it and wherever.

The lock is on the server: a file that a process of ours there holds with flock(2), for as long
as its SSH session lives and sends a sign of life. What stands in the file says whose it is. The
process does not survive a boot, the file does: a run that reboots the server has a while to come
back before the lock counts as left behind.
"""

import getpass
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field, ValidationError

from harness.console import Program
from harness.deadline import Deadline
from harness.document import Model
from harness.errors import GuestError, InfrastructureError
from harness.host.fabric_host import FabricHost

_GRACE_SECONDS = 300   # after a boot, in which who started it comes back
_BEAT_SECONDS = 15
_SILENCE_SECONDS = 75  # without a sign of life the process gives up
_POLL_SECONDS = 5
# Exit status 9: somebody else has it. The record is written while the lock is held.
_HOLD = """exec 9>>{file}; flock -n 9 || exit 9
printf '%s\\n' {record} > {file}
stty -echo; echo @@he""ld
while timeout --foreground {silence} dd bs=1 count=1 2>/dev/null | grep -q .; do :; done"""


_Text = Annotated[str, Field(pattern=r"^[ -~]*$", max_length=200)]


class Record(Model):
    """Whose lock it is, since when (UTC), and the boot in which it was taken."""

    owner: _Text
    since: _Text
    token: _Text
    boot_id: _Text

    @classmethod
    def ours(cls, boot_id: str) -> "Record":
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(owner=f"{getpass.getuser()}@{socket.gethostname()}", since=since,
                   token=secrets.token_hex(8), boot_id=boot_id)

    @classmethod
    def parse(cls, text: str) -> "Record | None":
        """None for what no run of ours has written whole."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None

    def __str__(self) -> str:
        return f"{self.owner} since {self.since}"


class Busy(InfrastructureError):
    """Somebody else measures on the host. Exit code 75."""


class HostLock:
    """The lock of one host; `abandoned` is the token of a record whose owner is gone."""

    def __init__(self, name: str, file: str, abandoned: str | None = None) -> None:
        self._name = name
        self._file = file
        self._abandoned = abandoned
        self._program: Program | None = None
        self._token = ""
        self._stop = threading.Event()

    def acquire(self, host: FabricHost, wait: float) -> None:
        """Take it, waiting up to `wait` seconds, or until it counts as left behind. Raises Busy."""
        end = time.monotonic() + wait
        while True:
            boot_id, uptime, *text = host.run(
                f"cat /proc/sys/kernel/random/boot_id /proc/uptime {self._file} 2>/dev/null",
                check=False,
            ).stdout.splitlines()
            found = Record.parse("".join(text))
            left = self._grace(found, boot_id, float(uptime.split()[0]))
            if not left and self._hold(host, Record.ours(boot_id)):
                return
            # A lock without a holder falls free in any case: that is worth waiting for.
            if not left and time.monotonic() > end:
                raise Busy(
                    f"host {self._name} is in use by {found or 'somebody'}; --wait SECONDS waits"
                )
            time.sleep(min(_POLL_SECONDS, left or _POLL_SECONDS))

    def _grace(self, found: Record | None, boot_id: str, uptime: float) -> float:
        """Seconds for which the owner of `found` may still come back from a boot."""
        if found is None or found.boot_id == boot_id or found.token == self._abandoned:
            return 0
        return max(0.0, _GRACE_SECONDS - uptime)

    def _hold(self, host: FabricHost, record: Record) -> bool:
        script = _HOLD.format(
            file=shlex.quote(self._file), record=shlex.quote(record.model_dump_json()),
            silence=_SILENCE_SECONDS,
        )
        host.run(f"umask 022; mkdir -p {shlex.quote(self._file.rpartition('/')[0])}")
        program = host.start(["sh", "-c", script], "lock")
        try:
            program.expect("@@held", Deadline(60, "the lock"))
        except GuestError:
            status = program.wait(Deadline(10, "its end"))
            program.hang_up()
            if status == 9:
                return False
            raise InfrastructureError(f"host {self._name}: the lock ended with {status}") from None
        self._program, self._token = program, record.token
        self._stop = threading.Event()
        threading.Thread(
            target=_beat, args=(program, self._stop), name="lock", daemon=True
        ).start()
        return True

    def let_go(self) -> None:
        """End the process that holds it, if a boot has not done so; the record stays."""
        self._stop.set()
        if self._program is not None:
            self._program.hang_up()
            self._program = None

    def release(self, host: FabricHost) -> None:
        """Give it up, if it is still ours. The file stays: to remove one that others have open
        would make two locks."""
        file = shlex.quote(self._file)
        host.run(f"grep -qs {self._token} {file} && : > {file}", check=False)
        self.let_go()


def _beat(program: Program, stop: threading.Event) -> None:
    while not stop.wait(_BEAT_SECONDS):
        try:
            program.send("\n")
        except GuestError:
            return


@contextmanager
def locked(host: FabricHost, wait: float, abandoned: str | None = None) -> Iterator[HostLock]:
    """Hold the lock of `host`; what comes back from a boot must take it again by itself."""
    lock = HostLock(host.name, f"{host.root}/lock", abandoned)
    lock.acquire(host, wait)
    try:
        yield lock
    finally:
        lock.let_go()
