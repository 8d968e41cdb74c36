# SPDX-License-Identifier: MIT
"""Alembic's entry: the connection comes from `harness.results.history.database`, inside a
transaction, so that a schema changes as a whole or not at all."""

from alembic import context

from harness.results.history.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
