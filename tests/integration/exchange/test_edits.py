"""Orders edited after they were handed over: what follows, what a person has to decide."""

from decimal import Decimal
from typing import Any

import pytest

from ml_connector.changes.poll_feed import poll_entity
from ml_connector.domain.identifiers import Kind
from ml_connector.exchange.order_lines import poll_order_lines
from ml_connector.exchange.reconciliation import reconcile
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record


def handed_over(connected: Any) -> dict[str, Any]:
    """Sync, and return an Order that has a sales order with at least two lines."""
    connected.sync()
    orders = connected.salesforce("Order")
    reduced = {row.get("OriginalOrderId") for row in orders}
    for row in orders:
        if not row.get("BC_Order_Id__c") or row["Id"] in reduced:
            continue
        if len(lines_of(connected, row)) >= 2:
            return dict(row)
    raise AssertionError("the seed has no such order")


def lines_of(connected: Any, order: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of an Order in Salesforce by their number."""
    rows = connected.salesforce("OrderItem", OrderId=order["Id"])
    return sorted(rows, key=lambda row: row["OrderItemNumber"])


def edit_line(connected: Any, order: dict[str, Any], **fields: Any) -> None:
    """Let the rep set the order back to draft, change its first line, and activate it again."""
    connected.act("salesforce", "draft_order", order=order["Id"])
    line = lines_of(connected, order)[0]
    connected.act("salesforce", "edit", sobject="OrderItem", record=line["Id"], fields=fields)
    connected.act("salesforce", "activate_order", order=order["Id"])


def sales_order(connected: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Return the one sales order of an Order."""
    (row,) = connected.business_central("salesOrders", externalDocumentNumber=order["OrderNumber"])
    return dict(row)


def bc_lines(connected: Any, bc_order: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the stored lines of a sales order in their sequence."""
    rows = connected.business_central("salesOrderLines", documentId=bc_order["id"])
    return sorted(rows, key=lambda row: row["sequence"])


def standing(connected: Any, order: dict[str, Any]) -> Record:
    """Return the ledger's record of an Order."""
    with Systems.open(connected.settings) as systems:
        record = systems.ledger.record(Kind.ORDER, order["Id"])
    assert record is not None
    return record


def shown(connected: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Return the Order as Salesforce shows it now."""
    (row,) = connected.salesforce("Order", Id=order["Id"])
    return dict(row)


def same(left: Any, right: Any) -> bool:
    """Tell whether two numbers of rows are equal."""
    return Decimal(str(left)) == Decimal(str(right))


def test_a_changed_line_follows_into_the_same_sales_order(connected: Any) -> None:
    """Draft, edited and activated again is an edit of the same order, equal to the cent."""
    order = handed_over(connected)
    before = sales_order(connected, order)

    edit_line(connected, order, Quantity=7)
    connected.sync()

    after = sales_order(connected, order)
    now = shown(connected, order)
    assert after["id"] == before["id"]
    assert same(bc_lines(connected, after)[0]["quantity"], 7)
    assert same(after["totalAmountExcludingTax"], now["TotalAmount"])
    assert now["BC_Sync_Status__c"] == "Synced"
    assert now["BC_Order_Status__c"] == "Draft"


def test_a_line_edit_that_leaves_total_and_stamp_of_the_order_follows(connected: Any) -> None:
    """Twice as many at half the price moves nothing but the line, and BC still gets it."""
    order = handed_over(connected)
    edit_line(connected, order, Quantity=2, UnitPrice="10.00")
    connected.sync()
    connected.later(3600)
    before = shown(connected, order)

    line = lines_of(connected, order)[0]
    fields = {"Quantity": 4, "UnitPrice": "5.00"}
    connected.act("salesforce", "edit", sobject="OrderItem", record=line["Id"], fields=fields)
    assert shown(connected, order)["SystemModstamp"] == before["SystemModstamp"]
    connected.sync()

    (written, *_) = bc_lines(connected, sales_order(connected, order))
    assert same(written["quantity"], 4)
    assert same(written["unitPrice"], 5)
    with Systems.open(connected.settings) as systems:
        poll_order_lines(systems)
        assert systems.ledger.pending_ids("salesforce", "Order") == []


def test_an_added_and_a_removed_line_follow(connected: Any) -> None:
    """Lines that come and go in Salesforce come and go in BC."""
    order = handed_over(connected)
    lines = lines_of(connected, order)
    connected.act("salesforce", "draft_order", order=order["Id"])
    connected.act("salesforce", "remove_line", line=lines[0]["Id"])
    (product,) = connected.salesforce("Product2", Id=lines[1]["Product2Id"])
    line = {"product": product["ProductCode"], "quantity": 3, "unit_price": "19.90"}
    connected.act("salesforce", "add_line", order=order["Id"], line=line)
    connected.act("salesforce", "activate_order", order=order["Id"])

    connected.sync()

    after = sales_order(connected, order)
    assert len(bc_lines(connected, after)) == len(lines)
    assert same(after["totalAmountExcludingTax"], shown(connected, order)["TotalAmount"])
    assert standing(connected, order).cause == ""


def test_a_changed_address_follows(connected: Any) -> None:
    """A header edit in Salesforce follows without touching the lines."""
    order = handed_over(connected)
    address = {
        "ShippingStreet": "Kai 4", "ShippingCity": "Hamburg", "ShippingPostalCode": "20457",
        "ShippingCountry": "Germany",
    }  # fmt: skip
    connected.act("salesforce", "edit", sobject="Order", record=order["Id"], fields=address)

    connected.sync()

    after = sales_order(connected, order)
    assert after["shipToCity"] == "Hamburg"
    assert after["shipToPostCode"] == "20457"
    assert same(after["totalAmountExcludingTax"], order["TotalAmount"])


@pytest.mark.parametrize(
    ("act", "arguments"),
    [
        ("release_order", {}),
        ("ship", {"quantities": {"10000": 1}}),
        ("edit_order_line", {"sequence": 10000, "fields": {"unitPrice": Decimal("1.11")}}),
    ],
)
def test_what_bc_has_touched_is_never_overwritten(
    connected: Any, act: str, arguments: dict[str, Any]
) -> None:
    """A released, shipped or edited order stays; the record is parked with all three values."""
    order = handed_over(connected)
    first = lines_of(connected, order)[0]
    number = shown(connected, order)["BC_Order_Number__c"]
    connected.act("business-central", act, order=number, **arguments)
    touched = sales_order(connected, order)

    edit_line(connected, order, Quantity=7)
    connected.sync()
    connected.sync()

    record = standing(connected, order)
    after = sales_order(connected, order)
    assert record.cause == "edited_after_hand_over"
    assert (record.state, record.owner) == ("parked", "sales")
    was = Decimal(str(first["Quantity"])).normalize()
    assert f"quantity of line 1 was {was:f} at hand-over, is 7 in Salesforce" in record.message
    assert f"and {was:f} in BC" in record.message
    assert (
        after["@odata.etag" if "@odata.etag" in after else "lastModifiedDateTime"]
        == touched["@odata.etag" if "@odata.etag" in touched else "lastModifiedDateTime"]
    )
    now = shown(connected, order)
    assert now["BC_Sync_Status__c"] == "Parked"
    assert "7 in Salesforce" in now["BC_Sync_Message__c"]


def test_a_line_edit_leaves_the_external_document_number_that_bc_has(connected: Any) -> None:
    """The clerk's number stays; a reference that Salesforce changes as well is parked."""
    order = handed_over(connected)
    number, fields = order["BC_Order_Number__c"], {"externalDocumentNumber": "CUST-PO-9"}
    connected.act("business-central", "edit_order", order=number, fields=fields)
    connected.sync()

    edit_line(connected, order, Quantity=7)
    connected.sync()

    (after,) = connected.business_central("salesOrders", number=number)
    assert after["externalDocumentNumber"] == "CUST-PO-9"
    assert same(bc_lines(connected, after)[0]["quantity"], 7)
    assert standing(connected, order).cause == ""
    edit_line(connected, order, Quantity=8)
    connected.with_policy(orders={"reference_prefix": "SF-"}).sync()
    (after,) = connected.business_central("salesOrders", number=number)
    assert after["externalDocumentNumber"] == "CUST-PO-9"
    assert standing(connected, order).cause == "edited_after_hand_over"


def test_a_reopened_order_follows_by_itself(connected: Any) -> None:
    """Once finance opens the order again, the parked edit goes through with the next run."""
    order = handed_over(connected)
    number = order["BC_Order_Number__c"]
    connected.act("business-central", "release_order", order=number)
    edit_line(connected, order, Quantity=7)
    connected.sync()
    assert standing(connected, order).cause == "edited_after_hand_over"

    connected.act("business-central", "reopen_order", order=number)
    connected.sync()

    assert same(bc_lines(connected, sales_order(connected, order))[0]["quantity"], 7)
    assert standing(connected, order).cause == ""


def test_taking_the_edit_back_ends_the_matter(connected: Any) -> None:
    """A parked edit that is taken back in Salesforce leaves nothing to decide."""
    order = handed_over(connected)
    quantity = lines_of(connected, order)[0]["Quantity"]
    connected.act("business-central", "release_order", order=order["BC_Order_Number__c"])
    edit_line(connected, order, Quantity=7)
    connected.sync()

    edit_line(connected, order, Quantity=quantity)
    connected.sync()

    assert standing(connected, order).cause == ""
    assert shown(connected, order)["BC_Sync_Status__c"] == "Synced"


def test_the_same_change_by_hand_in_bc_ends_the_matter(connected: Any) -> None:
    """Finance writes the edit into the order itself: both sides agree again, nothing is sent."""
    order = handed_over(connected)
    fields = {"quantity": 7}
    edit_line(connected, order, Quantity=7)
    connected.act(
        "business-central",
        "edit_order_line",
        order=order["BC_Order_Number__c"],
        sequence=10000,
        fields=fields,
    )
    written = len(connected.writes())

    connected.sync()

    made = [
        row
        for row in connected.writes()[written:]
        if row["entity"].startswith("salesOrder") and row["who"] != "clerk"
    ]
    assert made == []
    assert standing(connected, order).cause == ""


def test_an_order_set_back_to_draft_waits_for_a_person(connected: Any) -> None:
    """Withdrawn after hand-over is parked; activated again unchanged, it is the same order."""
    order = handed_over(connected)
    before = sales_order(connected, order)
    connected.act("salesforce", "draft_order", order=order["Id"])
    connected.sync()
    withdrawn = standing(connected, order)

    connected.act("salesforce", "activate_order", order=order["Id"])
    connected.sync()

    assert (withdrawn.state, withdrawn.cause) == ("parked", "withdrawn_after_hand_over")
    assert sales_order(connected, order)["id"] == before["id"]
    assert standing(connected, order).cause == ""
    assert shown(connected, order)["BC_Sync_Status__c"] == "Synced"


def test_an_order_canceled_in_salesforce_keeps_its_sales_order(connected: Any) -> None:
    """An Order deleted in Salesforce is parked; nothing is deleted in BC."""
    order = handed_over(connected)
    connected.act("salesforce", "cancel_order", order=order["Id"])

    with Systems.open(connected.settings) as systems:
        poll_entity(systems, "Order")
    connected.sync()

    record = standing(connected, order)
    assert (record.state, record.cause) == ("parked", "deleted_in_salesforce")
    assert sales_order(connected, order)["number"] == order["BC_Order_Number__c"]


@pytest.mark.parametrize(
    ("sobject", "kind", "entity"),
    [("Account", "customer", "customers"), ("Contact", "contact", "contacts")],
)
def test_a_deletion_on_both_sides_is_over(
    connected: Any, sobject: str, kind: str, entity: str
) -> None:
    """Parked while the partner stays in BC, left out once it was deleted there as well."""
    connected.sync()
    busy = {row.get("AccountId") for row in connected.salesforce("Order")}
    link = f"BC_{sobject.replace('Account', 'Customer')}_Id__c"
    row = next(
        row
        for row in connected.salesforce(sobject)
        if row.get(link) and not busy & {row["Id"], row.get("AccountId")}
    )
    connected.act("salesforce", "delete", sobject=sobject, record=row["Id"])
    with Systems.open(connected.settings) as systems:
        poll_entity(systems, sobject)
    connected.sync()
    with Systems.open(connected.settings) as systems:
        parked = systems.ledger.record(kind, row["Id"])
    connected.act("business-central", "delete", entity=entity, record=row[link])

    connected.sync()

    with Systems.open(connected.settings) as systems:
        ended = systems.ledger.record(kind, row["Id"])
        found = [each for each in reconcile(systems).findings if each.key == row["Id"]]
    assert (parked.state, parked.cause) == ("parked", "deleted_in_salesforce")
    assert (ended.state, ended.cause) == ("excluded", "deleted")
    assert ended.message == (
        f"{sobject} {parked.salesforce_number} was deleted in Salesforce, and so was {kind} "
        f"{parked.bc_number} in Business Central."
    )
    assert found == []


def test_deleted_in_bc_is_flagged_and_not_written_again(connected: Any) -> None:
    """A sales order that vanished without invoice is parked and shows as canceled."""
    order = handed_over(connected)
    connected.act("business-central", "delete_order", order=order["BC_Order_Number__c"])

    connected.sync()
    connected.sync()

    record = standing(connected, order)
    assert (record.state, record.cause, record.owner) == ("parked", "deleted_in_bc", "finance")
    now = shown(connected, order)
    assert now["BC_Order_Status__c"] == "Canceled"
    assert now["BC_Sync_Status__c"] == "Parked"
    reference = order["OrderNumber"]
    assert connected.business_central("salesOrders", externalDocumentNumber=reference) == []


def test_fully_invoiced_is_no_deletion(connected: Any) -> None:
    """A sales order that vanished because it was invoiced is finished, also when edited later."""
    order = handed_over(connected)
    connected.act("business-central", "ship_and_invoice", order=order["BC_Order_Number__c"])
    connected.sync()
    invoiced = standing(connected, order)

    edit_line(connected, order, Quantity=7)
    connected.sync()

    assert invoiced.cause == ""
    now = shown(connected, order)
    assert now["BC_Order_Status__c"] == "Invoiced"
    edited = standing(connected, order)
    assert edited.cause == "edited_after_hand_over"
    assert "it is invoiced" in edited.message


@pytest.mark.parametrize("drop", ["before", "after"])
def test_an_edit_whose_answer_is_lost_is_made_once(connected: Any, drop: str) -> None:
    """The lines are as in Salesforce after a lost answer, and there are no more than there were."""
    order = handed_over(connected)
    count = len(bc_lines(connected, sales_order(connected, order)))
    edit_line(connected, order, Quantity=7)
    connected.fault("business-central", method="POST", path=r"\$batch$", drop=drop, times=1)

    connected.sync_through_faults()
    connected.sync()

    after = sales_order(connected, order)
    assert len(bc_lines(connected, after)) == count
    assert same(bc_lines(connected, after)[0]["quantity"], 7)
    assert same(after["totalAmountExcludingTax"], shown(connected, order)["TotalAmount"])
    assert standing(connected, order).cause == ""
