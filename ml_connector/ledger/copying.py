"""A copy of one connection's rows in another ledger, to try things out without a trace."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from ml_connector.ledger import intents as unresolved
from ml_connector.ledger.tables import (
    changes,
    checkpoints,
    documents,
    intents,
    records,
    remembered,
    subscriptions,
)

_PAGE = 1000
_TABLES = (records, intents, checkpoints, changes, documents, remembered, subscriptions)


def copy_rows(source: Connection, target: Connection, name: str) -> None:
    """Copy what decisions are made from: no audit, no claims, no runs, no settled intents.

    *source* may be another kind of database than *target*; *target* has no such rows yet.
    """
    for table in _TABLES:
        rows = select(table).where(table.c.connection == name)
        if table is intents:
            rows = rows.where(table.c.state.in_(unresolved.UNRESOLVED))
        found = source.execute(rows.execution_options(yield_per=_PAGE))
        for page in found.mappings().partitions(_PAGE):
            target.execute(insert(table), [dict(row) for row in page])
