# SPDX-License-Identifier: MIT
"""Prepares a server for one-shot boots, and clears it again. All of it is one folder there."""

import json
import shlex
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import InfrastructureError, UserError
from harness.machine.host.fabric_host import FabricHost
from harness.machine.host.folder import STATE
from harness.machine.host.launch import OneShot
from harness.machine.host.server import MARKER
from harness.machine.host.tuning import RESTORE
from harness.version import release

# What may lie there before the marker does: an upload that was cut off, what a lock needs.
_BEGINNINGS = {"boot", "files", "governors", "incoming", "lock", "tools"}


def deploy(host: FabricHost, files: Iterable[Path]) -> list[str]:
    """Send what is not there yet; the names of what was sent.

    Raises UserError if the folder holds what is not ours, InfrastructureError for a full disk.
    """
    _require_ours(host)
    root = shlex.quote(host.root)
    sent = []
    for file in files:
        before = host.uploads
        host.put(file)
        if host.uploads > before:
            sent.append(file.name)
    record = {"harness": release(), "deployed": datetime.now(UTC).isoformat(timespec="seconds")}
    host.run(
        f"printf '%s\\n' {shlex.quote(json.dumps(record))} > {root}/.{MARKER} && "
        f"mv {root}/.{MARKER} {root}/{MARKER}"
    )
    return sent


def undeploy(host: FabricHost) -> None:
    """Remove all that is ours, if there is anything, and set right what a killed run has not.

    Raises UserError if the folder is not ours, InfrastructureError if something is left.
    """
    _require_ours(host)
    host.run(RESTORE)
    # The lock goes last, with its folder if it has one of its own.
    root = shlex.quote(host.root)
    done = host.run(
        f'rm -rf {root}; [ "$(ls -A {STATE})" != lock ] || rm -rf {STATE}; find {root} 2>/dev/null',
        timeout=300,
        check=False,
    )
    if done.stdout:
        first, *more = done.stdout.splitlines()
        raise InfrastructureError(
            f"host {host.name}: {first} is still there{f', and {len(more)} more' if more else ''}: "
            f"{done.stderr.partition(chr(10))[0]}"
        )


def _require_ours(host: FabricHost) -> None:
    root = shlex.quote(host.root)
    if host.attempt(f"test -f {root}/{MARKER}"):
        return
    present = set(host.run(f"ls -A {root} 2>/dev/null", check=False).stdout.split())
    if present - _BEGINNINGS:
        raise UserError(
            f"host {host.name}: {host.root} exists and is not ours: "
            f"{', '.join(sorted(present))}; choose another `root`"
        )


def files_of(boot: OneShot) -> list[Path]:
    """All that `boot` needs on the server."""
    return [boot.tools, boot.kernel, boot.initramfs, *boot.files]
