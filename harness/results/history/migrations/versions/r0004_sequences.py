# SPDX-License-Identifier: MIT
"""The trap sequences of cells whose traps are exact, and the file system that VMMs come from."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("runs", sa.Column("rootfs", sa.Text(), nullable=False, server_default=""))
    op.add_column("measurements", sa.Column("sequence", sa.Text(), nullable=True))
    op.create_table(
        "sequences",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("exits", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sequences"),
    )
