# SPDX-License-Identifier: MIT
"""The playbooks that come with the package, by name."""

from pathlib import Path

from harness.paths import PLAYBOOKS

_INVENTORY = "lab"  # which lies beside them, to be copied


def shipped() -> list[str]:
    """Their names: what `neve run NAME` takes."""
    return sorted(path.stem for path in PLAYBOOKS.glob("*.yaml") if path.stem != _INVENTORY)


def file_of(path: Path) -> Path:
    """The file that `path` names: a file of that path, else the shipped playbook of that name, with
    `.yaml` or without."""
    name = path.name.removesuffix(".yaml")
    if len(path.parts) != 1 or name not in shipped() or path.is_file():
        return path
    return PLAYBOOKS / f"{name}.yaml"
