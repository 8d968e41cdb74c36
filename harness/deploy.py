# SPDX-License-Identifier: MIT
"""Prepares a server for one-shot boots, and clears it again. All of it is one folder there."""

import json
import shlex
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from harness import __version__
from harness.errors import UserError
from harness.host.fabric_host import FabricHost
from harness.host.launch import OneShot
from harness.host.server import MARKER

# What may lie there before the marker does: an upload that was cut off.
_BEGINNINGS = {"lock", "incoming", "store", "boot"}


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
    record = {"harness": __version__, "deployed": datetime.now(UTC).isoformat(timespec="seconds")}
    host.run(f"printf '%s\\n' {shlex.quote(json.dumps(record))} > {root}/.{MARKER} && "
             f"mv {root}/.{MARKER} {root}/{MARKER}")
    return sent


def undeploy(host: FabricHost) -> None:
    """Remove the folder, if there is one. Raises UserError if it is not ours."""
    _require_ours(host)
    host.run(f"rm -rf {shlex.quote(host.root)}", timeout=300)


def _require_ours(host: FabricHost) -> None:
    root = shlex.quote(host.root)
    if host.attempt(f"test -f {root}/{MARKER}"):
        return
    present = set(host.run(f"ls -A {root} 2>/dev/null", check=False).stdout.split())
    if present - _BEGINNINGS:
        raise UserError(f"host {host.name}: {host.root} exists and is not ours: "
                        f"{', '.join(sorted(present))}; choose another `root`")


def files_of(boot: OneShot) -> list[Path]:
    """All that `boot` needs on the server."""
    return [boot.tools, boot.kernel, boot.initramfs, *boot.files]
