"""The company's tables: rows by id, indexes, primary-key order, newest-first order."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Any

from ml_connector.sandbox.business_central.entities import ENTITIES, INDEXED

Row = dict[str, Any]


class Table:
    """Rows of one set; indexes follow every change made through its methods."""

    def __init__(self, name: str, key: str, order: tuple[str, ...], indexed: Iterable[str]) -> None:
        self.name = name
        self.key = key
        self.rows: dict[str, Row] = {}
        self._order = order
        self._indexes: dict[str, dict[Any, dict[str, None]]] = {field: {} for field in indexed}
        self._sorted: list[tuple[Any, ...]] = []
        self._unsorted = False
        self._listing: tuple[Row, ...] | None = None
        self._recent: dict[str, str] = {}
        self._newest = ""
        self._in_time_order = True

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: Row, *, bulk: bool = False) -> None:
        """Take in a new row; `bulk` postpones sorting to the next read."""
        row_id = row[self.key]
        self.rows[row_id] = row
        self._listing = None
        for field, index in self._indexes.items():
            index.setdefault(row[field], {})[row_id] = None
        if bulk or self._unsorted:
            self._sorted.append(self._sort_key(row))
            self._unsorted = True
        else:
            insort(self._sorted, self._sort_key(row))
        self._note_time(row)

    def remove(self, row_id: str) -> Row:
        """Take a row out."""
        row = self.rows.pop(row_id)
        self._listing = None
        for field, index in self._indexes.items():
            self._unindex(index, row[field], row_id)
        self._drop_sorted(row)
        self._recent.pop(row_id, None)
        return row

    def change(self, row: Row, values: Row) -> None:
        """Set values of a row of this table."""
        row_id = row[self.key]
        moved = any(field in values and values[field] != row[field] for field in self._order)
        if moved:
            self._listing = None
            self._drop_sorted(row)
        for field, index in self._indexes.items():
            if field in values and values[field] != row[field]:
                self._unindex(index, row[field], row_id)
                index.setdefault(values[field], {})[row_id] = None
        row.update(values)
        if moved:
            if self._unsorted:
                self._sorted.append(self._sort_key(row))
            else:
                insort(self._sorted, self._sort_key(row))
        if "lastModifiedDateTime" in values:
            self._note_time(row)

    def indexed(self, field: str) -> bool:
        """Whether rows can be found by this field without a scan."""
        return field == self.key or field in self._indexes

    def find(self, field: str, value: Any) -> list[Row]:
        """The rows whose field has this value, in primary-key order."""
        if field == self.key:
            row = self.rows.get(value)
            return [] if row is None else [row]
        ids = self._indexes[field].get(value)
        if not ids:
            return []
        rows = [self.rows[row_id] for row_id in ids]
        if len(rows) > 1:
            rows.sort(key=self._sort_key)
        return rows

    def count(self, field: str, values: Iterable[Any]) -> int:
        """How many rows an index holds for these values."""
        if field == self.key:
            return sum(value in self.rows for value in values)
        index = self._indexes[field]
        return sum(len(index.get(value, ())) for value in values)

    def first(self, field: str, value: Any) -> Row | None:
        """One row whose field has this value."""
        if field == self.key:
            return self.rows.get(value)
        ids = self._indexes[field].get(value)
        return self.rows[next(iter(ids))] if ids else None

    def in_order(self) -> Sequence[Row]:
        """All rows in primary-key order."""
        if self._listing is None:
            if self._unsorted:
                self._sorted.sort()
                self._unsorted = False
            rows = self.rows
            self._listing = tuple(rows[entry[-1]] for entry in self._sorted)
        return self._listing

    def changed_since(self, stamp: str) -> list[Row] | None:
        """Rows stamped at or after a time, None when stamps ran backwards and a scan is due."""
        if not self._in_time_order:
            return None
        found = []
        for row_id in reversed(self._recent):
            row = self.rows[row_id]
            if row["lastModifiedDateTime"][:-1] < stamp:
                break
            found.append(row)
        found.sort(key=self._sort_key)
        return found

    def sort_key(self, row: Row) -> tuple[Any, ...]:
        """What primary-key order compares."""
        return self._sort_key(row)

    def _sort_key(self, row: Row) -> tuple[Any, ...]:
        return (*[row[field] for field in self._order], row[self.key])

    def _drop_sorted(self, row: Row) -> None:
        entry = self._sort_key(row)
        if self._unsorted:
            self._sorted.remove(entry)
            return
        place = bisect_left(self._sorted, entry)
        del self._sorted[place]

    @staticmethod
    def _unindex(index: dict[Any, dict[str, None]], value: Any, row_id: str) -> None:
        ids = index[value]
        del ids[row_id]
        if not ids:
            del index[value]

    def _note_time(self, row: Row) -> None:
        stamp = row.get("lastModifiedDateTime")
        if stamp is None:
            return
        row_id = row[self.key]
        self._recent.pop(row_id, None)
        self._recent[row_id] = stamp
        if stamp < self._newest:
            self._in_time_order = False
        else:
            self._newest = stamp


def make_tables() -> dict[str, Table]:
    """An empty table per stored set, and the ledgers behind the API."""
    tables = {}
    for name, entity in ENTITIES.items():
        if entity.derived:
            continue
        indexed = list(INDEXED.get(name, ()))
        if "code" in entity.fields and name != "dimensionSetLines":
            indexed.append("code")
        key = "_key" if name == "dimensionSetLines" else entity.key
        tables[name] = Table(name, key, entity.order, indexed)
    for name, indexed in (
        ("_item_units", ["itemId"]),
        ("_ledger", ["customerId", "documentId"]),
    ):
        tables[name] = Table(name, "id", ("id",), indexed)
    return tables
