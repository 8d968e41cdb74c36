# SPDX-License-Identifier: MIT
"""One run per server at a time, whoever starts it, from wherever, and whatever folder it has there.

The lock is a file on the server, root's alone, that says whose it is. A process of ours holds it
with flock(2) for as long as the run gives signs of life; so does every command of the run, which
starts only if the file still names the run. Whoever comes next can take the lock only if no such
process holds the file. If a run is silent, the process ends its connection, and with it its
programs.

The process does not survive a boot, the file does: a run that reboots the server has a while to
come back before the lock counts as left behind.
"""

import getpass
import json
import os
import re
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from harness.deadline import Deadline
from harness.errors import Busy, GuestError, InfrastructureError
from harness.machine.console import Program
from harness.machine.host import folder
from harness.machine.host.fabric_host import FabricHost
from harness.machine.host.protocol import Completed
from harness.machine.host.tuning import RESTORE
from harness.model.document import Model

LOCK = f"{folder.STATE}/lock"
_GRACE_SECONDS = 300  # after a boot, in which who started it comes back
_BEAT_SECONDS = 15
_SILENCE_SECONDS = 75  # without a sign of life the run is over
_POLL_SECONDS = 5
_BUSY = 9
_REFUSED = 76
_SILENT = "@@silent"
_STATE = r"([0-9a-f-]{36})\n(\d+\.\d+) \d+\.\d+\n((?s:.*))"
# Taken for us alone, and then shared with our commands. The file may be another one by then, if
# somebody has cleared the server in between.
_TAKE = """umask 077
exec 9>>{file} || exit 2
flock -xn 9
case $? in 0) ;; 1) exit {busy} ;; *) exit 2 ;; esac
[ {file} -ef /proc/self/fd/9 ] || exit {busy}
printf '%s\\n' {record} >{file} && flock -sn 9 || exit {busy}
trap '' HUP PIPE
echo @@held-{token}
while :; do
	beat=$(timeout {silence} dd bs=1 count=1 2>/dev/null)
	silent=$?
	[ "$beat" ] || break
done
"""
# A silent run loses its connection, and whatever else of it goes on: it has descriptor 8.
_END = """if [ $silent -ne 0 ]; then
	echo {silent}; sleep 1
	process=$$
	while process=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$process/status") && [ "$process" -gt 1 ]
	do
		read -r name <"/proc/$process/comm"
		case $name in sshd*|dropbear*) kill "$process"; break ;; esac
	done
fi
for signal in TERM KILL; do
	left=
	for process in /proc/[0-9]*; do
		[ "$process/fd/8" -ef {file} ] && kill -$signal "${{process#/proc/}}" && left=1
	done
	[ -z "$left" ] || sleep 1
done
"""
_BEFORE = """[ -r {file} ] && exec 8<{file} && flock -sn 8 && read -r now <&8 && case $now in
*{token}*) ;; *) false ;; esac || {{ echo "@@lost-{token} $now" >&2; exit {refused}; }}
"""


def _shown(text: str) -> str:
    """What a terminal may be given."""
    if not text.isprintable():
        raise ValueError("not printable")
    return text


_Text = Annotated[str, Field(max_length=200), AfterValidator(_shown)]


class Record(Model):
    """Whose lock it is, since when (UTC), and the boot in which it was taken."""

    owner: _Text
    since: _Text
    token: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    boot_id: _Text

    @classmethod
    def ours(cls, boot_id: str) -> "Record":
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(owner=_ourselves(), since=since, token=secrets.token_hex(8), boot_id=boot_id)

    @classmethod
    def parse(cls, text: str) -> "Record | None":
        """None unless the text is a complete record written by this harness."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None

    def __str__(self) -> str:
        return f"{self.owner} since {self.since}"


def _ourselves() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not be in its passwd
        user = f"uid {os.getuid()}"
    name = f"{user}@{socket.gethostname()}"
    return "".join(each if each.isprintable() else "?" for each in name)[:200]


class HostLock:
    """The lock of one host, and the guard of what runs there; `abandoned` is the token of a record
    whose owner is gone."""

    def __init__(self, name: str, abandoned: str | None = None) -> None:
        self._name = name
        self._abandoned = abandoned
        self._host: FabricHost | None = None
        self._program: Program | None = None
        self._token = ""
        self._stop = threading.Event()
        self._reading = threading.Lock()  # what the program says: the beat asks, and who waits

    def acquire(self, host: FabricHost, wait: float) -> None:
        """Take it, waiting up to `wait` seconds, or until it counts as left behind. Raises Busy,
        and UserError where others than root could take it."""
        end = time.monotonic() + wait
        while True:
            folder.make(host, folder.STATE)
            boot_id, uptime, text = host.read(
                "cat /proc/sys/kernel/random/boot_id /proc/uptime; "
                f"head -c 4096 {LOCK} 2>/dev/null",
                _STATE,
            ).groups()
            found = Record.parse(text)
            left = self._grace(found, boot_id, float(uptime))
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
        if (
            found is None
            or found.boot_id == boot_id
            or found.token in (self._abandoned, self._token)
        ):
            return 0
        return max(0.0, _GRACE_SECONDS - uptime)

    def _hold(self, host: FabricHost, record: Record) -> bool:
        script = (
            _TAKE.format(
                file=LOCK,
                record=shlex.quote(json.dumps(record.model_dump())),
                busy=_BUSY,
                token=record.token,
                silence=_SILENCE_SECONDS,
            )
            + _END.format(file=LOCK, silent=_SILENT)
            + RESTORE
        )
        program = host.start(["sh", "-c", script], "lock", terminal=False)
        try:
            program.expect(f"@@held-{record.token}", Deadline(60, "the lock"))
        except GuestError:
            status = program.wait(Deadline(10, "its end"))
            program.hang_up()
            if status == _BUSY:
                return False
            said = program.console.tail().rpartition("\n")[2]
            raise InfrastructureError(
                f"host {self._name}: the lock can't be taken: {said or f'status {status}'}"
            ) from None
        self._host, self._program, self._token = host, program, record.token
        self._stop = threading.Event()
        host.guard = self
        threading.Thread(
            target=self._beat, args=(host, program, self._stop), name="lock", daemon=True
        ).start()
        return True

    def _beat(self, host: FabricHost, program: Program, stop: threading.Event) -> None:
        while not stop.wait(_BEAT_SECONDS):
            try:
                program.send(".")
            except GuestError:
                if not stop.is_set():
                    host.give_up(self.loss() or "what holds the lock there has ended")
                return

    def before(self, command: str) -> str:
        return _BEFORE.format(file=LOCK, token=self._token, refused=_REFUSED) + command

    def refusal(self, done: Completed) -> str | None:
        found = re.search(f"@@lost-{self._token} (.*)", done.stderr)
        if done.status != _REFUSED or found is None:
            return None
        return f"the lock is lost: {Record.parse(found[1]) or 'nobody'} has it now"

    def loss(self) -> str:
        if self._program is None:
            return ""
        with self._reading:
            with suppress(GuestError):
                self._program.console.check()
            silent = _SILENT in self._program.console.tail()
        return f"the lock is lost: no sign of life for {_SILENCE_SECONDS} s" if silent else ""

    def let_go(self) -> None:
        """End the process that holds it, if a boot has not done so; the record stays."""
        self._stop.set()
        if self._host is not None:
            self._host.guard, self._host = None, None
        if self._program is not None:
            self._program.hang_up()
            self._program = None

    def release(self) -> None:
        """Give it up, if we have it. The file stays: there would be two locks where others have the
        one that is removed open. Raises InfrastructureError if it was lost."""
        if (host := self._host) is None:
            return
        host.guard = None
        # As a command of ours, but for a server that has been cleared by us.
        done = host.run(f"[ ! -e {LOCK} ] || {{\n{self.before(f': >{LOCK}')}\n}}", check=False)
        if why := self.refusal(done):
            raise InfrastructureError(f"host {self._name}: {why}")
        self.let_go()


@contextmanager
def locked(host: FabricHost, wait: float, abandoned: str | None = None) -> Iterator[HostLock]:
    """Hold the lock of `host`, whose folder is root's alone then; what comes back from a boot must
    take it again by itself."""
    lock = HostLock(host.name, abandoned)
    lock.acquire(host, wait)
    try:
        folder.make(host, host.root)
        yield lock
        lock.release()
    finally:
        lock.let_go()
