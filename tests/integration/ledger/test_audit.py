"""The audit chain: complete, in order, erasable, and any tampering shows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, text

from ml_connector.domain.identifiers import Kind
from ml_connector.ledger.ledger import (
    AuditEntry,
    ConnectionLedger,
    NewChange,
    Record,
    RunIds,
)

MakeEntry = Callable[..., AuditEntry]
KEY = "801000000000001AAA"


def append(ledger: ConnectionLedger, *entries: AuditEntry) -> None:
    """Add entries in one transaction."""
    with ledger.transaction() as tx:
        for entry in entries:
            tx.append_audit(entry)


def tamper(url: str, statement: str) -> None:
    """Change the database behind the ledger's back."""
    engine = create_engine(url)
    with engine.begin() as db:
        db.execute(text(statement))
    engine.dispose()


def test_entries_come_back_in_order_and_as_they_were(
    ledger: ConnectionLedger, make_entry: MakeEntry, now: datetime
) -> None:
    """Field by field, with amounts, by record, by either id and by run."""
    before, after = {"unitPrice": Decimal("1.10")}, {"unitPrice": Decimal("1.20"), "unit": None}
    append(ledger, make_entry(before=before, after=after), make_entry(action="show"))
    append(ledger, make_entry(key="other", salesforce_id="", bc_id="", flow_run_id="run-2"))

    first, second = ledger.audit_entries(Kind.ORDER, KEY)
    assert (first.before, first.after, first.at) == (before, after, now)
    assert (first.sequence, second.sequence, second.action) == (1, 2, "show")
    assert ledger.audit_for("0000-bc") == [first, second]
    assert ledger.audit_for(KEY[:15]) == ledger.audit_for(KEY) == [first, second]
    assert [entry.key for entry in ledger.audit_of_run("run-2")] == ["other"]


def test_an_entry_keeps_what_was_true_when_it_was_added(
    ledger: ConnectionLedger, make_entry: MakeEntry
) -> None:
    """Changing the dictionary later in the transaction does not change the entry."""
    after = {"a": 1}
    with ledger.transaction() as tx:
        tx.append_audit(make_entry(after=after))
        after["a"] = 2

    assert ledger.audit_for(KEY)[0].after == {"a": 1}


def test_an_untouched_chain_verifies(ledger: ConnectionLedger, make_entry: MakeEntry) -> None:
    """Empty, short, and longer than one page."""
    assert ledger.verify_audit().ok
    append(ledger, *(make_entry(action=str(number)) for number in range(2100)))

    result = ledger.verify_audit()

    assert (result.ok, result.entries, result.first_bad_sequence) == (True, 2100, None)
    assert result.head == ledger.audit_for(KEY)[-1].digest


@pytest.mark.parametrize(
    ("statement", "bad"),
    [
        ("UPDATE audit_entries SET outcome = 'refused' WHERE sequence = 2", 2),
        ('UPDATE audit_entries SET after = \'{"name":"Bob"}\' WHERE sequence = 2', 2),
        ("UPDATE audit_entries SET flow_run_id = 'run-9' WHERE sequence = 3", 3),
        ("UPDATE audit_entries SET digest = content_digest WHERE sequence = 4", 4),
        ("DELETE FROM audit_entries WHERE sequence = 2", 3),
        ("DELETE FROM audit_entries WHERE sequence = 5", 5),
        ("DELETE FROM audit_entries WHERE sequence = 1", 2),
        ("DELETE FROM audit_entries", 1),
        ("UPDATE audit_heads SET sequence = 4", 5),
        ("DELETE FROM audit_heads", 1),
        (
            "UPDATE audit_entries SET before = NULL, after = NULL, salt = NULL WHERE sequence = 3",
            3,
        ),
        ("UPDATE audit_entries SET before = NULL WHERE sequence = 3", 3),
    ],
)
def test_tampering_shows(
    ledger: ConnectionLedger, make_entry: MakeEntry, ledger_url: str, statement: str, bad: int
) -> None:
    """Changed facts or content, removed entries, a cut end, content blanked without an erasure."""
    append(ledger, *(make_entry(action=str(number)) for number in range(5)))
    tamper(ledger_url, statement)

    result = ledger.verify_audit()

    assert (result.ok, result.first_bad_sequence) == (False, bad)


def test_a_swap_of_two_entries_shows(
    ledger: ConnectionLedger, make_entry: MakeEntry, ledger_url: str
) -> None:
    """Order is part of the proof."""
    append(ledger, *(make_entry(action=str(number)) for number in range(3)))
    for old, new in ((1, 99), (2, 1), (99, 2)):
        tamper(ledger_url, f"UPDATE audit_entries SET sequence = {new} WHERE sequence = {old}")  # noqa: S608  # numbers of the test

    assert ledger.verify_audit().first_bad_sequence == 1


def test_a_person_can_be_erased_and_the_chain_still_verifies(
    ledger: ConnectionLedger,
    make_entry: MakeEntry,
    make_record: Callable[..., Record],
    make_change: Callable[..., NewChange],
    ledger_url: str,
) -> None:
    """Names are nowhere in the database any more; facts, other records and the proof remain."""
    record = make_record(1, sent={"displayName": "Ada Lovelace"}, message="Ada Lovelace moved")
    record.candidates = [{"name": "Ada Lovelace"}]
    payload = {"displayName": "Ada Lovelace"}
    with ledger.transaction() as tx:
        fence = tx.claim(Kind.ORDER, [KEY], "me", 60)[KEY]
        tx.save(record)
        intent = tx.open_intent(Kind.ORDER, KEY, "create", "Ada", payload, "", RunIds(), fence)
        tx.close_intent(intent.id, "done")
        tx.add_changes([make_change(KEY, payload=payload)])
        tx.append_audit(make_entry(before=payload))
        tx.append_audit(make_entry(key="other", salesforce_id="other", after={"name": "Bob"}))
    with ledger.transaction() as tx:
        tx.erase(Kind.ORDER, KEY, RunIds("run-7"))
        tx.append_audit(make_entry(after={"later": True}))

    result = ledger.verify_audit()

    assert (result.ok, result.entries, result.erased) == (True, 4, 1)
    first, erasure, later = ledger.audit_entries(Kind.ORDER, KEY)
    assert (first.before, first.after, first.action) == (None, None, "create")
    assert (erasure.action, erasure.flow_run_id) == ("erase", "run-7")
    assert later.after == {"later": True}
    assert ledger.audit_for("other")[0].after == {"name": "Bob"}
    assert "Ada" not in dump(ledger_url)
    tamper(ledger_url, "UPDATE audit_entries SET outcome = 'x' WHERE sequence = 1")
    assert ledger.verify_audit().first_bad_sequence == 1


def test_old_contents_are_erased_by_age(
    ledger: ConnectionLedger, make_entry: MakeEntry, now: datetime
) -> None:
    """Retention blanks what is older, says so in the chain, and can be repeated."""
    old = now - timedelta(days=400)
    append(ledger, make_entry(at=old), make_entry(at=old), make_entry())
    for expected in (2, 0):
        with ledger.transaction() as tx:
            assert tx.erase_audit_before(now - timedelta(days=365)) == expected

    result = ledger.verify_audit()

    assert (result.ok, result.entries, result.erased) == (True, 4, 2)


def dump(url: str) -> str:
    """Return everything the tables hold, as text."""
    engine = create_engine(url)
    with engine.connect() as db:
        rows = [
            str(tuple(row))
            for table in ("records", "intents", "changes", "audit_entries")
            for row in db.execute(text(f"SELECT * FROM {table}"))  # noqa: S608  # names of the test
        ]
    engine.dispose()
    return "\n".join(rows)
