"""The poll: what events missed, by SOQL and by the vendor's updated and deleted lists.

It goes on from its own checkpoint, which only moves with what was stored, so a poll that dies goes
on where it was. A hole in an event stream moves that checkpoint back to where the hole begins.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ml_connector.changes.feed_names import SALESFORCE, poll_feed
from ml_connector.configuration.fields import shown_from
from ml_connector.domain.identifiers import Kind, eighteen
from ml_connector.errors import FeedError
from ml_connector.exchange.collect import (
    content_digest,
    mark_changed,
    parse_instant,
    poll_partners,
)
from ml_connector.exchange.reading import SOBJECTS, fields_of
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Checkpoint, NewChange, Record
from ml_connector.ledger.transaction import Transaction
from ml_connector.salesforce.soql import both, instant, quote, select

log = logging.getLogger("ml_connector")

OVERLAP = timedelta(minutes=5)
"""Rows that were committed late carry an older stamp."""

PAGE = 2000
DELETIONS_KEPT = timedelta(days=14, hours=23)
"""Salesforce tells deletions of fifteen days."""

UPDATES_KEPT = timedelta(days=29, hours=23)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
KINDS = {model.__name__: kind for kind, model in SOBJECTS.items()}


def widen(systems: Systems, entity: str, since: datetime) -> None:
    """Let the next poll of *entity* begin at *since* or before.

    Effect: the checkpoint moves back in the ledger; joins the caller's transaction.
    """
    known = systems.ledger.checkpoint(poll_feed(entity))
    if known is not None and known.confirmed_at <= since:
        return
    if known is None:
        since = min(since, _synced_until(systems, entity) or LONG_AGO)
    with systems.ledger.transaction() as tx:
        tx.move_checkpoint(poll_feed(entity), f"{since.isoformat()}|", since)


def _synced_until(systems: Systems, entity: str) -> datetime | None:
    """Return up to when the main job has read *entity*; None when it never did."""
    checkpoint = systems.ledger.checkpoint(f"{SALESFORCE}/{entity}")
    return checkpoint.confirmed_at if checkpoint is not None else None


def poll_entity(systems: Systems, entity: str) -> int:
    """Store every change of *entity* since the checkpoint; returns how many were new to us.

    Cost: one query per 2,000 changed rows, and one call each for updated and deleted ids.
    """
    cursor = _Cursor(systems, entity)
    since = cursor.since()
    seen: set[str] = set()
    found = _poll_rows(systems, entity, cursor, since, seen)
    now = systems.clock.now()
    deleted, covered = _poll_deleted(systems, entity, since, now)
    updated, covered = _poll_updated(systems, entity, since, (now, covered), seen)
    with systems.ledger.transaction() as tx:
        cursor.move(tx, covered, "")
    if found or deleted or updated:
        log.info("poll of %s: %d changes stored", entity, found + deleted + updated)
    return found + deleted + updated


def poll_masters(systems: Systems) -> int:
    """Store which products and contacts BC's changed items and contacts concern; returns how many.

    Contacts are read only where Salesforce shows something of them. Cost: a query for each set.
    """
    found = poll_partners(systems, "items", "Product2", Kind.ITEM)
    if shown_from(systems.policy.fields, "contacts"):
        found += poll_partners(systems, "contacts", "Contact", Kind.CONTACT)
    return found


class _Cursor:
    """The checkpoint of a poll: moves forward, unless a hole moved it back meanwhile."""

    def __init__(self, systems: Systems, entity: str) -> None:
        self._systems = systems
        self._entity = entity
        self._feed = poll_feed(entity)
        self._known = systems.ledger.checkpoint(self._feed)

    def since(self) -> datetime | None:
        """Return where the poll begins; None for the very beginning."""
        known = self._known
        began = known.confirmed_at if known else _synced_until(self._systems, self._entity)
        return began - OVERLAP if began is not None and began > LONG_AGO else None

    def move(self, tx: Transaction, at: datetime, record_id: str) -> None:
        """Confirm everything up to *at* (and *record_id* among the rows of that moment)."""
        stored = self._systems.ledger.checkpoint(self._feed)
        if stored != self._known or (stored is not None and at < stored.confirmed_at):
            return
        self._known = Checkpoint(self._feed, f"{at.isoformat()}|{record_id}", at)
        tx.move_checkpoint(self._feed, self._known.position, at)


def _fields(systems: Systems, entity: str) -> tuple[str, ...]:
    model = SOBJECTS.get(KINDS[entity]) if entity in KINDS else None
    names = ["Id", "SystemModstamp", "IsDeleted"]
    if model is not None:
        names += fields_of(systems, model)
    if systems.salesforce.describe(entity).has("MasterRecordId"):
        names.append("MasterRecordId")
    return tuple(dict.fromkeys(names))


def _poll_rows(
    systems: Systems, entity: str, cursor: _Cursor, since: datetime | None, seen: set[str]
) -> int:
    found = 0
    for page in _pages(systems, entity, since):
        keys = [eighteen(row["Id"]) for row in page]
        seen.update(keys)
        kind = KINDS.get(entity)
        records = systems.ledger.records(kind, keys) if kind is not None else {}
        changes = [
            change
            for key, row in zip(keys, page, strict=True)
            for change in _change(entity, key, row, records.get(key))
        ]
        last = page[-1]
        stamp = parse_instant(last["SystemModstamp"])
        with systems.ledger.transaction() as tx:
            tx.add_changes(changes)
            cursor.move(tx, stamp, str(last["Id"]))
        found += len(changes)
    return found


def _pages(systems: Systems, entity: str, since: datetime | None) -> Iterator[list[dict[str, Any]]]:
    """Yield rows in order of stamp and id, deleted ones too; goes on when the cursor dies."""
    fields = _fields(systems, entity)
    where = f"SystemModstamp >= {instant(since)}" if since is not None else ""
    for attempt in range(10):
        soql = select(entity, fields, where=where, order_by="SystemModstamp, Id")
        try:
            for page in systems.salesforce.query(soql, batch_size=PAGE, all_rows=True):
                if page:
                    yield page
                    where = _after(page[-1])
        except FeedError as error:
            if attempt == 9:
                raise
            log.warning("poll of %s: %s Going on from the last stored row.", entity, error)
        else:
            return


def _after(row: dict[str, Any]) -> str:
    stamp = instant(parse_instant(row["SystemModstamp"]))
    later = f"SystemModstamp > {stamp}"
    tie = both(f"SystemModstamp = {stamp}", f"Id > {quote(row['Id'])}")
    return f"({later}) OR ({tie})"


def _change(entity: str, key: str, row: dict[str, Any], record: Record | None) -> list[NewChange]:
    """Return the change of a row; none when its content is what the ledger knows."""
    is_deleted = bool(row.get("IsDeleted"))
    master = row.get("MasterRecordId") or ""
    content = {
        name: value for name, value in row.items() if name not in ("IsDeleted", "MasterRecordId")
    }
    digest = "deleted" if is_deleted else content_digest(content)
    if record is not None and not is_deleted and record.source_stamp == digest:
        return []
    return [
        NewChange(
            system=SALESFORCE,
            entity=entity,
            record_id=key,
            change_type="DELETE" if is_deleted else "UPDATE",
            changed_at=parse_instant(row["SystemModstamp"]),
            source="poll",
            dedupe_key=f"poll:{entity}:{key}:{row['SystemModstamp']}:{digest}",
            payload={"master_record_id": master} if master else {},
        )
    ]


def _poll_deleted(
    systems: Systems, entity: str, since: datetime | None, now: datetime
) -> tuple[int, datetime]:
    """Store deletions, also of records that are gone from the recycle bin already.

    Returns how many, and up to when Salesforce tells them all.
    """
    oldest = now - DELETIONS_KEPT
    start = max(since or oldest, oldest)
    try:
        gone, covered, earliest = systems.salesforce.deleted(
            entity, start, now + timedelta(minutes=1)
        )
    except FeedError as error:
        log.warning("%s: deletions cannot be listed (%s); reading all again", entity, error.code)
        return _reread_linked(systems, entity), start
    changes = [
        NewChange(
            system=SALESFORCE,
            entity=entity,
            record_id=eighteen(record_id),
            change_type="DELETE",
            changed_at=deleted_at,
            source="poll",
            dedupe_key=f"deleted:{entity}:{eighteen(record_id)}:{deleted_at.isoformat()}",
        )
        for record_id, deleted_at in gone
    ]
    with systems.ledger.transaction() as tx:
        tx.add_changes(changes)
    if since is not None and (since < oldest or earliest > start + timedelta(minutes=1)):
        return len(changes) + _reread_linked(systems, entity), covered
    return len(changes), covered


def _poll_updated(
    systems: Systems,
    entity: str,
    since: datetime | None,
    present: tuple[datetime, datetime],
    seen: set[str],
) -> tuple[int, datetime]:
    """Store ids listed as changed that the query did not return: commits that came late.

    *present* is now, and up to when deletions are told; returns how many, and up to when all is.
    """
    now, covered = present
    if since is None or since < now - UPDATES_KEPT:
        return 0, covered
    try:
        ids, told = systems.salesforce.updated(entity, since, now + timedelta(minutes=1))
    except FeedError as error:
        log.warning("%s: updated ids cannot be listed (%s)", entity, error.code)
        return 0, since
    late = [key for key in map(eighteen, ids) if key not in seen]
    mark_changed(systems, entity, late, "updated")
    return len(late), min(covered, told)


def _reread_linked(systems: Systems, entity: str) -> int:
    """Have every linked record of *entity* read again: deletions that nobody tells any more."""
    kind: Kind | None = KINDS.get(entity)
    if kind is None:
        return 0
    count = 0
    for page in systems.ledger.iterate(kind=kind, linked=True):
        mark_changed(systems, entity, [record.key for record in page], "reread")
        count += len(page)
    return count
