"""One database transaction of the org: what it did, how to undo it, what it tells the world."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ml_connector.sandbox.salesforce.access import Person
from ml_connector.sandbox.salesforce.table import Table
from ml_connector.sandbox.salesforce.values import Row

_SILENT = frozenset({"SystemModstamp"})


@dataclass(frozen=True, slots=True)
class Origin:
    """How a change came in: the API used and the client's name, if it gave one."""

    api: str = "rest"
    version: str = "65.0"
    client: str | None = None

    @property
    def change_origin(self) -> str:
        """The origin as a change event names it."""
        name = f"com/salesforce/api/{self.api}/{self.version}"
        return f"{name};client={self.client}" if self.client else name


@dataclass(slots=True)
class Write:
    """A record that the caller itself wrote, as the write log keeps it."""

    operation: str
    sobject: str
    record_id: str
    fields: dict[str, Any]


@dataclass(slots=True)
class Transaction:
    """Changes that are seen by others together or not at all."""

    person: Person
    origin: Origin
    at: datetime
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    undo: list[tuple[str, Table, str, Row | None]] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)

    def put(self, sobject: str, table: Table, record_id: str, row: Row | None) -> None:
        """Stores a row so that it can be taken back."""
        old = table.put(record_id, row)
        self.undo.append((sobject, table, record_id, old))

    def mark(self) -> tuple[int, int]:
        """A point to which the transaction can be rolled back."""
        return len(self.undo), len(self.writes)

    def roll_back(self, mark: tuple[int, int] = (0, 0)) -> None:
        """Takes back everything done since the mark."""
        undo, writes = mark
        while len(self.undo) > undo:
            _, table, record_id, old = self.undo.pop()
            table.put(record_id, old)
        del self.writes[writes:]

    def entries(self) -> list[dict[str, Any]]:
        """The net change of each record, in the order of first touch."""
        first: dict[tuple[str, str], tuple[Table, Row | None]] = {}
        for sobject, table, record_id, old in self.undo:
            first.setdefault((sobject, record_id), (table, old))
        found = []
        for (sobject, record_id), (table, before) in first.items():
            after = table.rows.get(record_id)
            kind = _kind(before, after)
            if kind is None:
                continue
            names = {*(before or {}), *(after or {})} - _SILENT
            changed = sorted(
                name for name in names if (before or {}).get(name) != (after or {}).get(name)
            )
            if kind == "UPDATE" and not changed:
                continue
            found.append(
                {
                    "object": sobject,
                    "id": record_id,
                    "kind": kind,
                    "before": before,
                    "after": after,
                    "changed": changed,
                }
            )
        return found


def _kind(before: Row | None, after: Row | None) -> str | None:
    was = before is not None and not before.get("IsDeleted")
    now = after is not None and not after.get("IsDeleted")
    if was and now:
        return "UPDATE"
    if was:
        return "DELETE"
    if now:
        return "CREATE" if before is None else "UNDELETE"
    return None
