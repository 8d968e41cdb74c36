# SPDX-License-Identifier: MIT
"""Takes a server from its users for a while: who objects, and who is told.

An inhibitor's no is final, and so is that of a package manager at work, which must not be
interrupted.
"""

import json
import shlex
import time

from harness.errors import InfrastructureError
from harness.machine.host.fabric_host import FabricHost
from harness.model.inventory import SshHostSpec

_INHIBITORS = (
    "busctl --json=short call org.freedesktop.login1 /org/freedesktop/login1 "
    "org.freedesktop.login1.Manager ListInhibitors 2>/dev/null"
)
# Files that package managers lock, and pacman's, which is there or not. The kernel's list of locks
# names inodes, of which every file system has its own: so who holds one must have the file open.
_LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/rpm/.rpm.lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
)
_PACMAN = "/var/lib/pacman/db.lck"
_AT_WORK = r"""for file in {locks}; do
inode=$(stat -c %i "$file" 2>/dev/null) || continue
sed -n "s/^[0-9]*: .* WRITE *\(-*[0-9]*\) [0-9a-f]*:[0-9a-f]*:$inode .*/\1/p" /proc/locks |
while read -r pid; do
readlink /proc/"$pid"/fd/* | grep -qxF "$file" && echo "$(cat "/proc/$pid/comm") $pid $file"; done
done; test ! -e {pacman} || echo pacman ? {pacman}"""
_POLL_SECONDS = 5


def require_consent(host: FabricHost) -> None:
    """Raise InfrastructureError, with who and why, if something there wants no reboot now."""
    reasons = [*_inhibitors(host), *_package_managers(host, _LOCKS)]
    if reasons:
        raise InfrastructureError(
            f"host {host.name} is not to be restarted now: {'; '.join(reasons)}. Repeat the "
            "command when that is over"
        )


def _inhibitors(host: FabricHost) -> list[str]:
    """Those of systemd that block a shutdown."""
    said = host.run(_INHIBITORS, check=False).stdout
    try:
        rows = json.loads(said)["data"][0]
        return [
            f"{who} (process {pid}, user {uid}) inhibits it: {why}"
            for what, who, why, mode, uid, pid in rows
            if "shutdown" in what.split(":") and mode.startswith("block")
        ]
    except (ValueError, LookupError, TypeError):  # no systemd there, or an older one
        return []


def _package_managers(host: FabricHost, locks: tuple[str, ...]) -> list[str]:
    """Those that are at work."""
    script = _AT_WORK.format(locks=shlex.join(locks), pacman=_PACMAN)
    rows = (line.split(None, 2) for line in host.run(script, check=False).stdout.splitlines())
    return list(
        dict.fromkeys(
            f"{row[0]} (process {row[1]}) is changing packages" for row in rows if len(row) == 3
        )
    )


def announce(host: FabricHost, spec: SshHostSpec) -> None:
    """Tell those who are logged in that the server goes down, and wait for them to leave, for
    `notice` seconds at most."""
    minutes = -(-(spec.notice + 60) // 60)
    _wall(
        host,
        f"This server restarts within {minutes} min for measurements with the NEVE "
        "harness (one kernel from memory), and is back in its own kernel after them. "
        "Please save your work.",
    )
    end = time.monotonic() + spec.notice
    while (left := end - time.monotonic()) > 0 and _others(host):
        time.sleep(min(_POLL_SECONDS, left))


def _wall(host: FabricHost, text: str) -> None:
    host.run(f"printf '%s\\n' {shlex.quote(text)} | wall", check=False)


def _others(host: FabricHost) -> bool:
    """Whether somebody else is logged in at a terminal."""
    who = host.run("who", check=False).stdout.splitlines()
    return any(line.split()[:1] != [host.connection.user] for line in who if line.strip())
