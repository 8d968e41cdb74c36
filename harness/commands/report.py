# SPDX-License-Identifier: MIT
"""`neve report`."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from harness.results import report
from harness.results.store import RunFolder


@contextmanager
def reported(runs: Path, name: str) -> Iterator[tuple[RunFolder, pd.DataFrame]]:
    """The run `name` with its reports written anew, and its summary: in its folder or, if that can
    only be read, in a copy that is gone afterwards."""
    folder = RunFolder.open(runs, name)
    try:
        table = report.write(folder)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
    else:
        yield folder, table
        return
    with tempfile.TemporaryDirectory(prefix="neve-report-") as scratch:
        shutil.copytree(
            folder.path,
            Path(scratch) / folder.id,
            copy_function=shutil.copyfile,
            ignore=shutil.ignore_patterns("consoles", ".*", "report.*"),
        )
        copy = RunFolder.open(Path(scratch), folder.id)
        copy.path.chmod(0o700)
        yield copy, report.write(copy)
