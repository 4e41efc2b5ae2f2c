"""An open ledger and builders of what goes into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ml_connector.domain.identifiers import Kind
from ml_connector.ledger.ledger import AuditEntry, ConnectionLedger, Ledger, NewChange, Record

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
def store(ledger_url: str) -> Iterator[Ledger]:
    """An open, empty ledger."""
    with Ledger.open(ledger_url) as opened:
        yield opened


@pytest.fixture
def ledger(store: Ledger) -> ConnectionLedger:
    """The part of the connection `acme` in it."""
    return store.connection("acme")


@pytest.fixture
def now() -> datetime:
    """A fixed instant."""
    return NOW


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Build a record: `make_record(1)` is order number 1."""

    def build(number: int = 1, kind: Kind = Kind.ORDER, **values: Any) -> Record:
        record = Record.first_seen(kind, f"801{number:012d}AAA", now=NOW)
        for name, value in values.items():
            setattr(record, name, value)
        return record

    return build


@pytest.fixture
def make_entry() -> Callable[..., AuditEntry]:
    """Build an audit entry about order number 1."""

    def build(**values: Any) -> AuditEntry:
        given: dict[str, Any] = {
            "kind": Kind.ORDER,
            "key": "801000000000001AAA",
            "salesforce_id": "801000000000001AAA",
            "bc_id": "0000-BC",
            "at": NOW,
            "direction": "to_business_central",
            "action": "create",
            "after": {"name": "Ada Lovelace"},
            "rule": "new",
            "outcome": "done",
            "flow_run_id": "run-1",
        }
        return AuditEntry(**(given | values))

    return build


@pytest.fixture
def make_change() -> Callable[..., NewChange]:
    """Build a change of an Account."""

    def build(record_id: str = "001A", dedupe_key: str = "1", **values: Any) -> NewChange:
        given: dict[str, Any] = {
            "system": "salesforce",
            "entity": "Account",
            "record_id": record_id,
            "change_type": "UPDATE",
            "changed_at": NOW,
            "source": "poll",
            "dedupe_key": dedupe_key,
            "payload": {"Name": "Acme"},
        }
        return NewChange(**(given | values))

    return build
