# SPDX-License-Identifier: MIT
"""Who acknowledged a change, and when."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("acceptances", sa.Column("by", sa.Text(), nullable=False, server_default=""))
    op.add_column("acceptances", sa.Column("at", sa.DateTime(timezone=True), nullable=True))
