"""What BC tells shows on the Order, by the notification alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.changes.notification_feed import Taken, take_notifications
from ml_connector.domain.identifiers import Kind
from ml_connector.exchange import status
from ml_connector.exchange.notified import WHOLE
from ml_connector.exchange.show import show
from ml_connector.exchange.sync import run_sync
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import NewChange, StoredChange
from tests.integration.receiver.conftest import World


@contextmanager
def at_work(world: World) -> Iterator[Systems]:
    """Open the connection's systems."""
    with Systems.open(world.settings) as systems:
        yield systems


def write_back(world: World) -> Taken:
    """Do what the flow does for notifications, without an orchestrator."""
    with at_work(world) as systems:
        taken = take_notifications(systems)
        orders = status.orders_with_news(systems)
        if orders:
            status.prepare_status(systems, orders)
            show(systems, Kind.ORDER)
        if status.accounts_are_due(systems):
            status.account_status(systems)
            show(systems, Kind.CUSTOMER)
        assert not status.accounts_are_due(systems)
        return taken


@pytest.fixture
def told(world: World) -> World:
    """A connection whose first sync is done, and that is told of changes at once."""
    world.switch(webhook_scale=0)
    run_sync(world.settings)
    world.keep()
    return world


def order_of(world: World) -> dict[str, Any]:
    """Return one handed-over Order in the company's own currency."""
    rows = world.rows("salesforce", "Order")
    return next(
        row for row in rows if row.get("BC_Order_Id__c") and row["CurrencyIsoCode"] == "USD"
    )


def shown(world: World, order: dict[str, Any]) -> dict[str, Any]:
    """Return the Order as Salesforce shows it now."""
    (row,) = world.rows("salesforce", "Order", Id=order["Id"])
    return row


def told_of(world: World, entity_set: str) -> bool:
    """Wait until a notification of a set has come."""
    return world.wait_for(lambda: ("business_central", entity_set) in world.pending())


def test_invoice_and_partial_payment_show_without_a_poll(told: World) -> None:
    """Two notifications, two write-backs; the payment is noticed by its G/L entry alone."""
    order = order_of(told)
    told.act("ship_and_invoice", order=order["BC_Order_Number__c"])
    assert told_of(told, "salesInvoices")
    assert told_of(told, "salesOrders")
    assert write_back(told).orders == 1
    assert shown(told, order)["BC_Order_Status__c"] == "Invoiced"

    (invoice,) = told.rows(
        "business-central", "salesInvoices", orderNumber=order["BC_Order_Number__c"]
    )
    told.wait_for(lambda: False, seconds=0.3)
    write_back(told)
    told.act("pay", invoice=invoice["number"], amount="1.00")
    assert told_of(told, "generalLedgerEntries")
    taken = write_back(told)

    assert (taken.orders, taken.accounts) == (1, True)
    assert Decimal(str(shown(told, order)["BC_Paid_Amount__c"])) == 1


def test_our_own_orders_are_no_news(world: World) -> None:
    """BC tells of what we wrote ourselves as well; it is looked at and causes nothing."""
    world.switch(webhook_scale=0)
    world.keep()
    run_sync(world.settings)
    assert told_of(world, "salesOrders")
    world.wait_for(lambda: False, seconds=0.5)

    taken = write_back(world)

    assert taken.notifications > 10
    assert (taken.orders, taken.products) == (0, 0)


def test_a_notification_that_was_not_read_is_not_finished(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was stored while the others were read waits, though its id is lower than theirs."""
    changes = [
        NewChange(
            system="business_central",
            entity="salesOrders",
            record_id=WHOLE,
            change_type="updated",
            changed_at=datetime.now(UTC),
            source="notification",
            dedupe_key=str(number),
        )
        for number in (1, 2)
    ]
    with at_work(world) as systems:
        with systems.ledger.transaction() as tx:
            tx.add_changes(changes)
        read = systems.ledger.pending_changes
        late, _ = read("business_central", "salesOrders", limit=10)

        def earlier(*stream: str, **window: int) -> list[StoredChange]:
            return [each for each in read(*stream, **window) if each.id != late.id]

        monkeypatch.setattr(systems.ledger, "pending_changes", earlier)
        taken = take_notifications(systems)

        assert taken.notifications == 1
        assert read("business_central", "salesOrders", limit=10) == [late]


def test_a_deleted_order_shows_as_canceled(told: World) -> None:
    """A deletion is told, and what it leaves is derived."""
    order = order_of(told)

    told.act("delete_order", order=order["BC_Order_Number__c"])

    assert told_of(told, "salesOrders")
    write_back(told)
    assert shown(told, order)["BC_Order_Status__c"] == "Canceled"


@pytest.mark.parametrize("most", [1_000, 0])
def test_a_gap_is_read_again(told: World, most: int) -> None:
    """What happened while nobody was told, or too much at once, is found by comparing the set."""
    told.switch(webhook_most_items=most)
    order = order_of(told)
    if most:
        told.act("webhook_remove")
    told.act("ship_and_invoice", order=order["BC_Order_Number__c"])
    if most:
        told.keep()
    assert told_of(told, "salesInvoices")
    assert told_of(told, "salesOrders")

    taken = write_back(told)

    assert taken.orders >= 1
    assert shown(told, order)["BC_Order_Status__c"] == "Invoiced"


def test_a_changed_item_reaches_its_product(told: World) -> None:
    """The product is decided on again; unknown items and customers cause nothing."""
    product = next(row for row in told.rows("salesforce", "Product2") if row["BC_Item_Id__c"])
    told.act(
        "edit",
        entity="items",
        record=product["BC_Item_Id__c"],
        fields={"displayName": "Renamed"},
    )
    told.act("create_item", displayName="Nobody's")
    assert told_of(told, "items")
    told.wait_for(lambda: False, seconds=0.3)

    assert write_back(told).products == 1
    with at_work(told) as systems:
        assert systems.ledger.pending_ids("salesforce", "Product2") == [product["Id"]]
