"""The tables of the ledger; migrations/ makes them, and a test compares both."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from ml_connector.ledger.column_types import Amount, Instant, Json, Key, SerialNumber

metadata = MetaData()

_UNRESOLVED = text("state <> 'closed'")
_PENDING = text("finished_at IS NULL")
_TO_SHOW, _TO_SHOW_SQLITE = text("show_pending"), text("show_pending = 1")
_UNSETTLED, _UNSETTLED_SQLITE = text("NOT settled"), text("settled = 0")
_OPEN, _OPEN_SQLITE = text("is_open"), text("is_open = 1")

records = Table(
    "records",
    metadata,
    Column("connection", Key, primary_key=True),
    Column("kind", Key, primary_key=True),
    Column("key", Key, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("salesforce_id", Key, nullable=False),
    Column("salesforce_number", Key, nullable=False),
    Column("bc_id", Key, nullable=False),
    Column("bc_number", Key, nullable=False),
    Column("reference", Key, nullable=False),
    Column("state", Key, nullable=False),
    Column("cause", Key, nullable=False),
    Column("message", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("owner", Key, nullable=False),
    Column("waits_for", Json, nullable=False),
    Column("candidates", Json, nullable=False),
    Column("since", Instant, nullable=False),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("source_stamp", Text, nullable=False),
    Column("bc_stamp", Text, nullable=False),
    Column("sent", Json),
    Column("facts", Json, nullable=False),
    Column("shown", Json),
    Column("wanted", Json, nullable=False),
    Column("show_pending", Boolean, nullable=False),
    Column("settled", Boolean, nullable=False),
    Column("run_id", Text, nullable=False),
    Index("records_by_state", "connection", "kind", "state", "key"),
    Index("records_by_bc_id", "connection", "kind", "bc_id"),
    Index("records_by_bc_number", "connection", "kind", "bc_number"),
    Index("records_by_reference", "connection", "kind", "reference"),
    Index(
        "records_to_show",
        "connection",
        "kind",
        "key",
        sqlite_where=_TO_SHOW_SQLITE,
        postgresql_where=_TO_SHOW,
    ),
    Index(
        "records_unsettled",
        "connection",
        "kind",
        "key",
        sqlite_where=_UNSETTLED_SQLITE,
        postgresql_where=_UNSETTLED,
    ),
)
"""One row per record and where it stands."""

claims = Table(
    "claims",
    metadata,
    Column("connection", Key, primary_key=True),
    Column("kind", Key, primary_key=True),
    Column("key", Key, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("fence", SerialNumber, nullable=False),
    Column("expires_at", Instant),
)
"""Who may write a record, or run a feed (kind `lease`), until when; the fence counts holders."""

intents = Table(
    "intents",
    metadata,
    Column("id", SerialNumber, primary_key=True, autoincrement=True),
    Column("connection", Key, nullable=False),
    Column("kind", Key, nullable=False),
    Column("key", Key, nullable=False),
    Column("operation", Key, nullable=False),
    Column("natural_key", Text, nullable=False),
    Column("payload", Json, nullable=False),
    Column("payload_hash", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", Key, nullable=False),
    Column("outcome", Key, nullable=False),
    Column("message", Text, nullable=False),
    Column("bc_id", Key, nullable=False),
    Column("fence", SerialNumber, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("closed_at", Instant),
    Column("flow_run_id", Text, nullable=False),
    Column("task_run_id", Text, nullable=False),
    Index("intents_by_record", "connection", "kind", "key", "operation"),
    Index(
        "intents_unresolved",
        "connection",
        "kind",
        "key",
        "operation",
        unique=True,
        sqlite_where=_UNRESOLVED,
        postgresql_where=_UNRESOLVED,
    ),
    sqlite_autoincrement=True,
)
"""Writes that were or are about to be tried; at most one unresolved per record and operation."""

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("connection", Key, primary_key=True),
    Column("feed", Key, primary_key=True),
    Column("position", Text, nullable=False),
    Column("confirmed_at", Instant, nullable=False),
)
"""How far each feed was read."""

changes = Table(
    "changes",
    metadata,
    Column("id", SerialNumber, primary_key=True, autoincrement=True),
    Column("connection", Key, nullable=False),
    Column("system", Key, nullable=False),
    Column("entity", Key, nullable=False),
    Column("record_id", Key, nullable=False),
    Column("change_type", Key, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("source", Key, nullable=False),
    Column("dedupe_key", Key, nullable=False),
    Column("payload", Json, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("finished_at", Instant),
    UniqueConstraint("connection", "system", "entity", "dedupe_key", name="changes_once"),
    Index(
        "changes_pending",
        "connection",
        "system",
        "entity",
        "id",
        sqlite_where=_PENDING,
        postgresql_where=_PENDING,
    ),
    Index("changes_by_record", "connection", "record_id"),
    sqlite_autoincrement=True,
)
"""The inbox: what the feeds reported."""

documents = Table(
    "documents",
    metadata,
    Column("connection", Key, primary_key=True),
    Column("bc_id", Key, primary_key=True),
    Column("doc_type", Key, nullable=False),
    Column("order_key", Key, nullable=False),
    Column("number", Key, nullable=False),
    Column("status", Key, nullable=False),
    Column("total", Amount, nullable=False),
    Column("remaining", Amount, nullable=False),
    Column("currency", Key, nullable=False),
    Column("due_date", Date),
    Column("posted", Boolean, nullable=False),
    Column("invoice_id", Key, nullable=False),
    Column("stamp", Text, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Index("documents_by_order", "connection", "order_key"),
    Index("documents_by_number", "connection", "number"),
    Index(
        "documents_open",
        "connection",
        "bc_id",
        sqlite_where=_OPEN_SQLITE,
        postgresql_where=_OPEN,
    ),
)
"""Invoices and credit memos of the orders."""

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("connection", Key, primary_key=True),
    Column("sequence", SerialNumber, primary_key=True, autoincrement=False),
    Column("kind", Key, nullable=False),
    Column("key", Key, nullable=False),
    Column("salesforce_id", Key, nullable=False),
    Column("bc_id", Key, nullable=False),
    Column("at", Instant, nullable=False),
    Column("direction", Key, nullable=False),
    Column("action", Key, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("salt", LargeBinary),
    Column("rule", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("flow_run_id", Key, nullable=False),
    Column("task_run_id", Text, nullable=False),
    Column("content_digest", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Index("audit_by_record", "connection", "kind", "key"),
    Index("audit_by_salesforce_id", "connection", "salesforce_id"),
    Index("audit_by_bc_id", "connection", "bc_id"),
    Index("audit_by_run", "connection", "flow_run_id"),
)
"""The audit chain; the only change it knows is the erasure of before, after and salt."""

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("connection", Key, primary_key=True),
    Column("sequence", SerialNumber, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)
"""Where each connection's audit chain ends."""

runs = Table(
    "runs",
    metadata,
    Column("connection", Key, primary_key=True),
    Column("flow_run_id", Key, primary_key=True),
    Column("name", Key, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("exit_code", Integer),
    Column("counts", Json, nullable=False),
    Index("runs_by_name", "connection", "name", "started_at"),
)
"""Runs of flows, for `status` and the way from a run to its records."""

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("connection", Key, primary_key=True),
    Column("subscription_id", Key, primary_key=True),
    Column("entity_set", Key, nullable=False),
    Column("notification_url", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("verified_at", Instant, nullable=False),
    Column("expires_at", Instant),
)
"""Our subscriptions to BC's notifications; what proves a notification is not kept here."""

remembered = Table(
    "remembered",
    metadata,
    Column("connection", Key, primary_key=True),
    Column("name", Key, primary_key=True),
    Column("value", Json, nullable=False),
)
"""Small facts about a connection, such as the org it was made for."""
