# SPDX-License-Identifier: MIT
"""A server that is measured with the kernel that it runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.deadline import Deadline
from harness.errors import Busy, HarnessError, UnreachableError
from harness.machine.host import folder, ssh
from harness.machine.host.fabric_host import FabricHost
from harness.machine.host.lock import LOCK, Record
from harness.machine.host.server import in_ours
from harness.machine.host.sudo import Sudo
from harness.model.inventory import SshHostSpec

_POLL_SECONDS = 5.0


@contextmanager
def as_it_is(spec: SshHostSpec, transcripts: Path, wait: float) -> Iterator[FabricHost]:
    """The server of `spec`, connected; while another run has it in a kernel of ours, we wait up to
    `wait` seconds.

    Users other than root need sudo. Raises UnreachableError if the host can't be reached, Busy if
    another run has it, UserError if others than root could change our folder there.
    """
    host = _in_its_own(spec, transcripts, Deadline(wait, "another run"))
    try:
        host.become_root(Sudo.of(spec, host.connection.user))
        for path in (folder.STATE, host.root):
            folder.examine(host, path)
        yield host
    finally:
        host.close()


def _in_its_own(spec: SshHostSpec, transcripts: Path, busy: Deadline) -> FabricHost:
    back = Deadline(0, "its own kernel")  # for which a server is silent that was in use
    while True:
        host = ssh.server(spec, transcripts)
        try:
            ssh.open_patiently(host)
            if not in_ours(host):
                return host
            record = Record.parse(host.run(f"cat {LOCK}", check=False).stdout)
            raise Busy(
                f"host {spec.name} is in use by {record or 'a run that has booted it'}; "
                "--wait SECONDS waits"
            )
        except HarnessError as error:
            host.close()
            if isinstance(error, Busy) and not busy.passed:
                back = Deadline(spec.boot_seconds, back.awaited)
            elif type(error) is not UnreachableError or back.passed:
                raise
        time.sleep(min(_POLL_SECONDS, max(1.0, busy.left)))
