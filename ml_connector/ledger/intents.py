"""Writes to a vendor: kept before they are tried, closed with what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Text,
    bindparam,
    func,
    insert,
    select,
    type_coerce,
    update,
)

from ml_connector.domain.identifiers import Kind
from ml_connector.errors import StaleClaim
from ml_connector.ledger.record_store import all_pages, chunks
from ml_connector.ledger.records import Intent, NewIntent
from ml_connector.ledger.run_ids import RunIds
from ml_connector.ledger.tables import intents

UNRESOLVED = ("open", "sent", "uncertain")
EVERY_STATE = (*UNRESOLVED, "closed")

_COLUMNS = tuple(column for column in intents.c if column.name != "connection")
_NAMES = tuple(column.name for column in _COLUMNS)
_INSERT = insert(intents).returning(intents.c.id, sort_by_parameter_order=True)
_ATTEMPTS = (
    select(
        intents.c.key,
        intents.c.operation,
        func.max(intents.c.attempt).label("attempt"),
        func.count(intents.c.id).filter(intents.c.state != "closed").label("unresolved"),
    )
    .where(
        intents.c.connection == bindparam("name"),
        intents.c.kind == bindparam("of_kind"),
        intents.c.key.in_(bindparam("values", expanding=True)),
    )
    .group_by(intents.c.key, intents.c.operation)
)
_UPDATE = update(intents).where(
    intents.c.connection == bindparam("name"),
    intents.c.id == bindparam("intent_id"),
    intents.c.state != "closed",
)
_SENT = _UPDATE.values(state="sent", sent_at=bindparam("at"))
_UNCERTAIN = _UPDATE.values(state="uncertain", message=bindparam("text"))
_CLOSED = _UPDATE.values(
    state="closed",
    outcome=bindparam("ended"),
    bc_id=bindparam("partner"),
    closed_at=bindparam("at"),
)


def open_all(
    db: Connection, name: str, new: Sequence[NewIntent], run: RunIds, now: datetime
) -> list[Intent]:
    """Store *new* (all of one kind) as open and return them in their order.

    Raises: StaleClaim (`unresolved_intent`) when an earlier write of the same operation on one of
    the records has no known end yet.
    """
    if not new:
        return []
    attempts = _attempts(db, name, new)
    rows = [
        {
            "connection": name,
            "kind": str(each.kind),
            "key": each.key,
            "operation": each.operation,
            "natural_key": each.natural_key,
            "payload": dict(each.payload),
            "payload_hash": each.payload_hash,
            "attempt": attempts.get((each.key, each.operation), 0) + 1,
            "state": "open",
            "outcome": "",
            "message": "",
            "bc_id": "",
            "fence": each.fence,
            "created_at": now,
            "sent_at": None,
            "closed_at": None,
            "flow_run_id": run.flow_run_id,
            "task_run_id": run.task_run_id,
        }
        for each in new
    ]
    ids = db.scalars(_INSERT, rows).all()
    return [_intent({"id": id_, **row}) for id_, row in zip(ids, rows, strict=True)]


def _attempts(db: Connection, name: str, new: Sequence[NewIntent]) -> dict[tuple[str, str], int]:
    wanted = {(each.key, each.operation) for each in new}
    attempts: dict[tuple[str, str], int] = {}
    for chunk in chunks(each.key for each in new):
        where = {"name": name, "of_kind": str(new[0].kind), "values": chunk}
        for row in db.execute(_ATTEMPTS, where):
            if (row.key, row.operation) not in wanted:
                continue
            if row.unresolved:
                raise StaleClaim(
                    f"An earlier {row.operation} of {new[0].kind} {row.key} has no known end yet.",
                    system="ledger",
                    code="unresolved_intent",
                    record_id=row.key,
                )
            attempts[row.key, row.operation] = row.attempt
    return attempts


def mark_sent(db: Connection, name: str, intent_id: int, at: datetime) -> None:
    """Note that the call may have left this computer from now on."""
    _one(db, _SENT, {"name": name, "intent_id": intent_id, "at": at})


def mark_uncertain(db: Connection, name: str, intent_id: int, message: str) -> None:
    """Note that the answer was lost."""
    _one(db, _UNCERTAIN, {"name": name, "intent_id": intent_id, "text": message})


def close(db: Connection, name: str, intent_id: int, ended: tuple[str, str], at: datetime) -> None:
    """Note how the write ended: outcome and BC id."""
    outcome, bc_id = ended
    values = {"ended": outcome, "partner": bc_id.lower(), "at": at}
    _one(db, _CLOSED, {"name": name, "intent_id": intent_id, **values})


def _one(db: Connection, statement: Any, values: dict[str, Any]) -> None:
    if db.execute(statement, values).rowcount != 1:
        raise StaleClaim(
            "Another worker closed the write this one was still busy with.",
            system="ledger",
            code="intent_closed",
        )


def of_records(
    db: Connection, name: str, kind: str, keys: Iterable[str], states: Sequence[str]
) -> dict[str, list[Intent]]:
    """Return the intents of *keys* in *states*, oldest first, by key."""
    found: dict[str, list[Intent]] = {}
    for chunk in chunks(keys):
        query = (
            select(*_COLUMNS)
            .where(
                intents.c.connection == name,
                intents.c.kind == str(kind),
                intents.c.key.in_(chunk),
                intents.c.state.in_(list(states)),
            )
            .order_by(intents.c.id)
        )
        for row in db.execute(query):
            intent = _from_row(row)
            found.setdefault(intent.key, []).append(intent)
    return found


def unresolved_before(db: Connection, name: str, before: datetime) -> list[Intent]:
    """Return the writes opened before *before* that have no known end, oldest first."""
    query = (
        select(*_COLUMNS)
        .where(
            intents.c.connection == name,
            intents.c.state != "closed",
            intents.c.created_at < before,
        )
        .order_by(intents.c.id)
    )
    return [_from_row(row) for row in db.execute(query)]


def closed(db: Connection, name: str) -> Iterator[Row[Any]]:
    """Walk over id, kind, key, message and payload (JSON text) of the writes whose end is known."""
    columns = (intents.c.id, intents.c.kind, intents.c.key, intents.c.message)
    query = select(*columns, type_coerce(intents.c.payload, Text).label("payload")).where(
        intents.c.connection == name, intents.c.state == "closed"
    )
    return all_pages(db, query, intents.c.id)


def erase_numbered(db: Connection, name: str, ids: Sequence[int]) -> None:
    """Erase what the closed writes *ids* sent and were answered; what they were for stays."""
    for chunk in chunks(ids):
        db.execute(
            update(intents)
            .where(
                intents.c.connection == name,
                intents.c.id.in_(chunk),
                intents.c.state == "closed",
            )
            .values(payload={}, message="")
        )


def _from_row(row: Row[Any]) -> Intent:
    return _intent(dict(zip(_NAMES, row, strict=True)))


def _intent(values: dict[str, Any]) -> Intent:
    values = {name: value for name, value in values.items() if name != "connection"}
    values["kind"] = Kind(values["kind"])
    return Intent(**values)
