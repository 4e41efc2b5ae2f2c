"""A copy of a connection: all that decisions are made from, and no way back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from ml_connector.domain.identifiers import Kind, State
from ml_connector.ledger.ledger import (
    AuditEntry,
    ConnectionLedger,
    Ledger,
    NewChange,
    Record,
)
from ml_connector.ledger.run_ids import RunIds


def test_a_copy_has_what_decisions_need_and_leaves_the_original_alone(
    ledger: ConnectionLedger,
    tmp_path: Path,
    now: datetime,
    make_record: Callable[..., Record],
    make_entry: Callable[..., AuditEntry],
    make_change: Callable[..., NewChange],
) -> None:
    """Records, checkpoints, inbox, unresolved writes and facts are copied; audit and claims not."""
    key = make_record(1).key
    with ledger.transaction() as tx:
        tx.save_all([make_record(1, facts={"net": Decimal("1.50")}), make_record(2)])
        tx.move_checkpoint("salesforce/Order", "here", now)
        tx.add_changes([make_change("001A", "1"), make_change("001B", "2")])
        tx.remember("size", Decimal("0.10"))
        tx.append_audit(make_entry())
        fence = tx.claim(Kind.ORDER, [key], "somebody", 60)[key]
        tx.open_intent(Kind.ORDER, key, "create", "1", {"a": 1}, "x", RunIds("run"), fence)
    before = list(ledger.iterate())

    with Ledger.open(f"sqlite:///{tmp_path / 'copy.db'}") as target:
        copy = ledger.copy_to(target)
        assert list(copy.iterate()) == before
        assert copy.checkpoints() == ledger.checkpoints()
        assert copy.pending_ids("salesforce", "Account") == ["001A", "001B"]
        assert copy.intents(Kind.ORDER, [key]) == ledger.intents(Kind.ORDER, [key])
        assert copy.held_until(Kind.ORDER, key) is None
        assert copy.audit_entries(Kind.ORDER, key) == []
        with copy.transaction() as tx:
            assert tx.claim(Kind.ORDER, [key], "another", 60)
            record = copy.records(Kind.ORDER, [key])[key]
            record.enter(State.PARKED, now=now, cause="no_lines")
            tx.save(record)
            tx.add_changes([make_change("001C", "3")])
            tx.finish_changes("salesforce", "Account", ["001A"])

    assert list(ledger.iterate()) == before
    assert ledger.pending_ids("salesforce", "Account") == ["001A", "001B"]
