"""Runs migrations on the connection given in the configuration; alembic loads this file."""

from __future__ import annotations

from alembic import context

from ml_connector.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
