"""Runs of flows, and small facts the ledger remembers about a connection."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from ml_connector.ledger.records import Run
from ml_connector.ledger.tables import remembered, runs
from ml_connector.ledger.upserts import insert_or_replace

_NAMES = tuple(column.name for column in runs.c if column.name != "connection")


_UPSERT_RUN = insert_or_replace(runs)
_UPSERT_VALUE = insert_or_replace(remembered)


def save(db: Connection, name: str, run: Run) -> None:
    """Store a run, in place of what was known about it."""
    row = {column: getattr(run, column) for column in _NAMES}
    db.execute(_UPSERT_RUN, {"connection": name, **row})


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
    db.execute(_UPSERT_VALUE, row)


def recall(db: Connection, name: str, what: str) -> Any:
    """Return a remembered fact; None when there is none."""
    query = select(remembered.c.value).where(
        remembered.c.connection == name, remembered.c.name == what
    )
    stored = db.scalar(query)
    return None if stored is None else stored["value"]
