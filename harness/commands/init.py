# SPDX-License-Identifier: MIT
"""`neve init`."""

from pathlib import Path

from harness.errors import UserError
from harness.paths import PLAYBOOKS

_FILES = {
    "playbook.yaml": PLAYBOOKS / "templates" / "playbook.yaml",
    "lab.yaml": PLAYBOOKS / "lab.yaml",
}


def begin(folder: Path) -> list[Path]:
    """Write a playbook and an inventory with comments into `folder`: the files. Raises UserError,
    before anything is written, if one of them is there already."""
    wanted = {folder / name: source for name, source in _FILES.items()}
    for path in wanted:
        if path.exists() or path.is_symlink():
            raise UserError(f"{path} is there already: neve init FOLDER writes elsewhere")
    folder.mkdir(parents=True, exist_ok=True)
    for path, source in wanted.items():
        with path.open("x", encoding="utf-8") as stream:
            stream.write(source.read_text(encoding="utf-8"))
    return list(wanted)
