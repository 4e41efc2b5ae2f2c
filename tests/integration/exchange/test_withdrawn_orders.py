"""What becomes of a sales order whose Order was withdrawn, canceled or deleted, by policy."""

from typing import Any

import pytest

from ml_connector.changes.poll_feed import poll_entity
from ml_connector.exchange.orders import prepare_orders, write_orders
from ml_connector.exchange.plan import make_plan
from ml_connector.exchange.reconciliation import reconcile
from ml_connector.exchange.systems import Systems


def handed_over(connected: Any) -> dict[str, Any]:
    """Sync and return an Order that BC has as an open, untouched order."""
    connected.sync()
    rows = [
        row for row in connected.salesforce("Order") if row.get("BC_Order_Status__c") == "Draft"
    ]
    found: dict[str, Any] = min(rows, key=lambda row: str(row["OrderNumber"]))
    return found


def standing(connected: Any, order: dict[str, Any]) -> Any:
    """Return the ledger's record of an Order."""
    with Systems.open(connected.settings) as systems:
        return systems.ledger.record("order", order["Id"])


def sales_orders(connected: Any, order: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the sales orders that BC has of an Order."""
    rows: list[dict[str, Any]] = connected.business_central(
        "salesOrders", externalDocumentNumber=order["OrderNumber"]
    )
    return rows


@pytest.fixture
def deleting(connected: Any) -> Any:
    """A connection that deletes untouched sales orders of withdrawn Orders."""
    return connected.with_policy(
        orders={"on_cancel": "delete_untouched", "canceled_statuses": ["Canceled"]}
    )


def test_an_untouched_sales_order_is_deleted_and_handed_over_anew(deleting: Any) -> None:
    """Withdrawn: gone in BC, nothing shown. Activated again: exactly one new sales order."""
    order = handed_over(deleting)
    deleting.act("salesforce", "draft_order", order=order["Id"])
    deleting.sync()

    withdrawn = standing(deleting, order)
    (shown,) = deleting.salesforce("Order", Id=order["Id"])
    assert sales_orders(deleting, order) == []
    assert (withdrawn.state, withdrawn.bc_id) == ("excluded", "")
    assert not shown.get("BC_Order_Id__c")
    assert not shown.get("BC_Order_Status__c")
    deleting.sync()
    deleting.act("salesforce", "activate_order", order=order["Id"])
    deleting.sync()
    (again,) = sales_orders(deleting, order)
    assert again["id"] != order["BC_Order_Id__c"]
    (shown,) = deleting.salesforce("Order", Id=order["Id"])
    assert shown["BC_Order_Id__c"] == again["id"]
    assert shown["BC_Sync_Status__c"] == "Synced"


@pytest.mark.parametrize("touch", ["release", "line", "header", "ship"])
def test_what_bc_has_touched_is_never_deleted(deleting: Any, touch: str) -> None:
    """Released, edited or shipped orders stay, and a person is asked with the reason."""
    order = handed_over(deleting)
    number = order["BC_Order_Number__c"]
    match touch:
        case "release":
            deleting.act("business-central", "release_order", order=number)
        case "line":
            fields = {"quantity": 99}
            deleting.act(
                "business-central", "edit_order_line", order=number, sequence=10000, fields=fields
            )
        case "header":
            fields = {"shipToName": "Somebody", "shipToCity": "Elsewhere"}
            deleting.act("business-central", "edit_order", order=number, fields=fields)
        case _:
            deleting.act("business-central", "ship", order=number, share=0.5)
    deleting.act("salesforce", "draft_order", order=order["Id"])

    deleting.sync()

    record = standing(deleting, order)
    assert (record.state, record.cause) == ("parked", "withdrawn_after_hand_over")
    assert "is not deleted because" in record.message
    assert len(sales_orders(deleting, order)) == 1


def test_an_edit_withdrawn_before_it_was_written_ends_with_no_sales_order(deleting: Any) -> None:
    """BC's order was saved and the Order withdrawn after the edit was planned: it is deleted."""
    order = handed_over(deleting)
    number = order["BC_Order_Number__c"]
    address = {"ShippingStreet": "Kai 4", "ShippingCity": "Hamburg", "ShippingCountry": "Germany"}
    deleting.act("salesforce", "edit", sobject="Order", record=order["Id"], fields=address)
    with Systems.open(deleting.settings) as systems:
        planned = prepare_orders(systems, [order["Id"]])
        assert len(planned.plans) == 1
        (before,) = sales_orders(deleting, order)
        for date in ("2026-01-05", before["orderDate"]):
            deleting.act("business-central", "edit_order", order=number, fields={"orderDate": date})
        deleting.act("salesforce", "draft_order", order=order["Id"])

        write_orders(systems, planned.plans)

    assert sales_orders(deleting, order) == []
    record = standing(deleting, order)
    assert (record.state, record.bc_id) == ("excluded", "")


def test_an_order_deleted_in_salesforce_takes_its_sales_order_along(deleting: Any) -> None:
    """The same holds when the Order itself is gone."""
    order = handed_over(deleting)
    deleting.act("salesforce", "cancel_order", order=order["Id"])
    with Systems.open(deleting.settings) as systems:
        poll_entity(systems, "Order")

    deleting.sync()

    assert sales_orders(deleting, order) == []
    assert standing(deleting, order).state == "excluded"


@pytest.mark.parametrize("on_cancel", ["park", "delete_untouched"])
def test_a_deleted_order_ends_when_finance_deletes_its_sales_order(
    connected: Any, on_cancel: str
) -> None:
    """Parked while the released sales order is there; over, by itself, once it is gone too."""
    ours = connected.with_policy(orders={"on_cancel": on_cancel})
    order = handed_over(ours)
    ours.act("business-central", "release_order", order=order["BC_Order_Number__c"])
    ours.act("salesforce", "cancel_order", order=order["Id"])
    with Systems.open(ours.settings) as systems:
        poll_entity(systems, "Order")
    ours.sync()
    parked = standing(ours, order)
    ours.act("business-central", "reopen_order", order=order["BC_Order_Number__c"])
    ours.act("business-central", "delete_order", order=order["BC_Order_Number__c"])

    ours.sync()

    ended = standing(ours, order)
    assert (parked.state, parked.cause) == ("parked", "deleted_in_salesforce")
    assert (ended.state, ended.cause) == ("excluded", "deleted")
    assert ended.message == (
        f"Order {order['OrderNumber']} was deleted in Salesforce, and so was sales order "
        f"{order['BC_Order_Number__c']} in Business Central."
    )
    ours.sync()
    assert standing(ours, order).version == ended.version
    with Systems.open(ours.settings) as systems:
        assert [each for each in reconcile(systems).findings if each.key == order["Id"]] == []


def test_a_status_that_means_canceled_withdraws_an_activated_order(deleting: Any) -> None:
    """The label decides, though its category says Activated."""
    order = handed_over(deleting)
    deleting.act("salesforce", "add_order_status", label="Canceled", category="Activated")
    deleting.act("salesforce", "set_order_status", order=order["Id"], status="Canceled")

    deleting.sync()

    assert sales_orders(deleting, order) == []


def test_by_default_nothing_is_deleted_and_keep_asks_nobody(connected: Any) -> None:
    """Parked by default; with "keep" it is left out and finance sees to it in BC."""
    order = handed_over(connected)
    connected.act("salesforce", "draft_order", order=order["Id"])
    connected.sync()
    assert standing(connected, order).cause == "withdrawn_after_hand_over"

    keeping = connected.with_policy(orders={"on_cancel": "keep"})
    keeping.sync()

    record = standing(keeping, order)
    assert (record.state, record.cause) == ("excluded", "withdrawn")
    assert record.bc_id == order["BC_Order_Id__c"]
    assert len(sales_orders(keeping, order)) == 1


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_deletion_whose_answer_is_lost_ends_with_no_sales_order(deleting: Any, drop: str) -> None:
    """After the next run the order is gone once and the write has a known end."""
    order = handed_over(deleting)
    deleting.act("salesforce", "draft_order", order=order["Id"])
    deleting.fault("business-central", method="DELETE", path="salesOrders", drop=drop, times=1)

    deleting.sync_through_faults()
    deleting.sync()

    record = standing(deleting, order)
    assert sales_orders(deleting, order) == []
    assert (record.state, record.bc_id) == ("excluded", "")
    with Systems.open(deleting.settings) as systems:
        assert systems.ledger.intents("order", [order["Id"]]) == {}
    deletions = [row for row in deleting.writes() if row["operation"] == "delete"]
    assert len([row for row in deletions if row["entity"] == "salesOrders"]) == 1


def test_a_plan_shows_the_deletion_and_makes_none(deleting: Any) -> None:
    """The rehearsal names the sales order that would go."""
    order = handed_over(deleting)
    deleting.act("salesforce", "draft_order", order=order["Id"])

    with Systems.open(deleting.settings) as systems:
        plan = make_plan(systems)

    (change,) = [change for change in plan.changes if change.action == "delete"]
    assert change.salesforce_number == order["OrderNumber"]
    assert len(sales_orders(deleting, order)) == 1
