"""The ledger is gone: links are found again from External Ids and numbers, nothing is doubled."""

from pathlib import Path
from typing import Any

import pytest

from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import Kind, State
from ml_connector.exchange import invoices, orders
from ml_connector.exchange.phases import run_phase
from ml_connector.exchange.systems import Systems


@pytest.fixture
def without_ledger(connected: Any, tmp_path: Path) -> Any:
    """A connection whose first sync is done and whose ledger was deleted since."""
    connected.sync()
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"ledger.db{ending}").unlink(missing_ok=True)
    return connected


def written_in_bc(connected: Any) -> list[str]:
    """Return what the connector wrote in BC so far."""
    return [
        f"{entry['operation']} {entry['entity']}"
        for entry in connected.writes()
        if entry["system"].startswith("business")
    ]


def test_everything_is_linked_again_and_nothing_written(without_ledger: Any) -> None:
    """A run without ledger writes nothing in BC, and shows what it showed before."""
    before = written_in_bc(without_ledger)
    shown = {row["Id"]: row.get("BC_Order_Id__c") for row in without_ledger.salesforce("Order")}

    without_ledger.sync()

    assert written_in_bc(without_ledger) == before
    assert shown == {
        row["Id"]: row.get("BC_Order_Id__c") for row in without_ledger.salesforce("Order")
    }


def test_an_order_that_was_deleted_in_bc_is_not_written_again(without_ledger: Any) -> None:
    """It carries the id of a sales order that is gone: a person decides."""
    order = next(row for row in without_ledger.salesforce("Order") if row.get("BC_Order_Id__c"))
    without_ledger.act("business-central", "delete_order", order=order["BC_Order_Number__c"])

    without_ledger.sync()

    assert order["OrderNumber"] not in without_ledger.orders_by_reference()
    (row,) = without_ledger.salesforce("Order", Id=order["Id"])
    assert row["BC_Sync_Status__c"] == "Parked"


def test_an_order_that_was_edited_in_bc_is_linked_by_its_external_id(without_ledger: Any) -> None:
    """Other lines than in Salesforce do not make it another order; the difference is parked."""
    order = next(row for row in without_ledger.salesforce("Order") if row.get("BC_Order_Id__c"))
    number = order["BC_Order_Number__c"]
    without_ledger.act(
        "business-central", "edit_order_line", order=number, sequence=10000, fields={"quantity": 77}
    )

    without_ledger.sync()

    (row,) = without_ledger.salesforce("Order", Id=order["Id"])
    assert row["BC_Order_Id__c"] == order["BC_Order_Id__c"]
    assert row["BC_Sync_Status__c"] == "Parked"
    assert len(without_ledger.orders_by_reference()[order["OrderNumber"]]) == 1


def test_edits_after_linking_again_are_carried_over(without_ledger: Any) -> None:
    """What was linked again agrees with what both sides had then; a later edit is an edit."""
    contact = next(row for row in without_ledger.salesforce("Contact") if row["BC_Contact_Id__c"])
    account = without_ledger.salesforce("Account", Id=contact["AccountId"])[0]
    without_ledger.sync()
    without_ledger.act(
        "salesforce", "edit", sobject="Contact", record=contact["Id"], fields={"Title": "Buyer"}
    )
    without_ledger.act(
        "salesforce", "edit", sobject="Account", record=account["Id"], fields={"Phone": "5550199"}
    )

    without_ledger.sync()

    (person,) = without_ledger.business_central("contacts", id=contact["BC_Contact_Id__c"])
    (customer,) = without_ledger.business_central("customers", id=account["BC_Customer_Id__c"])
    assert person["jobTitle"] == "Buyer"
    assert customer["phoneNumber"] == "5550199"


def test_an_edit_of_an_invoiced_order_is_not_taken_for_agreed(without_ledger: Any) -> None:
    """Invoiced and gone in BC, other lines in Salesforce, nothing remembered: a person decides."""
    order = next(row for row in without_ledger.salesforce("Order") if row.get("BC_Order_Id__c"))
    number = order["BC_Order_Number__c"]
    without_ledger.act("business-central", "ship_and_invoice", order=number)
    (line, *_) = without_ledger.salesforce("OrderItem", OrderId=order["Id"])
    without_ledger.act("salesforce", "draft_order", order=order["Id"])
    without_ledger.act(
        "salesforce", "edit", sobject="OrderItem", record=line["Id"], fields={"Quantity": 77}
    )
    without_ledger.act("salesforce", "activate_order", order=order["Id"])

    for _ in range(2):
        without_ledger.sync()
        (row,) = without_ledger.salesforce("Order", Id=order["Id"])
        assert row["BC_Sync_Status__c"] == "Parked"
        assert row["BC_Order_Id__c"] == order["BC_Order_Id__c"]
    assert order["OrderNumber"] not in without_ledger.orders_by_reference()


def test_a_draft_of_an_order_that_is_gone_and_differs_is_decided_on(without_ledger: Any) -> None:
    """BC's invoices say whose order it was, so a draft that is left over has a state of its own."""
    order = next(row for row in without_ledger.salesforce("Order") if row.get("BC_Order_Id__c"))
    number = order["BC_Order_Number__c"]
    without_ledger.act("business-central", "draft_invoice", order=number, share=0.5)
    without_ledger.act("business-central", "ship_and_invoice", order=number)
    without_ledger.act("salesforce", "draft_order", order=order["Id"])
    line = without_ledger.salesforce("OrderItem", OrderId=order["Id"])[0]
    without_ledger.act(
        "salesforce", "edit", sobject="OrderItem", record=line["Id"], fields={"Quantity": 77}
    )
    without_ledger.act("salesforce", "activate_order", order=order["Id"])
    (draft,) = [
        row for row in without_ledger.business_central("salesInvoices") if not row["_posted"]
    ]

    without_ledger.sync()

    with Systems.open(without_ledger.settings) as systems:
        record = systems.ledger.record(Kind.INVOICE, draft["id"])
    assert record is not None
    assert (record.state, record.cause) == (State.PARKED, Cause.DRAFT_DOES_NOT_FIT)


def test_an_invoiced_order_is_linked_by_its_invoices(without_ledger: Any) -> None:
    """The sales order is gone, its posted invoice names it."""
    order = next(row for row in without_ledger.salesforce("Order") if row.get("BC_Order_Id__c"))
    number = order["BC_Order_Number__c"]
    without_ledger.act("business-central", "ship_and_invoice", order=number)

    without_ledger.sync()

    (row,) = without_ledger.salesforce("Order", Id=order["Id"])
    assert row["BC_Order_Status__c"] == "Invoiced"
    assert row["BC_Order_Id__c"] == order["BC_Order_Id__c"]
    assert order["OrderNumber"] not in without_ledger.orders_by_reference()


def test_a_draft_of_an_order_linked_before_its_customer_is_posted(without_ledger: Any) -> None:
    """The order alone was linked again; its draft is known by the customer BC's order has."""
    order = next(row for row in without_ledger.salesforce("Order") if row.get("BC_Order_Id__c"))
    without_ledger.act("business-central", "draft_invoice", order=order["BC_Order_Number__c"])
    (draft,) = [
        row for row in without_ledger.business_central("salesInvoices") if row["status"] == "Draft"
    ]

    with Systems.open(without_ledger.settings) as systems:
        run_phase(systems, [order["Id"]], orders.prepare_orders, orders.write_orders)
        drafts = invoices.collect_drafts(systems)
        run_phase(systems, drafts, invoices.prepare_drafts, invoices.post_invoices)

    (invoice,) = without_ledger.business_central("salesInvoices", id=draft["id"])
    assert invoice["_posted"]


@pytest.mark.parametrize("shows_it", [True, False], ids=["by its External Id", "by its number"])
def test_another_delivery_address_is_not_taken_for_agreed(
    without_ledger: Any, shows_it: bool
) -> None:
    """Who changed it cannot be told: the order is linked, and parked until both say the same."""
    order = next(
        row
        for row in without_ledger.salesforce("Order")
        if row.get("BC_Order_Id__c") and row.get("ShippingCity")
    )
    shown = {} if shows_it else {"BC_Order_Id__c": None, "BC_Order_Number__c": None}
    edit = {"sobject": "Order", "record": order["Id"]}
    without_ledger.act("salesforce", "edit", **edit, fields={"ShippingCity": "Elsewhere", **shown})

    for _ in range(3):
        without_ledger.sync()
    (row,) = without_ledger.salesforce("Order", Id=order["Id"])
    assert row["BC_Order_Id__c"] == order["BC_Order_Id__c"]
    assert row["BC_Sync_Status__c"] == "Parked"
    assert "shipToCity is Elsewhere in Salesforce" in row["BC_Sync_Message__c"]
    (bc_order,) = without_ledger.business_central("salesOrders", id=order["BC_Order_Id__c"])
    assert bc_order["shipToCity"] == order["ShippingCity"]

    without_ledger.act("salesforce", "edit", **edit, fields={"ShippingCity": order["ShippingCity"]})
    without_ledger.sync()
    (row,) = without_ledger.salesforce("Order", Id=order["Id"])
    assert row["BC_Sync_Status__c"] == "Synced"
