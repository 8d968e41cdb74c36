# SPDX-License-Identifier: MIT
"""What a value is, whose busy CPUs they are, and how many operations had exactly that value."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("measurements") as table:
        table.add_column(sa.Column("level", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("statistic", sa.Text(), nullable=False, server_default="mean"))
        table.add_column(sa.Column("share", sa.Double(), nullable=True))
        table.drop_constraint("pk_measurements", type_="primary")
        table.create_primary_key(
            "pk_measurements",
            [
                "run_id",
                "host",
                "configuration",
                "benchmark",
                "repetition",
                "metric",
                "reason",
                "level",
                "statistic",
            ],
        )
    measurements = sa.table(
        "measurements", *map(sa.column, ("metric", "reason", "level", "statistic"))
    )
    op.execute(
        measurements.update().where(measurements.c.metric == "cost").values(statistic="median")
    )
    op.execute(
        measurements.update()
        .where(measurements.c.metric == "cpu")
        .values(level=measurements.c.reason, reason="")
    )
