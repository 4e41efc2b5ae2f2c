"""From BC's notifications in the inbox to orders, accounts and products with news.

Notifications are hints: what they name is read again, and nothing is decided by what they say.
Anything they miss is found by the polls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ml_connector.domain.identifiers import Kind
from ml_connector.exchange import status
from ml_connector.exchange.collect import concerned, mark_changed, mark_versions, row_stamp
from ml_connector.exchange.notified import LEDGER_ENTRIES, NOTIFIED_SETS, SYSTEM, WHOLE
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record, StoredChange

SALESFORCE = "salesforce"
PAGE = 1_000
READ_ONE_BY_ONE = 500
"""Named records up to which they are looked up by id; beyond, the whole set is compared."""

_MOVES_BALANCES = frozenset({"salesInvoices", "salesCreditMemos", "customers", LEDGER_ENTRIES})


@dataclass(frozen=True, slots=True)
class Taken:
    """What notifications led to; all of it lies in the inbox of the flows by now."""

    notifications: int = 0
    orders: int = 0
    products: int = 0
    accounts: bool = False

    def __str__(self) -> str:
        accounts = ", balances moved" if self.accounts else ""
        return (
            f"{self.notifications} notifications: {self.orders} orders and {self.products}"
            f" products with news{accounts}"
        )


def has_news(systems: Systems) -> bool:
    """Tell whether notifications wait, or status that they led to; asks the ledger only."""
    counts = systems.ledger.change_counts()
    waiting = (SALESFORCE, status.STATUS_ENTITY), (SALESFORCE, status.ACCOUNT_STATUS_ENTITY)
    return any(counts.get(each) for each in waiting) or any(
        counts.get((SYSTEM, entity)) for entity in NOTIFIED_SETS
    )


def drafts_notified(systems: Systems) -> bool:
    """Tell whether a notification about an invoice waits: there may be a draft to post."""
    return bool(systems.ledger.change_counts().get((SYSTEM, "salesInvoices")))


@dataclass
class _Told:
    """What waits about one set: named records, and whether the set has to be read as a whole."""

    changes: list[StoredChange]

    @property
    def ids(self) -> list[str]:
        """The named records."""
        named = (each.record_id for each in self.changes if each.record_id != WHOLE)
        return list(dict.fromkeys(named))

    @property
    def is_whole(self) -> bool:
        """Whether deletes may be among what was not named, or too much was."""
        sets = (each for each in self.changes if each.record_id == WHOLE)
        return any("since" not in each.payload for each in sets) or len(self.ids) > READ_ONE_BY_ONE

    @property
    def since(self) -> datetime | None:
        """The earliest time from which changes were not named one by one."""
        times = [str(each.payload["since"]) for each in self.changes if "since" in each.payload]
        return min(map(datetime.fromisoformat, times), default=None)


@dataclass
class _News:
    """What the notifications of all sets lead to."""

    versions: list[tuple[str, str]] = field(default_factory=list)
    orders: set[str] = field(default_factory=set)
    products: set[str] = field(default_factory=set)


def take_notifications(systems: Systems) -> Taken:
    """Turn waiting notifications into orders, products and accounts with news.

    Effect: those lie in the inbox in the transaction that finishes the notifications, so a run that
    ends before leaves them waiting. Cost: a call per 50 named records, none without notifications.
    """
    told = {entity: _Told(_pending(systems, entity)) for entity in NOTIFIED_SETS}
    told = {entity: each for entity, each in told.items() if each.changes}
    if not told:
        return Taken()
    news = _News()
    for entity, each in told.items():
        _READERS[entity](systems, each, news)
    balances = bool(_MOVES_BALANCES & set(told))
    with systems.ledger.transaction() as tx:
        mark_versions(systems, status.STATUS_ENTITY, news.versions, "documents")
        mark_changed(systems, status.STATUS_ENTITY, sorted(news.orders), SYSTEM)
        mark_changed(systems, "Product2", sorted(news.products), "items")
        if balances:
            mark_changed(systems, status.ACCOUNT_STATUS_ENTITY, [WHOLE], SYSTEM)
        tx.finish_read(change.id for each in told.values() for change in each.changes)
    return Taken(
        notifications=sum(len(each.changes) for each in told.values()),
        orders=len(news.orders | {key for key, _ in news.versions}),
        products=len(news.products),
        accounts=balances,
    )


def _pending(systems: Systems, entity: str) -> list[StoredChange]:
    found: list[StoredChange] = []
    after = 0
    while page := systems.ledger.pending_changes(SYSTEM, entity, limit=PAGE, after=after):
        found += page
        after = page[-1].id
        if len(page) < PAGE:
            break
    return found


# --- one reader per set ---


def _read_orders(systems: Systems, told: _Told, news: _News) -> None:
    if told.is_whole or told.since is not None:
        news.orders |= status.moved_or_vanished(systems)
        return
    records = systems.ledger.records_by_bc_id(Kind.ORDER, told.ids)
    stamps = _stamps(systems, "salesOrders", records)
    news.orders |= _moved(records, stamps)


def _moved(records: Mapping[str, Sequence[Record]], stamps: Mapping[str, str]) -> set[str]:
    """Return the keys of records whose BC row is gone or not as it was seen last."""
    return {
        record.key
        for bc_id, linked in records.items()
        for record in linked
        if stamps.get(bc_id) != record.bc_stamp
        and not (bc_id not in stamps and record.facts.get("gone"))
    }


def _stamps(systems: Systems, entity_set: str, ids: Iterable[str]) -> dict[str, str]:
    rows = systems.business_central.find_by(
        entity_set, "id", ids, quote=False, select=("id", "lastModifiedDateTime")
    )
    return {str(row["id"]).lower(): row_stamp(row) for row in rows}


def _read_items(systems: Systems, told: _Told, news: _News) -> None:
    central = systems.business_central
    select = ("id", "number", "lastModifiedDateTime")
    if not told.is_whole and told.since is None:
        rows = list(central.find_by("items", "id", told.ids, quote=False, select=select))
        records = systems.ledger.records_by_bc_id(Kind.ITEM, told.ids)
        there = {str(row["id"]).lower() for row in rows}
        gone = {bc_id: linked for bc_id, linked in records.items() if bc_id not in there}
        news.products |= _moved(gone, {})
    else:
        rows = list(central.rows("items", select=select))
        stamps = {str(row["id"]).lower(): row_stamp(row) for row in rows}
        for page in systems.ledger.iterate(kind=Kind.ITEM, linked=True):
            news.products |= _moved({record.bc_id.lower(): [record] for record in page}, stamps)
    news.products |= set(concerned(systems, Kind.ITEM, rows))


def _read_documents(
    entity_set: str,
    orders_of: Callable[[Systems, Sequence[Mapping[str, Any]]], list[tuple[str, str]]],
) -> Callable[[Systems, _Told, _News], None]:
    select = status.DOCUMENT_PROPERTIES[entity_set]

    def read(systems: Systems, told: _Told, news: _News) -> None:
        central = systems.business_central
        if told.is_whole:
            present: set[str] = set()
            for page in central.pages(entity_set, select=select):
                news.versions += orders_of(systems, page)
                present |= {str(row["id"]).lower() for row in page}
            news.orders |= _orders_of_vanished(systems, entity_set, present)
            return
        rows = list(central.find_by(entity_set, "id", told.ids, quote=False, select=select))
        gone = set(told.ids) - {str(row["id"]).lower() for row in rows}
        known = systems.ledger.document_by_bc_id(sorted(gone))
        news.orders |= {document.order_key for document in known.values()}
        news.versions += orders_of(systems, rows)
        if told.since is not None:
            since = f"{told.since.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
            condition = f"lastModifiedDateTime ge {since}"
            for page in central.pages(entity_set, filter=condition, select=select):
                news.versions += orders_of(systems, page)

    return read


def _orders_of_vanished(systems: Systems, entity_set: str, present: set[str]) -> set[str]:
    """Return the orders with a document that may still move and is not in BC any more."""
    wanted = {"salesInvoices": "invoice", "salesCreditMemos": "credit_memo"}.get(entity_set)
    return {
        document.order_key
        for page in systems.ledger.open_documents()
        for document in page
        if document.doc_type == wanted and document.bc_id.lower() not in present
    }


def _read_nothing(systems: Systems, told: _Told, news: _News) -> None:
    """Customers are read with their balances, when those are derived."""
    del systems, told, news


def _sweep(systems: Systems, told: _Told, news: _News) -> None:
    """A new G/L entry may be a payment: look at what is open."""
    del told
    news.orders |= status.open_amount_moved(systems)


_READERS: Mapping[str, Callable[[Systems, _Told, _News], None]] = {
    "salesOrders": _read_orders,
    "salesInvoices": _read_documents("salesInvoices", status.orders_of_invoices),
    "salesCreditMemos": _read_documents("salesCreditMemos", status.orders_of_credit_memos),
    "salesShipments": _read_documents("salesShipments", status.orders_of_shipments),
    "customers": _read_nothing,
    "items": _read_items,
    LEDGER_ENTRIES: _sweep,
}
