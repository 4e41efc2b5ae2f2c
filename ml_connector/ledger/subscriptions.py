"""Our subscriptions to BC's notifications, as they were last seen there."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, select

from ml_connector.ledger.record_store import chunks
from ml_connector.ledger.records import KnownSubscription
from ml_connector.ledger.tables import subscriptions
from ml_connector.ledger.upserts import insert_or_replace

_NAMES = tuple(column.name for column in subscriptions.c if column.name != "connection")
_UPSERT = insert_or_replace(subscriptions, kept={"created_at"})


def save(db: Connection, name: str, known: KnownSubscription) -> None:
    """Store what is known about a subscription; when it was made stays."""
    row = {column: getattr(known, column) for column in _NAMES}
    db.execute(_UPSERT, {"connection": name, **row})


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
