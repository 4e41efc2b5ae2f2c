"""Invoices and credit memos of the orders, as last seen in BC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from ml_connector.ledger.record_store import chunks
from ml_connector.ledger.records import Document
from ml_connector.ledger.tables import documents
from ml_connector.ledger.upserts import insert_or_replace

_NAMES = tuple(
    column.name for column in documents.c if column.name not in {"connection", "is_open"}
)
_COLUMNS = tuple(documents.c[name] for name in _NAMES)


_UPSERT = insert_or_replace(documents)


def save(db: Connection, name: str, rows: Sequence[Document]) -> None:
    """Store *rows*, in place of what was known about them."""
    if not rows:
        return
    parameters = []
    for document in sorted(rows, key=lambda each: each.bc_id.lower()):
        row = {column: getattr(document, column) for column in _NAMES}
        row |= {
            "connection": name,
            "bc_id": document.bc_id.lower(),
            "invoice_id": document.invoice_id.lower(),
            "is_open": document.is_open,
        }
        parameters.append(row)
    db.execute(_UPSERT, parameters)


def remove(db: Connection, name: str, bc_ids: Iterable[str]) -> None:
    """Forget documents that BC does not have any more."""
    for chunk in chunks(bc_id.lower() for bc_id in bc_ids):
        db.execute(
            delete(documents).where(documents.c.connection == name, documents.c.bc_id.in_(chunk))
        )


def of_orders(db: Connection, name: str, order_keys: Iterable[str]) -> dict[str, list[Document]]:
    """Return the documents of each order, in order of their numbers."""
    found: dict[str, list[Document]] = {}
    for chunk in chunks(order_keys):
        query = (
            select(*_COLUMNS)
            .where(documents.c.connection == name, documents.c.order_key.in_(chunk))
            .order_by(documents.c.number, documents.c.bc_id)
        )
        for row in db.execute(query):
            document = _document(row)
            found.setdefault(document.order_key, []).append(document)
    return found


def by_ids(db: Connection, name: str, bc_ids: Iterable[str]) -> dict[str, Document]:
    """Return the documents of *bc_ids* that are known, by id."""
    found: dict[str, Document] = {}
    for chunk in chunks(bc_id.lower() for bc_id in bc_ids):
        query = select(*_COLUMNS).where(
            documents.c.connection == name, documents.c.bc_id.in_(chunk)
        )
        for row in db.execute(query):
            document = _document(row)
            found[document.bc_id] = document
    return found


def by_numbers(db: Connection, name: str, numbers: Iterable[str]) -> dict[str, list[Document]]:
    """Return the documents that have one of *numbers*, by number as BC spells it."""
    found: dict[str, list[Document]] = {}
    for chunk in chunks(number for number in numbers if number):
        query = select(*_COLUMNS).where(
            documents.c.connection == name, documents.c.number.in_(chunk)
        )
        for row in db.execute(query):
            document = _document(row)
            found.setdefault(document.number, []).append(document)
    return found


def open_page(
    db: Connection, name: str, after: str, due_before: date | None, size: int
) -> list[Document]:
    """Return the next open documents above *after*; with a date, those posted and due before it."""
    query = select(*_COLUMNS).where(
        documents.c.connection == name, documents.c.is_open, documents.c.bc_id > after
    )
    if due_before is not None:
        query = query.where(documents.c.posted, documents.c.due_date < due_before)
    return [_document(row) for row in db.execute(query.order_by(documents.c.bc_id).limit(size))]


def _document(row: Row[Any]) -> Document:
    return Document(**dict(zip(_NAMES, row, strict=True)))
