# SPDX-License-Identifier: MIT
"""What divides series, what explains changes, and what owners have accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for name, default in (("settings", "{}"), ("microbench", "")):
        op.add_column("runs", sa.Column(name, sa.Text(), nullable=False, server_default=default))
    op.create_table(
        "acceptances",
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("series", "until", name="pk_acceptances"),
    )
