# SPDX-License-Identifier: MIT
"""Results: one schema, the run folder, the reports that are made from it, and the history."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def load(database: str | None = None, *, reasons: bool = True, **where: str) -> "pd.DataFrame":
    """Load everything that the history has, tidy: one measurement per row, oldest run first.

    `database` is a file or a URL; without one $NEVE_DATABASE, or runs/history.sqlite here. `where`
    selects by columns of results.csv: `load(host="gicv3", benchmark="hypercall")`; without
    `reasons` the rows of traps by reason are left out.

    Columns: those of results.csv, which `harness.model.measurement.Measurement` explains, but for
    the number of the schema; `sequence`, which names the trap sequence that an exact number of
    traps is the length of; `subject`, what was measured (`L0=version/key …`); `repeated` (bool:
    measured a second time because the first looked changed); and of the run `started` (UTC),
    `state`, `playbook` (its name), `harness`, `emulator`, `kernels` (`name: version key; …`),
    `microbench` and `rootfs` (their hashes), `folder` and `settings` (what the playbook sets,
    `iterations=500 …`). What a run did not record is empty or None; `stdev` and `share` are NaN
    then.

    Raises UserError if there is no such database or column, InfrastructureError if its server
    does not answer.
    """
    from harness.results.history.archive import Archive
    from harness.results.history.database import Database, locate

    with Database.open(locate(database, Path("runs")), writable=False) as opened:
        return Archive(opened).load(reasons=reasons, **where)
