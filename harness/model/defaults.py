# SPDX-License-Identifier: MIT
"""The user's defaults, ~/.config/neve/config.yaml: what would else be said on every command line,
or by the environment, which both go before it."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from harness.errors import UserError
from harness.model.document import (
    ONE_LINE,
    Flag,
    Form,
    Integer,
    Model,
    Number,
    complaints,
    read_yaml,
)
from harness.paths import expanded

_Text = Annotated[str, Field(max_length=4096), Form(ONE_LINE, "text of one line")]


class Defaults(Model):
    """Defaults of a user: `cache`, `database`, `qemu`, `debian_mirror` and `kernel_mirror` stand
    for the environment's NEVE_CACHE and so on, the others for options. Paths begin at the file's
    folder. `inventory` is for folders without a lab.yaml, `verbosity` from -1 (quiet) to 2."""

    cache: Path | None = None
    database: _Text | None = None
    qemu: _Text | None = None
    debian_mirror: _Text | None = None
    kernel_mirror: _Text | None = None
    inventory: Path | None = None
    wait: Annotated[Number, Field(ge=0)] | None = None
    scheduler: _Text | None = None
    check: Flag | None = None
    verbosity: Annotated[Integer, Field(ge=-1, le=2)] | None = None

    @classmethod
    def load(cls, path: Path) -> "Defaults":
        """Those in the file at `path`. Raises UserError with one line."""
        try:
            found = cls.model_validate(read_yaml(path, "a configuration file"))
        except ValidationError as error:
            raise UserError(f"{path}: {complaints(error)}") from error
        files = {
            key: path.parent / expanded(Path(file), f"{path}: {key}")
            for key in ("cache", "inventory", "qemu")
            if (file := getattr(found, key)) and (key != "qemu" or "/" in file)
        }
        return found.model_copy(update=files)
