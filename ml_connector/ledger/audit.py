"""The audit chain: what was decided and written, and the proof that nobody changed it.

Every entry's digest covers the digest before it, the entry's own facts and the digest of its
content (before and after). The content is salted, so that it can be erased for good while the
chain still verifies. An erasure is an entry of the chain itself; content that is missing without
one is as bad as content that was changed. What the chain cannot show by itself is that its newest
entries were cut off together with its head; `VerifyResult.head`, kept elsewhere, shows that too.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, or_, select, update

from ml_connector.domain.identifiers import Kind
from ml_connector.ledger.record_store import all_pages, chunks
from ml_connector.ledger.records import AuditEntry, VerifyResult
from ml_connector.ledger.tables import audit_entries, audit_heads
from ml_connector.ledger.upserts import insert_missing
from ml_connector.wire_json import decode, encode

ERASE = "erase"
_START = b"\0" * 32
_FACTS = (
    "connection",
    "sequence",
    "kind",
    "key",
    "salesforce_id",
    "bc_id",
    "at",
    "direction",
    "action",
    "rule",
    "policy_version",
    "outcome",
    "request_id",
    "flow_run_id",
    "task_run_id",
)
_INSERT = insert(audit_entries)
_INSERT_HEAD = insert_missing(audit_heads)


def row_of(name: str, entry: AuditEntry) -> dict[str, Any]:
    """Return the entry as a row without its place in the chain; takes a copy of its content."""
    before = encode(dict(entry.before or {})).decode()
    after = encode(dict(entry.after or {})).decode()
    salt = secrets.token_bytes(16)
    return {
        "connection": name,
        "kind": str(entry.kind),
        "key": entry.key,
        "salesforce_id": entry.salesforce_id,
        "bc_id": entry.bc_id.lower(),
        "at": entry.at.astimezone(UTC),
        "direction": str(entry.direction),
        "action": entry.action,
        "before": before,
        "after": after,
        "salt": salt,
        "rule": entry.rule,
        "policy_version": entry.policy_version,
        "outcome": str(entry.outcome),
        "request_id": entry.request_id,
        "flow_run_id": entry.flow_run_id,
        "task_run_id": entry.task_run_id,
        "content_digest": _content_digest(salt, before, after),
    }


def append(db: Connection, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Add *rows* at the end of the chain; holds the chain's head until the commit."""
    if not rows:
        return
    head = _locked_head(db, name)
    sequence, digest = head
    for row in rows:
        sequence += 1
        row["sequence"] = sequence
        digest = row["digest"] = _digest(digest, row)
    db.execute(_INSERT, list(rows))
    db.execute(
        update(audit_heads)
        .where(audit_heads.c.connection == name)
        .values(sequence=sequence, digest=digest)
    )


def _locked_head(db: Connection, name: str) -> tuple[int, bytes]:
    query = (
        select(audit_heads.c.sequence, audit_heads.c.digest)
        .where(audit_heads.c.connection == name)
        .with_for_update()
    )
    row = db.execute(query).one_or_none()
    if row is None:
        first = {"connection": name, "sequence": 0, "digest": _START}
        db.execute(_INSERT_HEAD, first)
        row = db.execute(query).one()
    return row.sequence, bytes(row.digest)


def _content_digest(salt: bytes, before: str, after: str) -> bytes:
    content = hashlib.sha256(salt)
    for part in (before.encode(), after.encode()):
        content.update(len(part).to_bytes(8, "big") + part)
    return content.digest()


def _digest(previous: bytes, row: Mapping[str, Any]) -> bytes:
    chained = hashlib.sha256(previous + bytes(row["content_digest"]))
    for name in _FACTS:
        value = row[name]
        text = value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value
        part = str(text).encode()
        chained.update(len(part).to_bytes(8, "big") + part)
    return chained.digest()


def entries(db: Connection, name: str, *terms: ColumnElement[bool]) -> list[AuditEntry]:
    """Return the entries that meet *terms*, oldest first."""
    query = (
        select(audit_entries)
        .where(audit_entries.c.connection == name, *terms)
        .order_by(audit_entries.c.sequence)
    )
    return [_entry(row) for row in db.execute(query)]


def of_record(kind: str, key: str) -> tuple[ColumnElement[bool], ...]:
    """Return the terms for the entries of one record."""
    return (audit_entries.c.kind == str(kind), audit_entries.c.key == key)


def of_records_since(
    kind: str, keys: Sequence[str], at: datetime
) -> tuple[ColumnElement[bool], ...]:
    """Return the terms for the entries of some records that are newer than *at*."""
    return (
        audit_entries.c.kind == str(kind),
        audit_entries.c.key.in_(keys),
        audit_entries.c.at > at.astimezone(UTC),
    )


def of_id(record_id: str) -> ColumnElement[bool]:
    """Return the term for the entries about a Salesforce id (18 characters) or a BC id."""
    return or_(
        audit_entries.c.salesforce_id == record_id, audit_entries.c.bc_id == record_id.lower()
    )


def of_run(flow_run_id: str) -> ColumnElement[bool]:
    """Return the term for what one flow run did."""
    return audit_entries.c.flow_run_id == flow_run_id


def _entry(row: Row[Any]) -> AuditEntry:
    values = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for a row as a mapping
    for name in ("connection", "salt", "content_digest"):
        del values[name]
    values["kind"] = Kind(values["kind"])
    values["digest"] = bytes(values["digest"]).hex()
    for name in ("before", "after"):
        values[name] = None if values[name] is None else decode(values[name].encode())
    return AuditEntry(**values)


def erase(db: Connection, name: str, kind: str, key: str) -> list[int]:
    """Erase the content of every entry of a record; returns their sequence numbers."""
    terms = (
        audit_entries.c.connection == name,
        *of_record(kind, key),
        audit_entries.c.action != ERASE,
        audit_entries.c.salt.is_not(None),
    )
    return _blank(db, *terms)


def erase_before(db: Connection, name: str, at: datetime) -> list[int]:
    """Erase the content of every entry older than *at*; returns their sequence numbers."""
    terms = (
        audit_entries.c.connection == name,
        audit_entries.c.at < at,
        audit_entries.c.action != ERASE,
        audit_entries.c.salt.is_not(None),
    )
    return _blank(db, *terms)


def contents(db: Connection, name: str) -> Iterator[Row[Any]]:
    """Walk over sequence, kind, key, before and after of the entries that are not erased."""
    columns = ("sequence", "kind", "key", "before", "after")
    query = select(*(audit_entries.c[each] for each in columns)).where(
        audit_entries.c.connection == name,
        audit_entries.c.action != ERASE,
        audit_entries.c.salt.is_not(None),
    )
    return all_pages(db, query, audit_entries.c.sequence)


def erase_numbered(db: Connection, name: str, sequences: Sequence[int]) -> list[int]:
    """Erase the content of the entries *sequences*; returns those that still had one, in order."""
    erased: list[int] = []
    for chunk in chunks(sequences):
        erased += _blank(
            db,
            audit_entries.c.connection == name,
            audit_entries.c.sequence.in_(chunk),
            audit_entries.c.action != ERASE,
            audit_entries.c.salt.is_not(None),
        )
    return sorted(erased)


def _blank(db: Connection, *terms: ColumnElement[bool]) -> list[int]:
    numbers = list(
        db.scalars(
            select(audit_entries.c.sequence).where(*terms).order_by(audit_entries.c.sequence)
        )
    )
    if numbers:
        db.execute(update(audit_entries).where(*terms).values(before=None, after=None, salt=None))
    return numbers


def ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Return sorted *numbers* as runs of neighbours, first and last of each."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


@dataclass(slots=True)
class _Walk:
    """Where the check of a chain stands."""

    previous: bytes = _START
    sequence: int = 0
    entries: int = 0
    erased: int = 0
    erasures: list[tuple[int, int]] = field(default_factory=list)

    def accepts(self, row: Row[Any]) -> bool:
        """Tell whether *row* is the next entry of the chain, and go on to it."""
        self.entries += 1
        expected = self.sequence + 1
        self.sequence = row.sequence
        values = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for it
        digest = _digest(self.previous, values)
        self.previous = bytes(row.digest)
        if row.sequence != expected or digest != self.previous:
            return False
        if row.salt is None and row.before is None and row.after is None:
            self.erased += 1
            return any(first <= row.sequence <= last for first, last in self.erasures)
        if row.salt is None or row.before is None or row.after is None:
            return False
        content = _content_digest(bytes(row.salt), row.before, row.after)
        return content == bytes(row.content_digest)


def verify(db: Connection, name: str) -> VerifyResult:
    """Check the whole chain inside one snapshot; memory stays flat."""
    head = db.execute(
        select(audit_heads.c.sequence, audit_heads.c.digest).where(audit_heads.c.connection == name)
    ).one_or_none()
    end, digest = (head.sequence, bytes(head.digest)) if head else (0, _START)
    walk = _Walk(erasures=_erasures(db, name))
    bad: int | None = None
    chain = select(audit_entries).where(audit_entries.c.connection == name)
    for row in all_pages(db, chain, audit_entries.c.sequence):
        if not walk.accepts(row) and bad is None:
            bad = row.sequence
    if bad is None and (walk.sequence, walk.previous) != (end, digest):
        bad = min(walk.sequence, end) + 1
    return VerifyResult(bad is None, walk.entries, bad, walk.erased, digest.hex())


def _erasures(db: Connection, name: str) -> list[tuple[int, int]]:
    """Return which entries the chain itself says were erased; the walk checks these entries."""
    query = select(audit_entries.c.after).where(
        audit_entries.c.connection == name,
        audit_entries.c.action == ERASE,
        audit_entries.c.after.is_not(None),
    )
    return [
        (first, last)
        for text in db.scalars(query)
        for first, last in decode(text.encode()).get("sequences", [])
    ]
