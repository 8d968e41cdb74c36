# SPDX-License-Identifier: MIT
"""`neve`'s commands for servers as Fabric tasks: `fab --search-root playbooks deploy lab.yaml`.

The servers are those of an inventory, so `fab`'s own --hosts has no part in it.
"""

from fabric import task
from invoke import Context

from harness.cli import main


def _neve(*words: str) -> None:
    main(list(words))


@task(help={"inventory": "the lab's servers", "playbook": "send what it boots"})
def deploy(context: Context, inventory: str, playbook: str | None = None) -> None:
    """Examine the servers and send them what a playbook boots."""
    _neve("deploy", inventory, *(("--playbook", playbook) if playbook else ()))


@task(help={"inventory": "the lab's servers"})
def undeploy(context: Context, inventory: str) -> None:
    """Remove all that is ours from the servers."""
    _neve("undeploy", inventory)


@task(help={"playbook": "what to run", "inventory": "the lab's servers"})
def run(context: Context, playbook: str, inventory: str) -> None:
    """Measure, and bring the servers back to their own kernels."""
    _neve("run", playbook, "--inventory", inventory)
