"""Intents: what was about to be written is known after a crash, and never doubled."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.domain.identifiers import Kind
from ml_connector.errors import StaleClaim
from ml_connector.ledger.ledger import ConnectionLedger, Intent, NewIntent, RunIds

RUN = RunIds("flow-1", "task-1")
PAYLOAD: dict[str, Any] = {"externalDocumentNumber": "100", "unitPrice": Decimal("1.10")}


def claim(ledger: ConnectionLedger, key: str = "order") -> int:
    """Claim an order and return the fence."""
    with ledger.transaction() as tx:
        return tx.claim(Kind.ORDER, [key], "me", 60)[key]


def begin(ledger: ConnectionLedger, fence: int, operation: str = "create") -> Intent:
    """Open an intent on the order."""
    with ledger.transaction() as tx:
        return tx.open_intent(Kind.ORDER, "order", operation, "100", PAYLOAD, "hash", RUN, fence)


def test_an_intent_goes_from_open_to_closed(ledger: ConnectionLedger, now: datetime) -> None:
    """Each step is stored; a closed one is out of the way and keeps its end."""
    intent = begin(ledger, claim(ledger))
    assert ledger.intents(Kind.ORDER, ["order", "other"]) == {"order": [intent]}
    assert (intent.state, intent.attempt, intent.payload) == ("open", 1, PAYLOAD)
    with ledger.transaction() as tx:
        tx.mark_sent(intent.id, now)
    [sent] = ledger.intents(Kind.ORDER, ["order"], states=("sent",))["order"]
    assert sent.sent_at == now
    with ledger.transaction() as tx:
        tx.mark_uncertain(intent.id, "time-out")
    [uncertain] = ledger.intents(Kind.ORDER, ["order"])["order"]
    assert (uncertain.state, uncertain.message, uncertain.sent_at) == ("uncertain", "time-out", now)
    with ledger.transaction() as tx:
        tx.close_intent(intent.id, "adopted", "AB-1")

    assert ledger.intents(Kind.ORDER, ["order"]) == {}
    [closed] = ledger.intents(Kind.ORDER, ["order"], states=("closed",))["order"]
    assert (closed.outcome, closed.bc_id, closed.flow_run_id) == ("adopted", "ab-1", "flow-1")
    assert closed.closed_at is not None


def test_no_second_write_starts_beside_one_without_known_end(ledger: ConnectionLedger) -> None:
    """Until the first is closed, another of the same operation is refused; others are not."""
    fence = claim(ledger)
    first = begin(ledger, fence)
    with pytest.raises(StaleClaim) as raised:
        begin(ledger, fence)
    assert (raised.value.code, raised.value.record_id) == ("unresolved_intent", "order")
    begin(ledger, fence, "update")
    with ledger.transaction() as tx:
        tx.close_intent(first.id, "not_sent")

    assert begin(ledger, fence).attempt == 2


def test_a_stale_holder_opens_nothing(ledger: ConnectionLedger) -> None:
    """The fence is checked in the transaction that stores the intent."""
    fence = claim(ledger)
    claim(ledger)

    with pytest.raises(StaleClaim):
        begin(ledger, fence)
    assert ledger.intents(Kind.ORDER, ["order"]) == {}


def test_a_closed_intent_stays_closed(ledger: ConnectionLedger, now: datetime) -> None:
    """Whoever comes late with another end is told so."""
    intent = begin(ledger, claim(ledger))
    with ledger.transaction() as tx:
        tx.close_intent(intent.id, "adopted", "x")

    with pytest.raises(StaleClaim), ledger.transaction() as tx:
        tx.close_intent(intent.id, "refused")
    with pytest.raises(StaleClaim), ledger.transaction() as tx:
        tx.mark_sent(intent.id, now)
    with pytest.raises(StaleClaim), ledger.transaction() as tx:
        tx.mark_uncertain(intent.id, "late")


def test_a_page_of_intents_is_stored_in_order(ledger: ConnectionLedger) -> None:
    """Ids belong to their intents; unresolved ones are listed by age."""
    keys = [f"c{number:03d}" for number in range(250)]
    with ledger.transaction() as tx:
        fences = tx.claim(Kind.CUSTOMER, keys, "me", 60)
        stored = tx.open_intents(
            [
                NewIntent(
                    kind=Kind.CUSTOMER,
                    key=key,
                    operation="create",
                    natural_key=key.upper(),
                    payload={},
                    payload_hash="",
                    fence=fences[key],
                )
                for key in reversed(keys)
            ],
            RUN,
        )
        assert tx.open_intents([], RUN) == []

    found = ledger.intents(Kind.CUSTOMER, keys)

    assert {key: found[key][0].natural_key for key in keys} == {k: k.upper() for k in keys}
    assert [intent.key for intent in stored] == keys[::-1]
    assert [found[intent.key][0].id for intent in stored] == [intent.id for intent in stored]
    soon = stored[0].created_at + timedelta(minutes=1)
    assert len(ledger.unresolved_intents(soon)) == 250
    assert ledger.unresolved_intents(stored[0].created_at) == []
