# SPDX-License-Identifier: MIT
"""The user's defaults, ~/.config/neve/config.yaml: what they would otherwise repeat on every
command line or in the environment, which both override it."""

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
    """A user's defaults for environment variables and options, which both override them. Paths are
    relative to the file's folder."""

    cache: Path | None = None
    """As $NEVE_CACHE: the folder of kernels, images and downloads."""
    database: _Text | None = None
    """As $NEVE_DATABASE: the history, a file or postgresql://…."""
    qemu: _Text | None = None
    """As $NEVE_QEMU: the QEMU that emulates machines."""
    debian_mirror: _Text | None = None
    """As $NEVE_DEBIAN_MIRROR: where Debian's packages come from."""
    kernel_mirror: _Text | None = None
    """As $NEVE_KERNEL_MIRROR: where releases of kernel.org come from."""
    inventory: Path | None = None
    """As --inventory, in folders that have no lab.yaml."""
    wait: Annotated[Number, Field(ge=0)] | None = None
    """As --wait: how many seconds to wait for a server that another run has."""
    scheduler: _Text | None = None
    """As --scheduler: the URL of a Dask scheduler."""
    check: Flag | None = None
    """As --check or --no-check."""
    verbosity: Annotated[Integer, Field(ge=-1, le=2)] | None = None
    """As -q (-1), -v (1) or -vv (2)."""

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
