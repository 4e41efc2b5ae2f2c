"""Rows stored unless, or in place of what, is there: one statement for both databases.

SQLAlchemy compiles a text once; what its dialects offer for ON CONFLICT it compiles with every use.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Column, Table, TextClause, bindparam, text


def insert_missing(table: Table, unique: Sequence[str] = ()) -> TextClause:
    """Return the statement that leaves a row with the same *unique* columns (the key) as it is."""
    return _insert(table, unique or _key(table), "NOTHING")


def insert_or_replace(
    table: Table, *, kept: Collection[str] = (), only_when: str = ""
) -> TextClause:
    """Return the statement that replaces a row with the same key, but for its *kept* columns.

    A row for which the condition *only_when* does not hold stays, and is not counted.
    """
    key = _key(table)
    columns = [each.name for each in _given(table) if each.name not in {*key, *kept}]
    moved = ", ".join(f'"{name}" = excluded."{name}"' for name in columns)
    condition = f" WHERE {only_when}" if only_when else ""
    return _insert(table, key, f"UPDATE SET {moved}{condition}")


def _insert(table: Table, unique: Sequence[str], otherwise: str) -> TextClause:
    columns = _given(table)
    names = ", ".join(f'"{each.name}"' for each in columns)
    values = ", ".join(f":{each.name}" for each in columns)
    conflict = ", ".join(f'"{name}"' for name in unique)
    statement = text(
        f'INSERT INTO "{table.name}" ({names}) VALUES ({values}) '  # noqa: S608  # names of ours
        f"ON CONFLICT ({conflict}) DO {otherwise}"
    ).bindparams(*(bindparam(each.name, type_=each.type) for each in columns))
    return statement.execution_options(preserve_rowcount=True)


def _given(table: Table) -> list[Column[object]]:
    """Return the columns a row brings along: all but a number the database counts up."""
    return [each for each in table.c if each.autoincrement is not True]


def _key(table: Table) -> list[str]:
    return [each.name for each in table.primary_key]
