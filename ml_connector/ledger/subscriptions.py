"""Our subscriptions to BC's notifications, as they were last seen there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from ml_connector.ledger.record_store import chunks
from ml_connector.ledger.records import KnownSubscription
from ml_connector.ledger.tables import subscriptions

_NAMES = tuple(column.name for column in subscriptions.c if column.name != "connection")
_KEPT = {"subscription_id", "created_at"}


def _upsert(insert: Any) -> Any:
    return insert.on_conflict_do_update(
        index_elements=[subscriptions.c.connection, subscriptions.c.subscription_id],
        set_={name: insert.excluded[name] for name in _NAMES if name not in _KEPT},
    )


_UPSERTS: Mapping[str, Any] = {
    "sqlite": _upsert(sqlite.insert(subscriptions)),
    "postgresql": _upsert(postgresql.insert(subscriptions)),
}


def save(db: Connection, name: str, known: KnownSubscription) -> None:
    """Store what is known about a subscription; when it was made stays."""
    row = {column: getattr(known, column) for column in _NAMES}
    db.execute(_UPSERTS[db.dialect.name], {"connection": name, **row})


def forget(db: Connection, name: str, ids: Iterable[str]) -> None:
    """Forget subscriptions that are gone."""
    for chunk in chunks(ids):
        db.execute(
            delete(subscriptions).where(
                subscriptions.c.connection == name, subscriptions.c.subscription_id.in_(chunk)
            )
        )


def known(db: Connection, name: str) -> list[KnownSubscription]:
    """Return our subscriptions, by entity set."""
    query = (
        select(*(subscriptions.c[column] for column in _NAMES))
        .where(subscriptions.c.connection == name)
        .order_by(subscriptions.c.entity_set, subscriptions.c.subscription_id)
    )
    return [
        KnownSubscription(**dict(zip(_NAMES, row, strict=True))) for row in db.execute(query).all()
    ]
