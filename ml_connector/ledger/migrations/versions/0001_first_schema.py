"""The first schema of the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table."""
    _records()
    _claims()
    _intents()
    _checkpoints()
    _changes()
    _documents()
    _audit_entries()
    _audit_heads()
    _runs()
    _remembered()


def downgrade() -> None:
    """Drop every table."""
    for name in (
        "remembered",
        "runs",
        "audit_heads",
        "audit_entries",
        "documents",
        "changes",
        "checkpoints",
        "intents",
        "claims",
        "records",
    ):
        op.drop_table(name)


def _records() -> None:
    op.create_table(
        "records",
        sa.Column("connection", KEY, primary_key=True),
        sa.Column("kind", KEY, primary_key=True),
        sa.Column("key", KEY, primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("salesforce_id", KEY, nullable=False),
        sa.Column("salesforce_number", KEY, nullable=False),
        sa.Column("bc_id", KEY, nullable=False),
        sa.Column("bc_number", KEY, nullable=False),
        sa.Column("reference", KEY, nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("cause", KEY, nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("waits_for", sa.Text(), nullable=False),
        sa.Column("candidates", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("source_stamp", sa.Text(), nullable=False),
        sa.Column("bc_stamp", sa.Text(), nullable=False),
        sa.Column("sent", sa.Text(), nullable=True),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=True),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("show_pending", sa.Boolean(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
    )
    op.create_index("records_by_bc_id", "records", ["connection", "kind", "bc_id"])
    op.create_index("records_by_bc_number", "records", ["connection", "kind", "bc_number"])
    op.create_index("records_by_reference", "records", ["connection", "kind", "reference"])
    op.create_index("records_by_state", "records", ["connection", "kind", "state", "key"])
    op.create_index(
        "records_to_show",
        "records",
        ["connection", "kind", "key"],
        sqlite_where=sa.text("show_pending = 1"),
        postgresql_where=sa.text("show_pending"),
    )
    op.create_index(
        "records_unsettled",
        "records",
        ["connection", "kind", "key"],
        sqlite_where=sa.text("settled = 0"),
        postgresql_where=sa.text("NOT settled"),
    )


def _claims() -> None:
    op.create_table(
        "claims",
        sa.Column("connection", KEY, primary_key=True),
        sa.Column("kind", KEY, primary_key=True),
        sa.Column("key", KEY, primary_key=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("fence", SERIAL, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
    )


def _intents() -> None:
    op.create_table(
        "intents",
        sa.Column("id", SERIAL, primary_key=True, autoincrement=True),
        sa.Column("connection", KEY, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("operation", KEY, nullable=False),
        sa.Column("natural_key", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("payload_hash", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("outcome", KEY, nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("bc_id", KEY, nullable=False),
        sa.Column("fence", SERIAL, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("flow_run_id", sa.Text(), nullable=False),
        sa.Column("task_run_id", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("intents_by_record", "intents", ["connection", "kind", "key", "operation"])
    op.create_index(
        "intents_unresolved",
        "intents",
        ["connection", "kind", "key", "operation"],
        unique=True,
        sqlite_where=sa.text("state <> 'closed'"),
        postgresql_where=sa.text("state <> 'closed'"),
    )


def _checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("connection", KEY, primary_key=True),
        sa.Column("feed", KEY, primary_key=True),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
    )


def _changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", SERIAL, primary_key=True, autoincrement=True),
        sa.Column("connection", KEY, nullable=False),
        sa.Column("system", KEY, nullable=False),
        sa.Column("entity", KEY, nullable=False),
        sa.Column("record_id", KEY, nullable=False),
        sa.Column("change_type", KEY, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", KEY, nullable=False),
        sa.Column("dedupe_key", KEY, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.UniqueConstraint("connection", "system", "entity", "dedupe_key", name="changes_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("changes_by_record", "changes", ["connection", "record_id"])
    op.create_index(
        "changes_pending",
        "changes",
        ["connection", "system", "entity", "id"],
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )


def _documents() -> None:
    op.create_table(
        "documents",
        sa.Column("connection", KEY, primary_key=True),
        sa.Column("bc_id", KEY, primary_key=True),
        sa.Column("doc_type", KEY, nullable=False),
        sa.Column("order_key", KEY, nullable=False),
        sa.Column("number", KEY, nullable=False),
        sa.Column("status", KEY, nullable=False),
        sa.Column("total", sa.Text(), nullable=False),
        sa.Column("remaining", sa.Text(), nullable=False),
        sa.Column("currency", KEY, nullable=False),
        sa.Column("due_date", sa.Date(), nullable=True),
        sa.Column("posted", sa.Boolean(), nullable=False),
        sa.Column("invoice_id", KEY, nullable=False),
        sa.Column("stamp", sa.Text(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
    )
    op.create_index("documents_by_order", "documents", ["connection", "order_key"])
    op.create_index("documents_by_number", "documents", ["connection", "number"])
    op.create_index(
        "documents_open",
        "documents",
        ["connection", "bc_id"],
        sqlite_where=sa.text("is_open = 1"),
        postgresql_where=sa.text("is_open"),
    )


def _audit_entries() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("connection", KEY, primary_key=True),
        sa.Column("sequence", SERIAL, primary_key=True, autoincrement=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("salesforce_id", KEY, nullable=False),
        sa.Column("bc_id", KEY, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("direction", KEY, nullable=False),
        sa.Column("action", KEY, nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("flow_run_id", KEY, nullable=False),
        sa.Column("task_run_id", sa.Text(), nullable=False),
        sa.Column("content_digest", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
    )
    op.create_index("audit_by_bc_id", "audit_entries", ["connection", "bc_id"])
    op.create_index("audit_by_record", "audit_entries", ["connection", "kind", "key"])
    op.create_index("audit_by_run", "audit_entries", ["connection", "flow_run_id"])
    op.create_index("audit_by_salesforce_id", "audit_entries", ["connection", "salesforce_id"])


def _audit_heads() -> None:
    op.create_table(
        "audit_heads",
        sa.Column("connection", KEY, primary_key=True),
        sa.Column("sequence", SERIAL, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("connection", KEY, primary_key=True),
        sa.Column("flow_run_id", KEY, primary_key=True),
        sa.Column("name", KEY, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("counts", sa.Text(), nullable=False),
    )
    op.create_index("runs_by_name", "runs", ["connection", "name", "started_at"])


def _remembered() -> None:
    op.create_table(
        "remembered",
        sa.Column("connection", KEY, primary_key=True),
        sa.Column("name", KEY, primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
    )
