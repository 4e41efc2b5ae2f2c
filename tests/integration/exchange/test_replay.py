"""Replay: by id, cause, time or all, causes before effects, from the stored change."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.domain.clock import FixedClock, SystemClock
from ml_connector.domain.identifiers import Kind, State
from ml_connector.errors import ConfigurationError, RecordNotFound, TransientError
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


def settled_account(connected: Any) -> dict[str, Any]:
    """Return an Account that is a customer already and pays in the local currency."""
    rows = [
        row
        for row in connected.salesforce("Account")
        if row.get("BC_Customer_Id__c") and row["CurrencyIsoCode"] == "USD"
    ]
    return min(rows, key=lambda row: str(row["Id"]))


def new_order(connected: Any, account: dict[str, Any]) -> dict[str, Any]:
    """Let the rep close an Order of two pieces of one item; returns the Order."""
    product = min(
        row["ProductCode"] for row in connected.salesforce("Product2") if row.get("BC_Item_Id__c")
    )
    lines = [{"product": product, "quantity": 2}]
    made = connected.act(
        "salesforce", "create_order", account=account["Id"], lines=lines, activate=True
    )
    return current(connected, made["Id"])


def current(connected: Any, order_id: str) -> dict[str, Any]:
    """Return the Order as Salesforce has it now."""
    (row,) = connected.salesforce("Order", Id=order_id)
    return dict(row)


def edit_quantity(connected: Any, order: dict[str, Any], quantity: int) -> None:
    """Let the rep set the Order back to draft, change its line, and activate it again."""
    connected.act("salesforce", "draft_order", order=order["Id"])
    (line,) = connected.salesforce("OrderItem", OrderId=order["Id"])
    fields = {"Quantity": quantity}
    connected.act("salesforce", "edit", sobject="OrderItem", record=line["Id"], fields=fields)
    connected.act("salesforce", "activate_order", order=order["Id"])


def ship_to(connected: Any, order: dict[str, Any], city: str) -> None:
    """Let the rep send the Order to another city."""
    address = {
        "ShippingStreet": "Kai 4", "ShippingCity": city, "ShippingPostalCode": "20457",
        "ShippingCountry": "Germany",
    }  # fmt: skip
    connected.act("salesforce", "edit", sobject="Order", record=order["Id"], fields=address)


def parked_order(connected: Any) -> tuple[dict[str, Any], str]:
    """Park a new Order for its blocked customer; return it and the customer's number."""
    account = settled_account(connected)
    number = account["BC_Customer_Number__c"]
    connected.act("business-central", "block_customer", customer=number)
    order = new_order(connected, account)
    connected.sync()
    assert standing(connected, order) == (State.PARKED, "blocked_customer")
    return order, number


def standing(connected: Any, order: dict[str, Any]) -> tuple[State, str]:
    """Return where an Order stands, and why."""
    with Systems.open(connected.settings) as systems:
        record = systems.ledger.record(Kind.ORDER, order["Id"])
    assert record is not None
    return record.state, record.cause


def writes_in_bc(connected: Any) -> list[Any]:
    """Return all that the connector, and no clerk, ever wrote into BC."""
    body = connected.sandbox.admin.get("/business-central/writes", params={"since": 0}).json()
    return [entry for entry in body["writes"] if entry["who"].startswith("app ")]


def written_order(connected: Any, order: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return the city and the quantities of an Order's only sales order."""
    (row,) = connected.orders_by_reference()[order["OrderNumber"]]
    lines = connected.business_central("salesOrderLines", documentId=row["id"])
    return row["shipToCity"], [Decimal(str(line["quantity"])) for line in lines]


def written_keys(connected: Any) -> set[str]:
    """Return the keys of the records that went through."""
    with Systems.open(connected.settings) as systems:
        pages = systems.ledger.iterate(states=(State.WRITTEN,))
        return {record.key for page in pages for record in page}


def test_a_failure_of_days_ago_is_replayed_from_the_inbox(
    synced: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By time the order that BC did not take goes through, and what was finished before rests."""
    clock = FixedClock(SystemClock().now())
    monkeypatch.setattr("ml_connector.exchange.systems.SystemClock", lambda: clock)

    def days_pass(days: int) -> None:
        clock.at += timedelta(days=days)
        synced.later(timedelta(days=days).total_seconds())

    earlier = new_order(synced, settled_account(synced))
    synced.sync()
    finished = written_keys(synced)
    assert earlier["Id"] in finished
    days_pass(2)
    since = clock.now()
    days_pass(1)
    order = new_order(synced, settled_account(synced))
    synced.fault("business-central", method="POST", path="salesOrders", status=503, times=None)
    for _ in range(3):
        with pytest.raises(TransientError):
            synced.sync()
    assert standing(synced, order) == (State.WAITING, "service_unavailable")
    with Systems.open(synced.settings) as systems:
        stored = systems.ledger.changes_of(order["Id"])
    assert stored
    assert all(since < change.changed_at < since + timedelta(days=2) for change in stored)
    days_pass(4)
    synced.sandbox.admin.delete("/business-central/faults").raise_for_status()
    assert order["OrderNumber"] not in synced.orders_by_reference()
    already = len(synced.business_central("salesOrders"))

    outcomes = replay(synced.settings, Selection(since=since))

    through = [each for each in outcomes if each.state is State.WRITTEN]
    assert [(each.kind, each.key) for each in through] == [(Kind.ORDER, order["Id"])]
    assert not finished & {each.key for each in outcomes}
    assert written_order(synced, order)[1] == [2]
    assert len(synced.business_central("salesOrders")) == already + 1
    synced.sync()
    assert len(synced.business_central("salesOrders")) == already + 1


def test_a_later_change_does_not_overtake_a_parked_one(synced: Any) -> None:
    """What is parked stays unwritten however often it is edited; cured, it is written as it is."""
    order, customer = parked_order(synced)
    before = writes_in_bc(synced)
    edit_quantity(synced, order, 5)

    synced.sync()
    replay(synced.settings, Selection(ids=(order["Id"],)))

    assert standing(synced, order) == (State.PARKED, "blocked_customer")
    assert order["OrderNumber"] not in synced.orders_by_reference()
    assert writes_in_bc(synced) == before

    ship_to(synced, order, "Hamburg")  # no run has seen this one
    synced.act("business-central", "unblock_customer", customer=customer)
    replay(synced.settings, Selection(ids=(order["Id"],)))

    assert written_order(synced, order) == ("Hamburg", [5])
    once = writes_in_bc(synced)
    made = [(entry["operation"], entry["entity"]) for entry in once[len(before) :]]
    assert made == [("create", "salesOrders"), ("create", "salesOrderLines")]
    synced.sync()
    replay(synced.settings, Selection(ids=(order["Id"],)))
    assert written_order(synced, order) == ("Hamburg", [5])
    assert writes_in_bc(synced) == once


def test_replaying_everything_lets_a_cured_record_through(synced: Any) -> None:
    """What is parked is decided on again without anybody naming it, and written."""
    order, customer = parked_order(synced)
    synced.act("business-central", "unblock_customer", customer=customer)
    assert order["OrderNumber"] not in synced.orders_by_reference()

    outcomes = replay(synced.settings, Selection(everything=True))

    (outcome,) = [each for each in outcomes if each.key == order["Id"]]
    assert (outcome.kind, outcome.state) == (Kind.ORDER, State.WRITTEN)
    assert written_order(synced, order)[1] == [2]
    assert current(synced, order["Id"])["BC_Sync_Status__c"] == "Synced"


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
