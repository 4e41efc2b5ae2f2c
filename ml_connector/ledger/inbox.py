"""What the feeds reported, once each, and how far each feed was read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select, update

from ml_connector.ledger.record_store import chunks
from ml_connector.ledger.records import Checkpoint, NewChange, StoredChange
from ml_connector.ledger.tables import changes, checkpoints
from ml_connector.ledger.upserts import insert_missing, insert_or_replace

QUARANTINE = "quarantine"
"""Inbox system of events that could not be decoded: kept with their bytes as `payload`."""

_COLUMNS = (
    changes.c.id,
    changes.c.system,
    changes.c.entity,
    changes.c.record_id,
    changes.c.change_type,
    changes.c.changed_at,
    changes.c.source,
    changes.c.payload,
)
_INSERT = insert_missing(changes, ("connection", "system", "entity", "dedupe_key"))
_MOVE = insert_or_replace(checkpoints)
_BEGIN = insert_missing(checkpoints)
_LOCKED = (
    select(checkpoints.c.feed, checkpoints.c.position, checkpoints.c.confirmed_at)
    .where(
        checkpoints.c.connection == bindparam("connection"),
        checkpoints.c.feed == bindparam("feed"),
    )
    .with_for_update()
)


def add(db: Connection, name: str, new: Sequence[NewChange], now: datetime) -> None:
    """Store *new*; what was reported before is ignored."""
    if not new:
        return
    rows = [
        {
            "connection": name,
            "system": each.system,
            "entity": each.entity,
            "record_id": each.record_id,
            "change_type": each.change_type,
            "changed_at": each.changed_at,
            "source": each.source,
            "dedupe_key": each.dedupe_key,
            "payload": dict(each.payload),
            "received_at": now,
            "finished_at": None,
        }
        for each in new
    ]
    db.execute(_INSERT, rows)


def pending(
    db: Connection, name: str, stream: tuple[str, str], after: int, limit: int
) -> list[StoredChange]:
    """Return the next unfinished changes of a stream (system, entity), oldest first."""
    query = (
        select(*_COLUMNS)
        .where(*_pending_terms(name, stream), changes.c.id > after)
        .order_by(changes.c.id)
        .limit(limit)
    )
    return [_change(row) for row in db.execute(query).all()]


def _pending_terms(name: str, stream: tuple[str, str]) -> tuple[Any, ...]:
    system, entity = stream
    return (
        changes.c.connection == name,
        changes.c.system == system,
        changes.c.entity == entity,
        changes.c.finished_at.is_(None),
    )


def pending_ids(db: Connection, name: str, stream: tuple[str, str]) -> list[str]:
    """Return the ids with unfinished changes, the one that waits longest first."""
    query = (
        select(changes.c.record_id)
        .where(*_pending_terms(name, stream))
        .group_by(changes.c.record_id)
        .order_by(func.min(changes.c.id))
    )
    return list(db.scalars(query))


def of_record(db: Connection, name: str, record_id: str) -> list[StoredChange]:
    """Return every stored change of a record, finished or not, oldest first."""
    query = (
        select(*_COLUMNS)
        .where(changes.c.connection == name, changes.c.record_id == record_id)
        .order_by(changes.c.id)
    )
    return [_change(row) for row in db.execute(query)]


def changed_since(db: Connection, name: str, at: datetime) -> list[tuple[str, str]]:
    """Return (entity, record id) of every change stored since *at*, the oldest first."""
    query = (
        select(changes.c.entity, changes.c.record_id)
        .where(changes.c.connection == name, changes.c.changed_at >= at)
        .group_by(changes.c.entity, changes.c.record_id)
        .order_by(func.min(changes.c.id))
    )
    return [(entity, record_id) for entity, record_id in db.execute(query)]


def last_id(db: Connection, name: str) -> int:
    """Return the id of the newest change; 0 when there is none."""
    newest = select(func.max(changes.c.id)).where(changes.c.connection == name)
    return db.scalar(newest) or 0


def counts(db: Connection, name: str) -> dict[tuple[str, str], int]:
    """Return how many changes of each stream (system, entity) are unfinished."""
    query = (
        select(changes.c.system, changes.c.entity, func.count(changes.c.id))
        .where(changes.c.connection == name, changes.c.finished_at.is_(None))
        .group_by(changes.c.system, changes.c.entity)
    )
    return {(system, entity): number for system, entity, number in db.execute(query)}


def finish(
    db: Connection,
    name: str,
    stream: tuple[str, str],
    record_ids: Iterable[str],
    up_to_id: int | None,
    now: datetime,
) -> None:
    """Mark the changes of *record_ids* up to *up_to_id* (None: all) as dealt with."""
    upper = () if up_to_id is None else (changes.c.id <= up_to_id,)
    for chunk in chunks(record_ids):
        db.execute(
            update(changes)
            .where(*_pending_terms(name, stream), changes.c.record_id.in_(chunk), *upper)
            .values(finished_at=now)
        )


def finish_read(db: Connection, name: str, change_ids: Iterable[int], now: datetime) -> None:
    """Mark exactly the changes with *change_ids* as dealt with.

    One that was stored later may have a lower id: ids are given before the commit.
    """
    for chunk in chunks(change_ids):
        db.execute(
            update(changes)
            .where(
                changes.c.connection == name,
                changes.c.id.in_(chunk),
                changes.c.finished_at.is_(None),
            )
            .values(finished_at=now)
        )


def reopen(db: Connection, name: str, record_ids: Iterable[str]) -> None:
    """Make the newest change of each of *record_ids* unfinished again, for a replay."""
    for chunk in chunks(record_ids):
        newest = (
            select(func.max(changes.c.id))
            .where(changes.c.connection == name, changes.c.record_id.in_(chunk))
            .group_by(changes.c.record_id)
        )
        db.execute(
            update(changes)
            .where(changes.c.connection == name, changes.c.id.in_(newest))
            .values(finished_at=None)
        )


def forget_finished(db: Connection, name: str, before: datetime) -> int:
    """Delete what was dealt with, or put aside, before *before*; returns how many that were."""
    put_aside = and_(changes.c.system == QUARANTINE, changes.c.received_at < before)
    done = db.execute(
        delete(changes).where(
            changes.c.connection == name, or_(changes.c.finished_at < before, put_aside)
        )
    )
    return done.rowcount


def erase_payloads(db: Connection, name: str, record_id: str) -> None:
    """Erase what the changes of a record carried, and the bytes nobody could decode.

    Whom those are about cannot be told, so that all of them go; their reasons stay.
    """
    of_connection = changes.c.connection == name
    db.execute(
        update(changes).where(of_connection, changes.c.record_id == record_id).values(payload={})
    )
    put_aside = select(changes.c.id, changes.c.payload).where(
        of_connection, changes.c.system == QUARANTINE
    )
    for id_, payload in db.execute(put_aside).all():
        kept = {key: value for key, value in payload.items() if key != "payload"}
        db.execute(update(changes).where(changes.c.id == id_).values(payload=kept))


def move_checkpoint(db: Connection, name: str, checkpoint: Checkpoint) -> None:
    """Store how far a feed was read."""
    db.execute(_MOVE, _checkpoint_row(name, checkpoint))


def lock_checkpoint(db: Connection, name: str, beginning: Checkpoint) -> Checkpoint:
    """Return how far a feed was read, *beginning* when it never was; nobody else moves it now."""
    row = _checkpoint_row(name, beginning)
    where = {"connection": name, "feed": beginning.feed}
    found = db.execute(_LOCKED, where).one_or_none()
    if found is None:
        db.execute(_BEGIN, row)
        found = db.execute(_LOCKED, where).one()
    return Checkpoint(*found)


def _checkpoint_row(name: str, checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "connection": name,
        "feed": checkpoint.feed,
        "position": checkpoint.position,
        "confirmed_at": checkpoint.confirmed_at,
    }


def read_checkpoints(db: Connection, name: str, feed: str | None = None) -> list[Checkpoint]:
    """Return how far each feed, or one of them, was read."""
    query = select(checkpoints.c.feed, checkpoints.c.position, checkpoints.c.confirmed_at).where(
        checkpoints.c.connection == name
    )
    if feed is not None:
        query = query.where(checkpoints.c.feed == feed)
    return [Checkpoint(*row) for row in db.execute(query.order_by(checkpoints.c.feed))]


def _change(row: Sequence[Any]) -> StoredChange:
    names = [column.name for column in _COLUMNS]
    return StoredChange(**dict(zip(names, row, strict=True)))
