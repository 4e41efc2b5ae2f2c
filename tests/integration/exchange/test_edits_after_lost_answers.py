"""A record is edited while the answer to its write is lost: one record, with the newest content."""

from decimal import Decimal
from typing import Any

Row = dict[str, Any]


def unlinked_order(connected: Any) -> Row:
    """Return the Order whose sales order BC has although Salesforce does not know it."""
    written = connected.orders_by_reference()
    (order,) = [
        row
        for row in connected.salesforce("Order")
        if row["OrderNumber"] in written and not row.get("BC_Order_Id__c")
    ]
    return order


def set_quantity(connected: Any, order: Row, quantity: int) -> None:
    """Let the rep take the Order back, change its first line and activate it again."""
    line = next(row for row in connected.salesforce("OrderItem") if row["OrderId"] == order["Id"])
    connected.act("salesforce", "draft_order", order=order["Id"])
    fields = {"Quantity": quantity}
    connected.act("salesforce", "edit", sobject="OrderItem", record=line["Id"], fields=fields)
    connected.act("salesforce", "activate_order", order=order["Id"])


def assert_equal_in_bc(connected: Any, order: Row) -> None:
    """There is one sales order of the Order, and its net total is the Order's."""
    (now,) = connected.salesforce("Order", Id=order["Id"])
    (bc_order,) = connected.orders_by_reference()[order["OrderNumber"]]
    assert Decimal(str(bc_order["totalAmountExcludingTax"])) == Decimal(str(now["TotalAmount"]))
    assert now["BC_Order_Id__c"] == bc_order["id"]
    assert now["BC_Sync_Status__c"] == "Synced"


def test_an_order_edited_after_the_answer_to_its_creation_was_lost(connected: Any) -> None:
    """The sales order is found again by what was sent, then follows the edit."""
    connected.fault("business-central", method="POST", path="salesOrders", drop="after")
    connected.sync_through_faults()
    order = unlinked_order(connected)
    set_quantity(connected, order, 97)

    connected.sync()
    connected.sync()

    assert_equal_in_bc(connected, order)


def test_an_order_withdrawn_after_the_answer_to_its_creation_was_lost(connected: Any) -> None:
    """Set back to draft it is still linked, so that activating it again writes nothing twice."""
    connected.fault("business-central", method="POST", path="salesOrders", drop="after")
    connected.sync_through_faults()
    order = unlinked_order(connected)
    connected.act("salesforce", "draft_order", order=order["Id"])
    connected.sync()
    connected.act("salesforce", "activate_order", order=order["Id"])

    connected.sync()

    assert_equal_in_bc(connected, order)


def test_an_order_edited_twice_with_the_first_answer_lost(connected: Any) -> None:
    """The second edit is compared with what BC really got, and follows."""
    connected.sync()
    orders = connected.salesforce("Order")
    reduced = {row.get("OriginalOrderId") for row in orders}
    order = next(row for row in orders if row.get("BC_Order_Id__c") and row["Id"] not in reduced)
    set_quantity(connected, order, 41)
    connected.fault("business-central", method="POST", path="batch", body="PATCH", drop="after")
    connected.sync_through_faults()
    set_quantity(connected, order, 43)

    connected.sync()

    assert_equal_in_bc(connected, order)


def test_an_account_edited_after_the_answer_to_its_creation_was_lost(connected: Any) -> None:
    """One customer, with the newest phone number."""
    connected.fault("business-central", method="POST", path="customers$", drop="after")
    connected.sync_through_faults()
    unlinked = unlinked_accounts(connected)
    (number,) = {row["number"] for row in connected.business_central("customers")} & set(unlinked)
    edit_account(connected, unlinked[number], "+1 555 0107")

    connected.sync()
    connected.sync()

    (customer,) = connected.business_central("customers", number=number)
    assert customer["phoneNumber"] == "+1 555 0107"


def unlinked_accounts(connected: Any) -> dict[str, Row]:
    """Return the Accounts without customer, by the number that theirs would have."""
    return {
        row.get("AccountNumber") or row["Id"].upper(): row
        for row in connected.salesforce("Account")
        if not row.get("BC_Customer_Id__c")
    }


def test_an_account_edited_twice_with_the_first_answer_lost(connected: Any) -> None:
    """The second edit is no conflict with the first."""
    connected.sync()
    account = next(row for row in connected.salesforce("Account") if row.get("BC_Customer_Id__c"))
    edit_account(connected, account, "+1 555 0108")
    connected.fault("business-central", method="PATCH", path="customers", drop="after")
    connected.sync_through_faults()
    edit_account(connected, account, "+1 555 0109")

    connected.sync()

    (customer,) = connected.business_central("customers", id=account["BC_Customer_Id__c"])
    assert customer["phoneNumber"] == "+1 555 0109"


def test_an_account_edited_back_while_its_lost_write_may_still_arrive(connected: Any) -> None:
    """Equal sides do not end the matter before it has settled: the write comes after that look."""
    central = connected.settings.business_central.model_copy(update={"settle_seconds": 600})
    connected.settings = connected.settings.model_copy(update={"business_central": central})
    connected.sync()
    account = next(row for row in connected.salesforce("Account") if row.get("BC_Customer_Id__c"))
    edit_account(connected, account, "+1 555 0110")
    connected.sync()
    edit_account(connected, account, "+1 555 0111")
    connected.fault("business-central", method="PATCH", path="customers", drop="before")
    connected.sync_through_faults()
    edit_account(connected, account, "+1 555 0110")
    connected.sync()
    (customer,) = connected.business_central("customers", id=account["BC_Customer_Id__c"])
    late = {"phoneNumber": "+1 555 0111"}
    connected.act(
        "business-central", "edit", entity="customers", record=customer["number"], fields=late
    )

    connected.sync()
    connected.sync()

    (customer,) = connected.business_central("customers", id=account["BC_Customer_Id__c"])
    assert customer["phoneNumber"] == "+1 555 0110"


def edit_account(connected: Any, account: Row, phone: str) -> None:
    """Let the rep change the Account's phone number."""
    connected.act(
        "salesforce", "edit", sobject="Account", record=account["Id"], fields={"Phone": phone}
    )


def test_a_contact_edited_after_the_answer_to_its_creation_was_lost(connected: Any) -> None:
    """One contact under its company, with the newest title."""
    connected.fault("business-central", method="POST", path="contacts$", drop="after")
    connected.sync_through_faults()
    people = {row["displayName"]: row for row in connected.business_central("contacts")}
    contact = next(
        row
        for row in connected.salesforce("Contact")
        if row["Name"] in people
        and people[row["Name"]]["type"] == "Person"
        and not row.get("BC_Contact_Id__c")
    )
    fields = {"Title": "Head of Everything"}
    connected.act("salesforce", "edit", sobject="Contact", record=contact["Id"], fields=fields)

    connected.sync()
    connected.sync()

    found = connected.business_central("contacts", displayName=contact["Name"])
    (again,) = connected.salesforce("Contact", Id=contact["Id"])
    assert [row["jobTitle"] for row in found if row["id"] == again["BC_Contact_Id__c"]] == [
        "Head of Everything"
    ]
