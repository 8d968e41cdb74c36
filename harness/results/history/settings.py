# SPDX-License-Identifier: MIT
"""What a playbook sets that a measurement depends on: runs of other settings are other series."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from harness.model.inventory import SshHostSpec, TcgHostSpec
from harness.model.playbook import Playbook

# Names and columns of their own, how often and how long, and how a host is reached.
_NO_SETTING = {
    "name",
    "track",
    "hosts",
    "configurations",
    "benchmarks",
    "repetitions",
    "boots",
    "check",
    "spread_limit",
    "benchmark_seconds",
    "boot_seconds",
    "kind",
    "cpu",
    "gic",
    "address",
    "user",
    "port",
    "key_file",
    "known_hosts",
    "jump",
    "root",
}
_HOSTS: dict[str, type[BaseModel]] = {"tcg": TcgHostSpec, "ssh": SshHostSpec}


def by_host(playbook: Mapping[str, Any]) -> dict[str, str]:
    """{host: `iterations=500 memory=4096`} of a playbook in a run's metadata: what is not the
    default, so that a setting that is new in a later harness divides no series."""
    of_all = _chosen(playbook, Playbook)
    return {
        str(host.get("name")): " ".join(
            f"{name}={value}"
            for name, value in sorted(
                {
                    **of_all,
                    **_chosen(host, _HOSTS.get(str(host.get("kind")), TcgHostSpec)),
                }.items()
            )
        )
        for host in playbook.get("hosts") or []
    }


def _chosen(given: Mapping[str, Any], model: type[BaseModel]) -> dict[str, str]:
    defaults = {name: _plain(field.default) for name, field in model.model_fields.items()}
    return {
        name: value if isinstance(value, str) else _packed(value)
        for name, value in given.items()
        if name not in _NO_SETTING and value is not None and value != defaults.get(name)
    }


def _packed(value: Any) -> str:
    """As JSON without a blank, not even in text: blanks part settings."""
    return json.dumps(value, separators=(",", ":")).replace(" ", "\\u0020")


def _plain(value: Any) -> Any:
    """As JSON has it: a tuple is a list."""
    return json.loads(json.dumps(value, default=str))
