"""Runs of flows, and small facts the ledger remembers about a connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql, sqlite

from ml_connector.ledger.records import Run
from ml_connector.ledger.tables import remembered, runs

_NAMES = tuple(column.name for column in runs.c if column.name != "connection")


def _upsert_run(insert: Any) -> Any:
    return insert.on_conflict_do_update(
        index_elements=[runs.c.connection, runs.c.flow_run_id],
        set_={name: insert.excluded[name] for name in _NAMES if name != "flow_run_id"},
    )


def _upsert_value(insert: Any) -> Any:
    return insert.on_conflict_do_update(
        index_elements=[remembered.c.connection, remembered.c.name],
        set_={"value": insert.excluded.value},
    )


_RUN_UPSERTS: Mapping[str, Any] = {
    "sqlite": _upsert_run(sqlite.insert(runs)),
    "postgresql": _upsert_run(postgresql.insert(runs)),
}
_VALUE_UPSERTS: Mapping[str, Any] = {
    "sqlite": _upsert_value(sqlite.insert(remembered)),
    "postgresql": _upsert_value(postgresql.insert(remembered)),
}


def save(db: Connection, name: str, run: Run) -> None:
    """Store a run, in place of what was known about it."""
    row = {column: getattr(run, column) for column in _NAMES}
    db.execute(_RUN_UPSERTS[db.dialect.name], {"connection": name, **row})


def last(db: Connection, name: str, run_name: str) -> Run | None:
    """Return the run of *run_name* that started last."""
    query = (
        select(*(runs.c[column] for column in _NAMES))
        .where(runs.c.connection == name, runs.c.name == run_name)
        .order_by(runs.c.started_at.desc())
        .limit(1)
    )
    row = db.execute(query).one_or_none()
    return None if row is None else _run(row)


def get(db: Connection, name: str, flow_run_id: str) -> Run | None:
    """Return the run with this id."""
    query = select(*(runs.c[column] for column in _NAMES)).where(
        runs.c.connection == name, runs.c.flow_run_id == flow_run_id
    )
    row = db.execute(query).one_or_none()
    return None if row is None else _run(row)


def _run(row: Row[Any]) -> Run:
    return Run(**dict(zip(_NAMES, row, strict=True)))


def remember(db: Connection, name: str, what: str, value: Any) -> None:
    """Store a small fact about the connection."""
    row = {"connection": name, "name": what, "value": {"value": value}}
    db.execute(_VALUE_UPSERTS[db.dialect.name], row)


def recall(db: Connection, name: str, what: str) -> Any:
    """Return a remembered fact; None when there is none."""
    query = select(remembered.c.value).where(
        remembered.c.connection == name, remembered.c.name == what
    )
    stored = db.scalar(query)
    return None if stored is None else stored["value"]
