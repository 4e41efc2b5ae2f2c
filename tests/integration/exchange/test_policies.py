"""Switches that are off by default: what each of them does when it is on."""

from decimal import Decimal
from typing import Any

import pytest


def money(value: Any) -> Decimal:
    """Return an amount of a row as a Decimal."""
    return Decimal(str(value))


@pytest.mark.parametrize("drop", [None, "after", "before"])
def test_ship_and_invoice_posts_every_order_once(connected: Any, drop: str | None) -> None:
    """The connector ships and invoices linked orders; a lost answer never posts twice."""
    ours = connected.with_policy(invoices={"posting": "ship_and_invoice"})
    if drop:
        ours.fault(
            "business-central", method="POST", path=r"Microsoft\.NAV\.ship", drop=drop, times=3
        )

    ours.sync_through_faults()
    ours.sync()

    handed = [row for row in ours.salesforce("Order") if row.get("BC_Order_Id__c")]
    invoices = [row["externalDocumentNumber"] for row in ours.business_central("salesInvoices")]
    assert len(handed) > 30
    for row in handed:
        assert row["BC_Order_Status__c"] == "Invoiced"
        assert invoices.count(row["OrderNumber"]) == 1


def test_items_without_partner_become_products_once(connected: Any) -> None:
    """A Product2 is created for an item nobody sells yet; a second run creates none."""
    ours = connected.with_policy(catalog={"create_products": True})
    ours.act("business-central", "create_item", number="NEWITEM", displayName="New item")

    ours.fault("salesforce", method="PATCH", path="Product2/BC_Item_Id__c", drop="after", times=1)
    ours.sync_through_faults()
    ours.sync()
    ours.sync()

    (product,) = [row for row in ours.salesforce("Product2") if row["ProductCode"] == "NEWITEM"]
    (item,) = ours.business_central("items", number="NEWITEM")
    assert product["BC_Item_Id__c"] == item["id"].lower()
    codes = [row["ProductCode"] for row in ours.salesforce("Product2") if row.get("BC_Item_Id__c")]
    assert len(codes) == len(set(codes))


def test_products_without_item_become_items_once(connected: Any) -> None:
    """An item is created for a Product2 without partner, also when the answer is lost."""
    ours = connected.with_policy(catalog={"create_items": True})
    ours.fault("business-central", method="POST", path="items$", drop="after", times=1)

    ours.sync_through_faults()
    ours.sync()

    assert len(ours.business_central("items", number="PROTO-0")) == 1
    (product,) = [row for row in ours.salesforce("Product2") if row["ProductCode"] == "PROTO-0"]
    assert product["BC_Item_Number__c"] == "PROTO-0"


def test_item_prices_become_standard_prices(connected: Any) -> None:
    """The standard price of the company's currency follows the item's price."""
    ours = connected.with_policy(catalog={"prices": "standard"})
    ours.sync()
    item = next(row for row in ours.business_central("items") if not row["priceIncludesTax"])
    ours.act("business-central", "set_price", item=item["number"], amount=Decimal("12.34"))

    ours.sync()

    (product,) = [
        row for row in ours.salesforce("Product2") if row.get("BC_Item_Number__c") == item["number"]
    ]
    (standard,) = [row for row in ours.salesforce("Pricebook2") if row["IsStandard"]]
    (entry,) = [
        row
        for row in ours.salesforce("PricebookEntry", Product2Id=product["Id"])
        if row["Pricebook2Id"] == standard["Id"] and row["CurrencyIsoCode"] == "USD"
    ]
    assert money(entry["UnitPrice"]) == Decimal("12.34")


def test_a_blocked_item_makes_its_product_inactive(connected: Any) -> None:
    """Reps cannot sell what BC blocks, where the policy says so."""
    ours = connected.with_policy(catalog={"deactivate": True})
    ours.sync()
    product = next(row for row in ours.salesforce("Product2") if row.get("BC_Item_Id__c"))
    ours.act("business-central", "block_item", item=product["BC_Item_Number__c"])

    ours.sync()

    (product,) = ours.salesforce("Product2", Id=product["Id"])
    assert product["IsActive"] is False


def test_orders_with_one_purchase_order_number_stay_apart(connected: Any) -> None:
    """Two equal Orders under one PO number become two sales orders, also without the ledger."""
    ours = connected.with_policy(orders={"reference": "po_number"})
    account = next(
        row
        for row in ours.salesforce("Account")
        if (row.get("Type") or "").startswith("Customer") and row["CurrencyIsoCode"] == "USD"
    )
    product = next(row for row in ours.salesforce("Product2") if row["ProductCode"] != "PROTO-0")
    orders = [
        ours.act(
            "salesforce",
            "create_order",
            account=account["Id"],
            lines=[{"product": product["ProductCode"], "quantity": 2}],
            PoNumber="PO-4711",
            activate=True,
        )["Id"]
        for _ in range(2)
    ]

    ours.sync()
    ours.sync()

    written = ours.orders_by_reference()["PO-4711"]
    shown = {ours.salesforce("Order", Id=order)[0]["BC_Order_Id__c"] for order in orders}
    assert shown == {row["id"].lower() for row in written}
    assert len(shown) == 2


def test_where_the_series_forbids_our_numbers_bc_gives_its_own(connected: Any) -> None:
    """Customers and contacts are written once under BC's numbers, and Salesforce shows them."""
    connected.sandbox.admin.post(
        "/business-central/switches",
        json={"manual_nos_customers": False, "manual_nos_contacts": False},
    ).raise_for_status()

    connected.sync()
    report = connected.sync()

    ids = [row.get("BC_Contact_Id__c") for row in connected.salesforce("Contact")]
    linked = [each for each in ids if each]
    assert len(linked) == len(set(linked)) > 30
    assert report.by_kind["customer"]["unchanged"] > 30
    assert report.counts["written"] == 0
