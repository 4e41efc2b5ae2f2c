"""The rows of one object with the indexes that keep look-ups fast."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from ml_connector.sandbox.salesforce.schema import SObject
from ml_connector.sandbox.salesforce.values import Row, Value


def index_key(value: Value) -> Value:
    """The value as an index compares it: text without regard to case."""
    return value.lower() if isinstance(value, str) else value


class Table:
    """Rows by id, with an equality index per indexed field and the order of modification."""

    def __init__(self, sobject: SObject) -> None:
        self.rows: dict[str, Row] = {}
        self.indexes: dict[str, dict[Value, dict[str, None]]] = {}
        self.recent: dict[str, None] = {}
        self.in_order = True
        self._newest: datetime | None = None
        self.use(sobject)

    def use(self, sobject: SObject) -> None:
        """Builds the indexes that the object's fields ask for now."""
        wanted = {column.name for column in sobject.fields.values() if column.indexed}
        for name in wanted - self.indexes.keys():
            index: dict[Value, dict[str, None]] = {}
            for record_id, row in self.rows.items():
                if name in row:
                    index.setdefault(index_key(row[name]), {})[record_id] = None
            self.indexes[name] = index

    def put(self, record_id: str, row: Row | None) -> Row | None:
        """Stores a row (or takes it out, for None) and returns what was there before."""
        old = self.rows.get(record_id)
        for name, index in self.indexes.items():
            before = old.get(name) if old else None
            after = row.get(name) if row else None
            if before == after:
                continue
            if before is not None:
                key = index_key(before)
                found = index[key]
                del found[record_id]
                if not found:
                    del index[key]
            if after is not None:
                index.setdefault(index_key(after), {})[record_id] = None
        if row is None:
            self.rows.pop(record_id, None)
            self.recent.pop(record_id, None)
            return old
        self.rows[record_id] = row
        self._note_change(record_id, row)
        return old

    def _note_change(self, record_id: str, row: Row) -> None:
        stamp = _stamp(row)
        self.recent.pop(record_id, None)
        self.recent[record_id] = None
        if self._newest is not None and stamp < self._newest:
            self.in_order = False
        else:
            self._newest = stamp

    def sort(self) -> None:
        """Puts the order of modification right after rows came in with older stamps."""
        if not self.in_order:
            rows = self.rows
            self.recent = dict.fromkeys(sorted(self.recent, key=lambda found: _stamp(rows[found])))
            self.in_order = True

    def having(self, field: str, value: Value) -> Iterable[str]:
        """Ids of the rows whose indexed field has this value, deleted ones included."""
        return self.indexes[field].get(index_key(value), ())

    def live(self, field: str, value: Value) -> list[str]:
        """Ids of the rows that are not deleted and whose indexed field has this value."""
        rows = self.rows
        return [found for found in self.having(field, value) if not rows[found].get("IsDeleted")]

    def since(self, moment: datetime) -> Iterator[str]:
        """Ids of the rows touched at or after an instant, newest first."""
        self.sort()
        for record_id in reversed(self.recent):
            if _stamp(self.rows[record_id]) < moment:
                return
            yield record_id


def _stamp(row: Row) -> datetime:
    stamp = row["SystemModstamp"]
    if not isinstance(stamp, datetime):
        raise TypeError("every row carries its stamp")
    return stamp
