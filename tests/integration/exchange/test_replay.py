"""Replay: by id, cause, time or all, causes before effects, from the stored change."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ml_connector.domain.clock import SystemClock
from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import ConfigurationError, RecordNotFound
from ml_connector.exchange.replay import Selection, choose, replay
from ml_connector.exchange.systems import Systems


@pytest.fixture
def synced(connected: Any) -> Any:
    """A connection whose first sync is done."""
    connected.sync()
    return connected


def stuck(connected: Any, cause: str) -> list[Any]:
    """Return the records that are stuck for a cause."""
    with Systems.open(connected.settings) as systems:
        return [
            record
            for page in systems.ledger.iterate(states=(State.WAITING, State.PARKED))
            for record in page
            if record.cause == cause
        ]


def test_a_cured_cause_is_replayed_by_its_name(synced: Any) -> None:
    """Only the records of the cause are run, and they go through."""
    waiting = stuck(synced, "missing_item")
    assert waiting
    synced.act("business-central", "create_item", number="PROTO-0", displayName="Prototype")

    outcomes = replay(synced.settings, Selection(cause="missing_item"))

    kinds = [outcome.kind for outcome in outcomes]
    assert kinds == sorted(kinds, key=list(Kind).index)
    assert Kind.ITEM in kinds
    orders = [outcome for outcome in outcomes if outcome.kind is Kind.ORDER]
    assert {each.key for each in orders} == {each.key for each in waiting}
    assert all(each.state is State.WRITTEN for each in orders)


def test_what_a_record_waits_for_comes_before_it(synced: Any) -> None:
    """An order chosen by its number brings its missing item along, ahead of it."""
    (order,) = stuck(synced, "missing_item")

    with Systems.open(synced.settings) as systems:
        chosen = choose(systems, Selection(ids=(order.salesforce_number,)))

    assert chosen.of(Kind.ORDER) == [order.key]
    assert chosen.of(Kind.ITEM) == [order.waits_for[0]["salesforce_id"]]


def test_an_order_deleted_in_bc_is_written_again_by_its_id_only(synced: Any) -> None:
    """A person who names the order gets it back; replaying all does not."""
    order = next(row for row in synced.salesforce("Order") if row.get("BC_Order_Id__c"))
    synced.act("business-central", "delete_order", order=order["BC_Order_Number__c"])
    synced.sync()

    replay(synced.settings, Selection(everything=True))
    assert order["OrderNumber"] not in synced.orders_by_reference()

    replay(synced.settings, Selection(ids=(order["OrderNumber"],)))

    (again,) = synced.orders_by_reference()[order["OrderNumber"]]
    (row,) = synced.salesforce("Order", Id=order["Id"])
    assert row["BC_Order_Id__c"] == again["id"].lower() != order["BC_Order_Id__c"]
    assert row["BC_Order_Status__c"] == "Draft"
    replay(synced.settings, Selection(ids=(order["OrderNumber"],)))
    assert len(synced.orders_by_reference()[order["OrderNumber"]]) == 1


def test_a_change_of_days_ago_is_replayed_from_the_inbox(synced: Any) -> None:
    """What was dealt with days ago is read and decided on again, and written once only."""
    before = len(synced.business_central("salesOrders"))
    since = SystemClock().now() - timedelta(days=3650)

    outcomes = replay(synced.settings, Selection(since=since))

    replayed_orders = [each for each in outcomes if each.kind is Kind.ORDER]
    assert len(replayed_orders) >= before
    assert len(synced.business_central("salesOrders")) == before


def test_a_later_change_does_not_overtake_a_parked_one(synced: Any) -> None:
    """A record edited twice is written once, as it is at last."""
    (order,) = stuck(synced, "missing_item")
    synced.act("business-central", "create_item", number="PROTO-0", displayName="Prototype")
    synced.act(
        "salesforce", "edit", sobject="Order", record=order.key, fields={"Description": "later"}
    )

    replay(synced.settings, Selection(ids=(order.key,)))
    synced.sync()

    assert len(synced.orders_by_reference()[order.salesforce_number]) == 1


def test_who_asked_for_a_replay_is_in_the_audit(synced: Any) -> None:
    """Each replayed record has an entry that says how it was chosen."""
    (order,) = stuck(synced, "missing_item")

    replay(synced.settings, Selection(ids=(order.key,)))

    with Systems.open(synced.settings) as systems:
        entries = systems.ledger.audit_entries(Kind.ORDER, order.key)
    (asked,) = [entry for entry in entries if entry.action == "replay"]
    assert asked.rule == f"id {order.key}"
    assert (asked.before or {})["cause"] == "missing_item"


def test_a_selection_has_to_make_sense() -> None:
    """Nothing, two ways at once, an unknown cause, or a time without zone are refused."""
    for wrong in (
        {},
        {"ids": ("1",), "everything": True},
        {"cause": "missing_itme"},
        {"since": datetime(2026, 3, 1)},  # noqa: DTZ001  # that is the point
    ):
        with pytest.raises(ConfigurationError):
            Selection(**wrong)  # type: ignore[arg-type]  # wrong on purpose
    assert str(Selection(since=datetime(2026, 3, 1, tzinfo=UTC))) == "since 2026-03-01T00:00:00Z"


def test_an_unknown_id_is_said(synced: Any) -> None:
    """Nothing is replayed by a mistyped number."""
    with pytest.raises(RecordNotFound, match="nobody"):
        replay(synced.settings, Selection(ids=("nobody",)))
