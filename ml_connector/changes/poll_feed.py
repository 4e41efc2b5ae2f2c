"""The poll: what events missed, by SOQL and by the vendor's updated and deleted lists.

Its checkpoint confirms what rows, deletions and late commits tell, all three; it moves when a poll
is through. Until then it keeps the last row that was stored: a poll that dies goes on at its stamp,
and asks for deletions and late commits from where everything is confirmed. A hole in an event
stream moves the checkpoint back to where the hole begins.
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
from ml_connector.salesforce.soql import instant, select

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

    Effect: the checkpoint moves back in the ledger, and an unfinished poll that is past *since*
    goes on there; joins the caller's transaction.
    """
    with systems.ledger.transaction() as tx:
        known = tx.lock_checkpoint(_beginning(systems, entity))
        if known.confirmed_at > since:
            tx.move_checkpoint(known.feed, "", since)
        elif (_rows_until(known) or LONG_AGO) > since:
            last = known.position.partition("|")[2]
            tx.move_checkpoint(known.feed, f"{since.isoformat()}|{last}", known.confirmed_at)


def _beginning(systems: Systems, entity: str) -> Checkpoint:
    """Return where the first poll of *entity* begins: where the main job is, or long ago."""
    synced = systems.ledger.checkpoint(f"{SALESFORCE}/{entity}")
    at = synced.confirmed_at if synced is not None else LONG_AGO
    return Checkpoint(poll_feed(entity), "", at)


def _rows_until(checkpoint: Checkpoint) -> datetime | None:
    """Return the stamp of the last row an unfinished poll stored; None when none is unfinished."""
    stamp, _, record_id = checkpoint.position.partition("|")
    return datetime.fromisoformat(stamp) if record_id else None


def poll_entity(systems: Systems, entity: str) -> int:
    """Store every change of *entity* since the checkpoint; returns how many were new to us.

    Cost: one query per 2,000 changed rows, and one call each for updated and deleted ids.
    """
    cursor = _Cursor(systems, entity)
    since = cursor.since
    began = systems.clock.now()
    # Asked before the rows: whatever is stamped up to the date covered is committed by now, so that
    # the rows hold it, or the list of updated ids where an earlier run stored the rows around it.
    deleted, covered = _poll_deleted(systems, entity, since, began)
    updated, told = _list_updated(systems, entity, cursor, began)
    found, seen = _poll_rows(systems, entity, cursor)
    late = [key for key in map(eighteen, updated) if key not in seen]
    with systems.ledger.transaction() as tx:
        mark_changed(systems, entity, late, "updated")
        cursor.confirm(tx, min(began, covered, told))
    count = found + deleted + len(late)
    if count:
        log.info("poll of %s: %d changes stored", entity, count)
    return count


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
        beginning = _beginning(systems, entity)
        self._known = systems.ledger.checkpoint(beginning.feed) or beginning
        confirmed = self._known.confirmed_at
        self.since = confirmed - OVERLAP if confirmed > LONG_AGO else None
        """From where changes may be unknown; None for the very beginning."""
        self.rows_until = _rows_until(self._known)
        """Stamp from which a poll that died goes on to read rows; None when none did."""

    def keep(self, tx: Transaction, row: dict[str, Any]) -> None:
        """Keep the last stored row, for a poll that goes on after this one died."""
        position = f"{_stamp(row).isoformat()}|{row['Id']}"
        self._move(tx, position, self._known.confirmed_at)

    def confirm(self, tx: Transaction, at: datetime) -> None:
        """Confirm that everything up to *at* is stored: the poll is through."""
        self._move(tx, "", max(at, self._known.confirmed_at))

    def _move(self, tx: Transaction, position: str, at: datetime) -> None:
        if tx.lock_checkpoint(self._known) != self._known:
            return
        self._known = Checkpoint(self._known.feed, position, at)
        tx.move_checkpoint(self._known.feed, position, at)


def _fields(systems: Systems, entity: str) -> tuple[str, ...]:
    model = SOBJECTS.get(KINDS[entity]) if entity in KINDS else None
    names = ["Id", "SystemModstamp", "IsDeleted"]
    if model is not None:
        names += fields_of(systems, model)
    if systems.salesforce.describe(entity).has("MasterRecordId"):
        names.append("MasterRecordId")
    return tuple(dict.fromkeys(names))


def _poll_rows(systems: Systems, entity: str, cursor: _Cursor) -> tuple[int, set[str]]:
    """Store what changed rows tell; returns how many changes that were, and the ids of the rows."""
    found = 0
    seen: set[str] = set()
    for page in _pages(systems, entity, cursor):
        keys = [eighteen(row["Id"]) for row in page]
        seen.update(keys)
        kind = KINDS.get(entity)
        records = systems.ledger.records(kind, keys) if kind is not None else {}
        changes = [
            change
            for key, row in zip(keys, page, strict=True)
            for change in _change(entity, key, row, records.get(key))
        ]
        with systems.ledger.transaction() as tx:
            tx.add_changes(changes)
            cursor.keep(tx, page[-1])
        found += len(changes)
    return found, seen


def _pages(systems: Systems, entity: str, cursor: _Cursor) -> Iterator[list[dict[str, Any]]]:
    """Yield rows in order of stamp, deleted ones too; goes on when the vendor's cursor dies.

    It goes on with the stamp of the last row, not behind that row: how ids are compared and how
    they are sorted need not agree.
    """
    fields = _fields(systems, entity)
    since = cursor.rows_until or cursor.since
    for attempt in range(10):
        where = f"SystemModstamp >= {instant(since)}" if since is not None else ""
        soql = select(entity, fields, where=where, order_by="SystemModstamp, Id")
        try:
            for page in systems.salesforce.query(soql, batch_size=PAGE, all_rows=True):
                if page:
                    yield page
                    since = _stamp(page[-1])
        except FeedError as error:
            if attempt == 9:
                raise
            log.warning("poll of %s: %s Going on from the last stored row.", entity, error)
        else:
            return


def _stamp(row: dict[str, Any]) -> datetime:
    return parse_instant(row["SystemModstamp"])


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
            changed_at=_stamp(row),
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
        return _reread_linked(systems, entity), now
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


def _list_updated(
    systems: Systems, entity: str, cursor: _Cursor, now: datetime
) -> tuple[list[str], datetime]:
    """Return the ids Salesforce lists as changed, and up to when it tells them all.

    They are asked for where rows alone do not tell of commits that came late.
    """
    oldest = now - UPDATES_KEPT
    is_old = cursor.since is None or cursor.since < oldest
    if is_old and cursor.rows_until is None:
        return [], now
    start = max(cursor.since or oldest, oldest)
    try:
        return systems.salesforce.updated(entity, start, now + timedelta(minutes=1))
    except FeedError as error:
        log.warning("%s: updated ids cannot be listed (%s)", entity, error.code)
        return [], now


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
