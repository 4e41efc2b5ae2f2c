"""What BC is asked to tell us of, and how its notifications lie in the inbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ml_connector.business_central.notifications import ChangeType, Notification
from ml_connector.ledger.records import NewChange

SYSTEM = "business_central"
"""Inbox system of notifications; the entity is the entity set."""

FEED = "notifications"
"""Checkpoint of the feed: until when nothing is missing as far as we know."""

WHOLE = "*"
"""Record id of a change that stands for a whole set."""

GAP = "subscription_gap"
"""Source of a change that stands for what happened while a subscription was gone."""

LEDGER_ENTRIES = "generalLedgerEntries"
"""A new entry is the only sign of a payment; the entries themselves are never read."""

NOTIFIED_SETS = (
    "salesOrders",
    "salesInvoices",
    "salesCreditMemos",
    "salesShipments",
    "customers",
    "items",
    LEDGER_ENTRIES,
)
"""Sets worth a subscription where BC offers one; polls cover them all the same."""


def changes_of(notifications: Iterable[Notification], now: datetime) -> list[NewChange]:
    """Return the inbox entries of *notifications*, each once.

    A repeated delivery has the same keys and is stored once. A notification without a time cannot
    be told from a repetition and is always stored.
    """
    found: dict[tuple[str, str], NewChange] = {}
    for notification in notifications:
        change = _change(notification, now)
        key = change.dedupe_key
        if change.entity == LEDGER_ENTRIES:
            key = LEDGER_ENTRIES
        found[(change.entity, key)] = change
    return list(found.values())


def _change(notification: Notification, now: datetime) -> NewChange:
    resource = notification.resource
    at = notification.changed_at
    version = f"received {now.isoformat()}" if at is None else at.isoformat()
    payload: dict[str, Any] = {"subscription_id": notification.subscription_id}
    if resource.since is not None:
        payload["since"] = resource.since.isoformat()
        version = f"{version} since {payload['since']}"
    is_hint = resource.entity_set == LEDGER_ENTRIES
    record_id = WHOLE if is_hint else resource.record_id or WHOLE
    return NewChange(
        system=SYSTEM,
        entity=resource.entity_set,
        record_id=record_id,
        change_type=str(notification.change_type),
        changed_at=at or now,
        source="notification",
        dedupe_key=f"notification:{record_id}:{notification.change_type}:{version}",
        payload=payload,
    )


def whole_set(
    entity_set: str, now: datetime, source: str, since: datetime | None = None
) -> NewChange:
    """Return the inbox entry that makes a set be read again, from *since* or from the beginning."""
    payload: Mapping[str, Any] = {} if since is None else {"since": since.isoformat()}
    return NewChange(
        system=SYSTEM,
        entity=entity_set,
        record_id=WHOLE,
        change_type=str(ChangeType.COLLECTION),
        changed_at=now,
        source=source,
        dedupe_key=f"{source}:{WHOLE}:{now.isoformat()}",
        payload=payload,
    )
