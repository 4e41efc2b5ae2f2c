"""Reading and saving records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    func,
    literal,
    or_,
    select,
)

from ml_connector.domain.identifiers import Kind, State, eighteen
from ml_connector.ledger.records import Record
from ml_connector.ledger.tables import records
from ml_connector.ledger.upserts import insert_or_replace

Key = TypeVar("Key", int, str)

CHUNK = 500
"""Values in one IN list; far below what either database takes."""

_PAGE = 1000
"""Rows read at a time by a walk over a whole table."""

_COLUMNS = tuple(column.name for column in records.c if column.name != "connection")
_FROM_ROW = tuple(records.c[name] for name in _COLUMNS)

_BY_KEYS = select(*_FROM_ROW).where(
    records.c.connection == bindparam("name"),
    records.c.kind == bindparam("of_kind"),
    records.c.key.in_(bindparam("values", expanding=True)),
)


_UPSERT = insert_or_replace(records, only_when="records.version = excluded.version - 1")
"""Stores a row when the stored version is the one before it."""


def chunks(values: Iterable[Key], size: int = CHUNK) -> Iterator[list[Key]]:
    """Yield the distinct values in sorted lists of at most *size*."""
    rest = iter(sorted(set(values)))
    while chunk := list(islice(rest, size)):
        yield chunk


def all_pages(db: Connection, query: Select[Any], by: Column[int]) -> Iterator[Row[Any]]:
    """Yield the rows of *query*, which selects *by*, in its order; memory stays flat."""
    ordered = query.order_by(by).limit(_PAGE)
    rows: Sequence[Row[Any]] = db.execute(ordered).all()
    while rows:
        yield from rows
        if len(rows) < _PAGE:
            return
        rows = db.execute(ordered.where(by > getattr(rows[-1], by.name))).all()


def upsert(db: Connection, name: str, rows: Sequence[Record]) -> bool:
    """Store *rows*, whose `version` is already the new one; False when one of them was stale."""
    ordered = sorted(rows, key=lambda record: (record.kind, record.key))
    parameters = [_row(name, record) for record in ordered]
    return bool(db.execute(_UPSERT, parameters).rowcount == len(ordered))


def _row(name: str, record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {column: getattr(record, column) for column in _COLUMNS}
    row["connection"] = name
    for column in ("kind", "key", "state", "cause", "owner"):
        row[column] = str(row[column])
    for column in ("message", "remedy", "salesforce_number", "bc_number", "reference"):
        row[column] = row[column].replace("\x00", "")
    row["bc_id"] = record.bc_id.lower()
    return row


def _record(row: Row[Any]) -> Record:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["kind"], values["state"] = Kind(values["kind"]), State(values["state"])
    return Record(**values)


def by_keys(db: Connection, name: str, kind: str, keys: Iterable[str]) -> dict[str, Record]:
    """Return the records of *keys* that exist, by key."""
    found: dict[str, Record] = {}
    for chunk in chunks(keys):
        rows = db.execute(_BY_KEYS, {"name": name, "of_kind": str(kind), "values": chunk})
        for row in rows:
            record = _record(row)
            found[record.key] = record
    return found


def versions(db: Connection, name: str, kind: str, keys: Iterable[str]) -> dict[str, int]:
    """Return the stored version of each of *keys* that exists."""
    found: dict[str, int] = {}
    for chunk in chunks(keys):
        query = select(records.c.key, records.c.version).where(
            records.c.connection == name, records.c.kind == str(kind), records.c.key.in_(chunk)
        )
        found.update((row.key, row.version) for row in db.execute(query))
    return found


def by_column(
    db: Connection, name: str, kind: str, column: str, values: Iterable[str]
) -> dict[str, list[Record]]:
    """Return the records whose *column* has one of *values*, by that value."""
    found: dict[str, list[Record]] = {}
    for chunk in chunks(value for value in values if value):
        query = (
            select(*_FROM_ROW)
            .where(
                records.c.connection == name,
                records.c.kind == str(kind),
                records.c[column].in_(chunk),
            )
            .order_by(records.c.key)
        )
        for row in db.execute(query):
            record = _record(row)
            found.setdefault(getattr(record, column), []).append(record)
    return found


def find(db: Connection, name: str, text: str) -> list[Record]:
    """Return the records that *text* names: an id or number of either system, in any case."""
    wanted = text.strip()
    if not wanted:
        return []
    spellings = {wanted, wanted.lower(), wanted.upper()}
    folded = {wanted.lower()}
    if len(wanted) == 15 and wanted.isalnum():
        folded.add(eighteen(wanted).lower())
    columns = [
        records.c[each]
        for each in ("key", "salesforce_id", "salesforce_number", "bc_id", "bc_number")
    ]
    matches: list[ColumnElement[bool]] = [
        or_(func.lower(column).in_(folded), column.in_(spellings)) for column in columns
    ]
    query = (
        select(*_FROM_ROW)
        .where(records.c.connection == name, or_(*matches))
        .order_by(records.c.first_seen_at, records.c.kind, records.c.key)
    )
    return [_record(row) for row in db.execute(query)]


def conditions(
    states: Iterable[str] | None,
    settled: bool | None,
    show_pending: bool | None,
    linked: bool | None,
) -> list[ColumnElement[bool]]:
    """Return the WHERE terms of a walk over records; None means either."""
    terms: list[ColumnElement[bool]] = []
    if states is not None:
        terms.append(records.c.state.in_([str(state) for state in states]))
    if settled is not None:
        terms.append(records.c.settled if settled else ~records.c.settled)
    if show_pending is not None:
        terms.append(records.c.show_pending if show_pending else ~records.c.show_pending)
    if linked is not None:
        terms.append(records.c.bc_id != "" if linked else records.c.bc_id == "")
    return terms


def page(
    db: Connection,
    name: str,
    kind: str,
    after: str,
    terms: Sequence[ColumnElement[bool]],
    size: int,
) -> list[Record]:
    """Return the next *size* records of *kind* above the key *after*, in order of their keys."""
    query = (
        select(*_FROM_ROW)
        .where(records.c.connection == name, records.c.kind == kind, records.c.key > after, *terms)
        .order_by(records.c.key)
        .limit(size)
    )
    return [_record(row) for row in db.execute(query)]


def keys(db: Connection, name: str, kind: str, states: Iterable[str]) -> list[str]:
    """Return the keys of the records of *kind* in *states*, the one longest there first."""
    query = (
        select(records.c.key)
        .where(
            records.c.connection == name,
            records.c.kind == str(kind),
            records.c.state.in_([str(state) for state in states]),
        )
        .order_by(records.c.since, records.c.key)
    )
    return list(db.scalars(query))


def counts(db: Connection, name: str) -> dict[str, dict[str, int]]:
    """Return how many records of each kind are in each state."""
    query = (
        select(records.c.kind, records.c.state, func.count(literal(1)))
        .where(records.c.connection == name)
        .group_by(records.c.kind, records.c.state)
    )
    found: dict[str, dict[str, int]] = {}
    for kind, state, number in db.execute(query):
        found.setdefault(kind, {})[state] = number
    return found
