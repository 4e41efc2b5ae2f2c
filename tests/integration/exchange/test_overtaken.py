"""Another worker was faster: its record is never overwritten, nothing is forgotten, no run ends."""

from collections.abc import Iterator
from typing import Any

import pytest

from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Exclude, Link, Park
from ml_connector.domain.identifiers import Kind, State
from ml_connector.exchange import orders, show, status
from ml_connector.exchange.collect import due_keys, poll_salesforce, unanswered
from ml_connector.exchange.decided import Decided, store_decided
from ml_connector.exchange.reading import fields_of
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    claimed,
    enter_decision,
    fresh_record,
    store_decision,
)
from ml_connector.ledger.records import NewChange
from ml_connector.salesforce.models import Order

KEY, OTHER = "8015g0000000991AAA", "8015g0000000992AAA"
PARK = Park(Cause.MISSING_VALUE, "Order 1 has no Account.")


@pytest.fixture
def systems(connected: Any) -> Iterator[Systems]:
    """The open connections of a worker."""
    with Systems.open(connected.settings) as opened:
        yield opened


def overtake(systems: Systems, key: str) -> None:
    """Let another worker store a decision about *key*."""
    record = fresh_record(systems, Kind.ORDER, key)
    enter_decision(systems, record, Exclude(Cause.NOT_QUALIFYING, "It is a draft."))
    with systems.ledger.transaction() as tx:
        tx.save(record)


def change(systems: Systems, key: str) -> None:
    """Put a change of *key* into the inbox."""
    now = systems.clock.now()
    new = NewChange(
        system="salesforce",
        entity="Order",
        record_id=key,
        change_type="UPDATE",
        changed_at=now,
        source="test",
        dedupe_key=f"{key}:{now}",
    )
    with systems.ledger.transaction() as tx:
        tx.add_changes([new])


def test_a_decision_that_was_overtaken_is_left_to_the_next_run(systems: Systems) -> None:
    """The page's other records are stored; the overtaken one keeps its change in the inbox."""
    for key in (KEY, OTHER):
        change(systems, key)
    records = [fresh_record(systems, Kind.ORDER, key) for key in (KEY, OTHER)]
    overtake(systems, KEY)

    decided = [Decided(record, PARK) for record in records]
    outcomes = store_decided(systems, "Order", decided, systems.ledger.last_change_id())

    assert [outcome.key for outcome in outcomes] == [OTHER]
    assert systems.ledger.pending_ids("salesforce", "Order") == [KEY]
    overtaken = systems.ledger.record(Kind.ORDER, KEY)
    assert overtaken is not None
    assert overtaken.state is State.EXCLUDED


def test_a_single_decision_that_was_overtaken_stores_nothing(systems: Systems) -> None:
    """The outcome says that the record has to be looked at again."""
    record = fresh_record(systems, Kind.ORDER, KEY)
    overtake(systems, KEY)

    outcome = store_decision(systems, record, PARK)

    assert not outcome.is_final


def test_marks_are_stored_with_the_checkpoint_or_not_at_all(systems: Systems) -> None:
    """A worker that dies while it marks Accounts finds the Orders of the page again."""

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        poll_salesforce(systems, "Order", fields_of(systems, Order), Kind.ORDER, die)

    assert systems.ledger.checkpoint("salesforce/Order") is None
    assert systems.ledger.pending_ids("salesforce", "Order") == []


def test_a_creation_that_was_overtaken_keeps_its_change(connected: Any, systems: Systems) -> None:
    """Another worker wrote the Order from what it had read: the change is looked at again."""
    connected.act("business-central", "create_item", number="PROTO-0", displayName="Prototype")
    connected.sync()
    account = connected.salesforce("Account", AccountNumber="C10000")[0]
    product = connected.salesforce("Product2")[0]
    line = {"product": product["ProductCode"], "quantity": 2}
    made = connected.act(
        "salesforce", "create_order", account=account["Id"], lines=[line], activate=True
    )
    keys = orders.collect_orders(systems)
    prepared = orders.prepare_orders(systems, keys)
    connected.sync()
    connected.act(
        "salesforce", "edit", sobject="Order", record=made["Id"], fields={"PoNumber": "PO-7"}
    )
    change(systems, made["Id"])

    outcomes = orders.write_orders(systems, prepared.plans)

    assert [outcome.is_final for outcome in outcomes] == [False]
    assert made["Id"] in due_keys(systems, "Order", Kind.ORDER)
    references = [
        row["externalDocumentNumber"] for row in connected.business_central("salesOrders")
    ]
    assert references.count(made["OrderNumber"]) == 1


def test_an_account_that_changes_meanwhile_is_derived_again(
    connected: Any, systems: Systems, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status phase reads the record anew instead of ending the run."""
    connected.sync()
    derive, times = status._apply_account, []

    def overtaken(systems: Systems, record: Any, *rows: Any) -> bool:
        moved = derive(systems, record, *rows)
        if not times:
            times.append(1)
            other = systems.ledger.record(Kind.CUSTOMER, record.key)
            with systems.ledger.transaction() as tx:
                tx.save(other)
            return True
        return moved

    monkeypatch.setattr(status, "_apply_account", overtaken)

    assert status.account_status(systems) >= 0


def test_what_is_shown_is_claimed_and_one_taken_over_is_left(
    connected: Any, systems: Systems
) -> None:
    """A worker whose claim was taken over while it showed a record stores nothing about it."""
    connected.sync()
    page = next(systems.ledger.iterate(kind=Kind.ORDER, linked=True))
    key = page[0].key
    with claimed(systems, Kind.ORDER, [key]) as claims:
        record = fresh_record(systems, Kind.ORDER, key)
        with systems.ledger.transaction() as tx:
            tx.claim(Kind.ORDER, [key], systems.owner, 60)
        show._without_differences(systems, claims, [record])

    unchanged = systems.ledger.record(Kind.ORDER, key)
    assert unchanged is not None
    assert unchanged.version == page[0].version


def test_a_write_without_known_end_is_due_whatever_was_decided_since(
    connected: Any, systems: Systems
) -> None:
    """An Order set back to draft after its answer was lost is looked for all the same."""
    connected.fault("business-central", method="POST", path="salesOrders", drop="after")
    connected.sync_through_faults()
    (key,) = unanswered(systems, Kind.ORDER)
    overtake(systems, key)

    assert key in due_keys(systems, "Order", Kind.ORDER)


def test_an_edit_behind_another_workers_creation_is_not_taken_for_agreed(systems: Systems) -> None:
    """It created the record a moment ago with what it read then; we link it, reading a later edit.

    Both sides agree on what was created, and the edit stays in the inbox to be carried over.
    """
    change(systems, KEY)
    up_to = systems.ledger.last_change_id()
    record = fresh_record(systems, Kind.CONTACT, KEY)
    with claimed(systems, Kind.CONTACT, [KEY]) as claims, systems.ledger.transaction() as tx:
        payload = {"jobTitle": "Buyer", "_agreed": {"jobTitle": "Buyer"}}
        intent = tx.open_intent(
            Kind.CONTACT, KEY, "create", "C1", payload, "", systems.run, claims.fence(KEY)
        )
        tx.mark_sent(intent.id, systems.clock.now())
    link = Link("0b0b0b0b-0000-0000-0000-000000000001", "C1", "", "number", {}, {})

    store_decided(
        systems, "Order", [Decided(record, link, sent={"jobTitle": "Head of buying"})], up_to
    )

    stored = systems.ledger.record(Kind.CONTACT, KEY)
    assert stored is not None
    assert stored.sent == {"jobTitle": "Buyer"}
    assert systems.ledger.pending_ids("salesforce", "Order") == [KEY]
    assert systems.ledger.intents(Kind.CONTACT, [KEY]) == {}
