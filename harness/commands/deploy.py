# SPDX-License-Identifier: MIT
"""`neve deploy` and `neve undeploy`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.build.artifacts import build_all
from harness.cache import Cache
from harness.errors import HarnessError, UserError
from harness.finding import Finding
from harness.machine import levels
from harness.machine.host.as_it_is import as_it_is
from harness.machine.host.deploy import deploy, files_of, undeploy
from harness.machine.host.examination import server_findings
from harness.machine.host.fabric_host import FabricHost
from harness.machine.host.lock import locked
from harness.machine.host.server import Server
from harness.model.inventory import Inventory, SshHostSpec, parse_address
from harness.model.playbook import load
from harness.model.setup import Setup
from harness.process import explain
from harness.progress import Progress


def deploy_all(
    inventory: Path, names: Sequence[str], playbooks: Sequence[Path], wait: float
) -> tuple[dict[str, list[Finding]], list[HarnessError]]:
    """Examine the servers, and send what the playbooks boot; {host: findings}, and the errors of
    those that failed, which stop no other.

    Nothing is sent to a server that can't run an L0 at all. Raises UserError for the inventory
    and the playbooks.
    """
    cache, progress = Cache.default(), Progress()
    lab = Inventory.load(inventory)
    chosen = lab.select(names)
    setups = [Setup.of(load(path, lab)) for path in playbooks]
    said: dict[str, list[Finding]] = {}

    def deploy_one(spec: SshHostSpec) -> None:
        with Server(spec, _transcripts(cache)).vendor_kernel(wait) as host:
            with progress.stage(f"{spec.name}: examine"):
                said[spec.name] = list(server_findings(host, spec))
            if not all(finding.good for finding in said[spec.name] if finding.needed):
                raise UserError(f"host {spec.name}: can't be L0")
            wanted = setups if spec.boots_ours else []
            for setup in wanted:
                _send(cache, progress, host, spec, setup)
            if not wanted:
                deploy(host, [])

    return said, _each(chosen, progress, deploy_one)


def _send(
    cache: Cache, progress: Progress, host: FabricHost, spec: SshHostSpec, setup: Setup
) -> None:
    artifacts = build_all(cache, progress, setup.on([spec]))
    with progress.stage(f"{spec.name}: send {setup.playbook.name}"):
        sent = deploy(host, files_of(levels.one_shot(spec, artifacts)))
    progress.note(f"sent {', '.join(sent) or 'nothing: all is there'}")


def undeploy_all(inventory: Path | None, names: Sequence[str], wait: float) -> list[HarnessError]:
    """Remove all that is ours from the servers of `inventory`, or of ./lab.yaml and at addresses
    without one; the errors of those that failed. Raises UserError if that is no server at all."""
    cache, progress = Cache.default(), Progress()

    def undeploy_one(spec: SshHostSpec) -> None:
        with (
            progress.stage(f"{spec.name}: undeploy"),
            _locked(spec, _transcripts(cache), wait) as host,
        ):
            undeploy(host)

    return _each(_named(inventory, names), progress, undeploy_one)


@contextmanager
def _locked(spec: SshHostSpec, transcripts: Path, wait: float) -> Iterator[FabricHost]:
    """The server in its own kernel, given back first if it was left in ours. One that we never boot
    is there or not."""
    if spec.boots_ours:
        with Server(spec, transcripts).vendor_kernel(wait) as host:
            yield host
    else:
        with as_it_is(spec, transcripts, wait) as host, locked(host, wait):
            yield host


def _named(inventory: Path | None, names: Sequence[str]) -> Sequence[SshHostSpec]:
    if inventory:
        return Inventory.load(inventory).select(names)
    known = Inventory.of(None)
    if not names and not known.hosts:
        raise UserError(
            "say what to undeploy: neve undeploy INVENTORY, or --host user@address[:port]"
        )
    return [known.find(name) or parse_address(name) for name in names] or known.hosts


def _each(
    specs: Sequence[SshHostSpec], progress: Progress, work: Callable[[SshHostSpec], None]
) -> list[HarnessError]:
    """Do `work` for each server, whatever becomes of the others."""
    errors = []
    for spec in specs:
        try:
            work(spec)
        except (HarnessError, OSError) as failure:
            error = explain(failure)
            progress.note(f"{spec.name}: {str(error).splitlines()[0]}")
            errors.append(error)
    return errors


def _transcripts(cache: Cache) -> Path:
    return cache.root / "logs" / "servers"
