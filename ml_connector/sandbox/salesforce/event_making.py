"""From a committed transaction to its change events: merging, partial values, text differences."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ml_connector.sandbox.salesforce.event_schema import EventSchema

MERGED_RECORDS = 1_000
"""How many records one merged event names at most, so that it stays far below a megabyte."""

LARGEST_EVENT = 1_000_000
DIFF_FROM = 1_000
"""Texts of this length and more travel as a difference when they change."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction did to one record; rows are as stored, absent and None are both null."""

    entity: str
    record_id: str
    kind: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Commit:
    """One transaction with all its changes in the order they were made."""

    transaction_key: str
    at: datetime
    user_id: str
    origin: str
    changes: Sequence[Change]


@dataclass(slots=True)
class ChangeEvent:
    """One event of the stream, not yet written in Avro: that depends on who reads it."""

    entity: str
    schema_id: str
    kind: str
    record_ids: list[str]
    at: datetime
    transaction_key: str
    sequence: int
    commit_number: int
    user_id: str
    origin: str
    values: dict[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    nulled: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    spoiled: str | None = None
    number: int = 0
    written: dict[frozenset[str], bytes] = field(default_factory=dict)
    """Payloads by the columns that were hidden from their reader."""

    def payload(self, schema: EventSchema, hidden: frozenset[str]) -> bytes:
        """The Avro payload for a reader who may not see these columns."""
        found = self.written.get(hidden)
        if found is None:
            found = self.written[hidden] = self._spoil(self._write(schema, hidden))
        return found

    def _write(self, schema: EventSchema, hidden: frozenset[str]) -> bytes:
        def seen(columns: Iterable[str]) -> list[str]:
            return schema.bitmaps(column for column in columns if column not in hidden)

        changed = seen(self.changed)
        if self.spoiled == "bitmap":
            changed = ["0x" + "F" * 64, *changed[1:]]
        header = {
            "entityName": self.entity,
            "recordIds": [] if self.spoiled == "record_ids" else self.record_ids,
            "changeType": self.kind,
            "changeOrigin": self.origin,
            "transactionKey": self.transaction_key,
            "sequenceNumber": self.sequence,
            "commitTimestamp": int(self.at.timestamp() * 1000),
            "commitNumber": self.commit_number,
            "commitUser": self.user_id,
            "nulledFields": seen(self.nulled),
            "diffFields": seen(self.differing),
            "changedFields": changed,
        }
        values = self.values
        if hidden:
            values = {column: value for column, value in values.items() if column not in hidden}
        return schema.encode(header, values)

    def _spoil(self, payload: bytes) -> bytes:
        if self.spoiled == "payload":
            return payload[:5]
        if self.spoiled == "body":
            return payload[:-3]
        return payload


@dataclass(frozen=True, slots=True)
class Making:
    """How events are made; the parts where the documents leave a choice."""

    merge: bool = True
    text_differences: bool = True
    idle_updates: bool = True
    overflow_after: int = 100_000


def make_events(
    commit: Commit,
    schemas: Mapping[str, EventSchema],
    commit_number: int,
    making: Making,
) -> list[ChangeEvent]:
    """The events of a transaction for the entities that have a schema, in commit order."""
    events: list[ChangeEvent] = []
    open_events: dict[tuple[Any, ...], ChangeEvent] = {}
    overflowing: set[str] = set()
    for sequence, change in enumerate(commit.changes, start=1):
        schema = schemas.get(change.entity)
        if schema is None:
            continue
        if sequence > making.overflow_after:
            if change.entity not in overflowing:
                overflowing.add(change.entity)
                events.append(_event(commit, schema, "GAP_OVERFLOW", [], sequence, commit_number))
            continue
        event = _of_change(commit, schema, change, making)
        if event is None:
            continue
        event.sequence, event.commit_number = sequence, commit_number
        signature = (
            change.entity,
            event.kind,
            event.changed,
            tuple(sorted(event.values.items(), key=_column)),
        )
        together = open_events.get(signature) if making.merge else None
        if together is not None and len(together.record_ids) < MERGED_RECORDS:
            together.record_ids.append(change.record_id)
            continue
        open_events[signature] = event
        events.append(event)
    return events


def _column(item: tuple[str, Any]) -> str:
    return item[0]


def _event(
    commit: Commit,
    schema: EventSchema,
    kind: str,
    record_ids: list[str],
    sequence: int = 1,
    commit_number: int = 0,
) -> ChangeEvent:
    return ChangeEvent(
        entity=schema.entity,
        schema_id=schema.schema_id,
        kind=kind,
        record_ids=record_ids,
        at=commit.at,
        transaction_key=commit.transaction_key,
        sequence=sequence,
        commit_number=commit_number,
        user_id=commit.user_id,
        origin=commit.origin,
    )


def _of_change(
    commit: Commit, schema: EventSchema, change: Change, making: Making
) -> ChangeEvent | None:
    event = _event(commit, schema, change.kind, [change.record_id])
    before, after = change.before or {}, change.after or {}
    if change.kind in ("CREATE", "UNDELETE"):
        event.values = {
            column: after[column] for column in schema.columns if after.get(column) is not None
        }
    elif change.kind == "UPDATE":
        changed = [
            column
            for column in schema.columns
            if column == "LastModifiedDate" or before.get(column) != after.get(column)
        ]
        if changed == ["LastModifiedDate"] and not making.idle_updates:
            return None
        event.changed = tuple(changed)
        event.nulled = tuple(column for column in changed if after.get(column) is None)
        event.values = {
            column: after[column] for column in changed if after.get(column) is not None
        }
        if making.text_differences:
            _shorten_texts(event, before)
    size = sum(len(value) for value in event.values.values() if isinstance(value, str))
    if size > LARGEST_EVENT:
        return _event(commit, schema, f"GAP_{change.kind}", [change.record_id])
    return event


def _shorten_texts(event: ChangeEvent, before: Mapping[str, Any]) -> None:
    """Long texts travel as what changed in them."""
    differing = []
    for column, value in event.values.items():
        old = before.get(column)
        if not isinstance(value, str) or not isinstance(old, str):
            continue
        if min(len(value), len(old)) >= DIFF_FROM:
            lines = difflib.unified_diff(old.splitlines(), value.splitlines(), lineterm="", n=0)
            event.values[column] = "\n".join(lines)
            differing.append(column)
    event.differing = tuple(differing)
