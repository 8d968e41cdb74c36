# SPDX-License-Identifier: MIT
"""`neve deploy` and `neve undeploy`."""

from collections.abc import Sequence
from pathlib import Path

from harness import levels
from harness.artifacts import prepare
from harness.cache import Cache
from harness.deploy import deploy, files_of, undeploy
from harness.doctor import Finding, server_findings
from harness.host.kexec import Server
from harness.inventory import Inventory
from harness.playbook import load
from harness.progress import Progress


def deploy_all(
    inventory: Path, names: Sequence[str], playbooks: Sequence[Path], wait: float
) -> dict[str, list[Finding]]:
    """Examine the servers, and send what the playbooks boot; {host: findings}.

    Nothing is sent to a server that can't run an L0 at all.
    """
    cache, progress = Cache.default(), Progress()
    lab = Inventory.load(inventory)
    chosen = lab.select(names)
    plans = [load(path, lab) for path in playbooks]
    said: dict[str, list[Finding]] = {}
    for spec in chosen:
        with Server(spec, _transcripts(cache)).own_kernel(wait) as host:
            with progress.stage(f"{spec.name}: examine"):
                said[spec.name] = list(server_findings(host, kexec=True))
            if not all(finding.good for finding in said[spec.name] if finding.needed):
                continue
            for plan in plans:
                artifacts = prepare(
                    cache, progress, track=plan.track, configurations=plan.configurations,
                    kernel=plan.kernel, hosts=[spec],
                )
                with progress.stage(f"{spec.name}: send {plan.name}"):
                    sent = deploy(host, files_of(levels.one_shot(spec, artifacts)))
                progress.note(f"sent {', '.join(sent) or 'nothing: all is there'}")
            if not plans:
                deploy(host, [])
    return said


def undeploy_all(inventory: Path, names: Sequence[str], wait: float) -> None:
    """Remove all that is ours from the servers."""
    cache, progress = Cache.default(), Progress()
    for spec in Inventory.load(inventory).select(names):
        with (
            progress.stage(f"{spec.name}: undeploy"),
            Server(spec, _transcripts(cache)).own_kernel(wait) as host,
        ):
            undeploy(host)


def _transcripts(cache: Cache) -> Path:
    return cache.root / "logs" / "servers"
