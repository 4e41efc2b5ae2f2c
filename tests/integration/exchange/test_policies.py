"""Switches that are off by default: what each of them does when it is on."""

from decimal import Decimal
from typing import Any

import pytest

from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.replay import Selection, replay

SHIP = r"Microsoft\.NAV\.ship"
"""The path of the action that ships and invoices a sales order."""


def money(value: Any) -> Decimal:
    """Return an amount of a row as a Decimal."""
    return Decimal(str(value))


@pytest.mark.parametrize("drop", [None, "after", "before"])
def test_ship_and_invoice_posts_every_order_once(connected: Any, drop: str | None) -> None:
    """The connector ships and invoices linked orders; a lost answer never posts twice."""
    ours = connected.with_policy(invoices={"posting": "ship_and_invoice"})
    if drop:
        ours.fault("business-central", method="POST", path=SHIP, drop=drop, times=3)

    ours.sync_through_faults()
    ours.sync()

    handed = [row for row in ours.salesforce("Order") if row.get("BC_Order_Id__c")]
    invoices = [row["externalDocumentNumber"] for row in ours.business_central("salesInvoices")]
    assert len(handed) > 30
    for row in handed:
        assert row["BC_Order_Status__c"] == "Invoiced"
        assert invoices.count(row["OrderNumber"]) == 1


@pytest.fixture
def refused(connected: Any) -> Any:
    """A connection that ships and invoices its orders, after BC refused every posting once."""
    ours = connected.with_policy(invoices={"posting": "ship_and_invoice"})
    ours.fault("business-central", method="POST", path=SHIP, status=400, times=None)
    ours.sync()
    return ours


def test_a_refused_posting_stays_parked_and_counts_its_attempts(refused: Any) -> None:
    """Neither the next sync nor a replay of everything takes the sales order for a draft."""
    parked = refused.records(Kind.INVOICE)
    assert len(parked) > 30

    refused.sync()
    replay(refused.settings, Selection(everything=True))

    assert {(each.state, each.cause) for each in refused.records(Kind.INVOICE)} == {
        ("parked", "posting_refused")
    }
    assert {each.attempts for each in refused.records(Kind.INVOICE)} == {3}
    assert {each.since for each in refused.records(Kind.INVOICE)} == {each.since for each in parked}


def test_a_refused_posting_is_replayed_once_its_cause_is_cured(refused: Any) -> None:
    """Every order is shipped and invoiced once, by the replay alone."""
    refused.sandbox.admin.delete("/business-central/faults").raise_for_status()

    outcomes = replay(refused.settings, Selection(cause="posting_refused"))

    posted = {each.key for each in outcomes if each.state == "written"}
    assert posted == {each.key for each in refused.records(Kind.INVOICE)}
    invoices = [row["orderId"].lower() for row in refused.business_central("salesInvoices")]
    assert sorted(invoices) == sorted(posted)


def test_a_posting_whose_end_is_unknown_keeps_waiting(connected: Any) -> None:
    """A replay before the lost answer has settled leaves it as it is, neither deleted nor twice."""
    ours = connected.with_policy(invoices={"posting": "ship_and_invoice"})
    central = ours.settings.business_central.model_copy(update={"settle_seconds": 3600})
    ours.settings = ours.settings.model_copy(update={"business_central": central})
    ours.fault("business-central", method="POST", path=SHIP, drop="before", times=1)
    ours.sync_through_faults()

    replay(ours.settings, Selection(everything=True))

    (waiting,) = [each for each in ours.records(Kind.INVOICE) if each.state != "written"]
    assert (waiting.state, waiting.cause) == ("waiting", "outcome_unknown")


def test_a_refused_posting_ends_with_its_sales_order(refused: Any) -> None:
    """Deleted or invoiced by a clerk: there is nothing left to post, and the record says so."""
    deleted, invoiced, *_ = refused.records(Kind.INVOICE)
    refused.act("business-central", "delete_order", order=deleted.bc_number)
    refused.act("business-central", "ship_and_invoice", order=invoiced.bc_number)

    refused.sync()

    left = {each.key: each for each in refused.records(Kind.INVOICE)}
    for number, ended in (
        (deleted.bc_number, left[deleted.key]),
        (invoiced.bc_number, left[invoiced.key]),
    ):
        assert ended.state == "excluded"
        assert ended.message == (
            f"Sales order {number} is gone from Business Central; nothing is left to post."
        )


def test_an_order_that_parks_is_not_posted_for_its_refused_posting(refused: Any) -> None:
    """Whatever keeps the order itself from being posted also keeps its replay from posting it."""
    (posting, *_) = refused.records(Kind.INVOICE)
    (order,) = refused.salesforce("Order", Id=posting.salesforce_id)
    refused.act("business-central", "release_order", order=posting.bc_number)
    refused.act("salesforce", "draft_order", order=order["Id"])
    refused.sandbox.admin.delete("/business-central/faults").raise_for_status()

    refused.sync()
    replay(refused.settings, Selection(everything=True))

    assert refused.business_central("salesInvoices", orderNumber=posting.bc_number) == []
    (left,) = [each for each in refused.records(Kind.INVOICE) if each.key == posting.key]
    assert (left.state, left.cause) == ("parked", "posting_refused")


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
    orders = ours.two_orders("PO-4711")

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
