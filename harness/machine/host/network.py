# SPDX-License-Identifier: MIT
"""The network of a server, as its own kernel has it, for the kernel that takes its place."""

import ipaddress
import re
import shlex
from dataclasses import dataclass

from harness.errors import InfrastructureError
from harness.machine.host.fabric_host import FabricHost


@dataclass(frozen=True)
class Network:
    """The interface that our connection came in by; `driver` is the module behind it."""

    interface: str
    mac: str
    address: str  # with the prefix's length
    port: int  # of the SSH server
    gateway: str | None
    driver: str

    def argument(self) -> str:
        """What L0's init is told."""
        parts = (self.mac, self.address, str(self.port), self.gateway)
        return f"neve.net={','.join(filter(None, parts))}"


def network_of(host: FabricHost) -> Network:
    """Raises InfrastructureError for what our root can't set up: bonds, bridges, VLANs."""
    # The address at the server's end of our own connection, also behind a jump host.
    said = host.run("echo $SSH_CONNECTION", root=False).stdout.split()
    try:
        ours, port = said[2], int(said[3])
        version = ipaddress.ip_address(ours).version
    except (ValueError, IndexError) as error:
        raise InfrastructureError(f"host {host.name}: SSH_CONNECTION says {said}") from error
    rows = host.run("ip -o addr show").stdout
    row = re.search(rf"^\d+: (\S+)\s+inet6? ({re.escape(ours)}/\d+) ", rows, re.M)
    if row is None:
        raise InfrastructureError(f"host {host.name}: no interface has our address {ours}")
    name = row[1].partition("@")[0]
    device = f"/sys/class/net/{shlex.quote(name)}"
    driver = host.run(
        f"basename $(readlink -f {device}/device/driver) 2>/dev/null", check=False
    ).stdout.strip()
    if not driver:
        raise InfrastructureError(
            f"host {host.name}: {name} is no network card but a bond, a bridge or a VLAN, which "
            "L0's root does not set up"
        )
    gateway = _gateway(host, name, version, said[0])
    return Network(
        name, host.run(f"cat {device}/address").stdout.strip(), row[2], port, gateway, driver
    )


def _gateway(host: FabricHost, name: str, version: int, client: str) -> str | None:
    """Where packets to us go by: our root has one route and one card. None on the same wire."""
    route = host.run(f"ip -{version} route get {shlex.quote(client)}", check=False).stdout
    out = re.search(r"\bdev (\S+)", route)
    if out and out[1] not in (name, "lo"):
        raise InfrastructureError(
            f"host {host.name}: its answers to {client} leave by {out[1]}, but what comes from "
            f"there arrives by {name}: L0's root has one card and one route"
        )
    default = host.run(f"ip -{version} route show default dev {shlex.quote(name)}").stdout
    found = re.search(r"\bvia ([0-9a-f.:]+)", route) or re.search(r"\bvia ([0-9a-f.:]+)", default)
    return found[1] if found else None
