"""Salesforce records are read as they are, and refused by name when they do not fit."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from ml_connector.errors import ContractError
from ml_connector.salesforce.models import (
    FIELDS,
    Account,
    Contact,
    Order,
    OrderItem,
    PricebookEntry,
    Product2,
    SObject,
    parse,
    selected_fields,
    vendor_name,
)

STAMP = "2026-01-31T12:34:56.000+0000"


def test_an_order_is_read_with_its_lines() -> None:
    """Amounts stay exact, times become UTC, the child result becomes a tuple."""
    order = parse(
        Order,
        {
            "attributes": {"type": "Order"},
            "Id": "801000000000001AAA",
            "SystemModstamp": STAMP,
            "Status": "Activated",
            "StatusCode": "Activated",
            "EffectiveDate": "2026-01-30",
            "TotalAmount": Decimal("30.10"),
            "IsReductionOrder": None,
            "BC_Open_Amount__c": Decimal("1.10"),
            "BC_Due_Date__c": "2026-02-01",
            "OrderItems": {
                "totalSize": 1,
                "done": True,
                "records": [
                    {
                        "Id": "802000000000001AAA",
                        "SystemModstamp": STAMP,
                        "Quantity": Decimal("2.00"),
                        "UnitPrice": Decimal("15.05"),
                        "TotalPrice": Decimal("30.10"),
                    }
                ],
            },
        },
    )

    assert order.total_amount == Decimal("30.10")
    assert str(order.bc_open_amount) == "1.10"
    assert order.system_modstamp == datetime(2026, 1, 31, 12, 34, 56, tzinfo=UTC)
    assert (order.effective_date, order.bc_due_date) == (date(2026, 1, 30), date(2026, 2, 1))
    assert order.is_reduction_order is False
    assert order.order_items is not None
    assert order.order_items[0].unit_price == Decimal("15.05")


def test_lines_not_asked_for_differ_from_no_lines() -> None:
    """None was not read, an empty child result is an order without lines."""
    row = {"Id": "801", "SystemModstamp": STAMP, "Status": "Draft", "StatusCode": "Draft"}

    assert parse(Order, row).order_items is None
    assert parse(Order, {**row, "OrderItems": None}).order_items == ()
    assert Order(**parse(Order, row).model_dump() | {"order_items": ()}).order_items == ()


def test_fields_of_the_org_stay_readable() -> None:
    """A custom field is found by its own name, like a modelled one."""
    account = parse(
        Account, {"Id": "001", "SystemModstamp": STAMP, "Region__c": "West", "Phone": None}
    )

    assert account.value("Region__c") == "West"
    assert account.value("Id") == "001"
    assert account.value("Phone") is None
    assert account.value("Nothing__c") is None


def test_a_record_that_does_not_fit_names_the_field() -> None:
    """The error leads to the object, the field and the record, and shows no value."""
    with pytest.raises(ContractError) as caught:
        parse(OrderItem, {"Id": "802", "SystemModstamp": STAMP, "Quantity": "many"})

    assert caught.value.fields == ("Quantity",)
    assert "OrderItem" in str(caught.value)
    assert "many" not in str(caught.value)
    assert caught.value.record_id == "802"


def test_models_speak_the_vendors_names() -> None:
    """Python names and field names are two spellings of one thing."""
    assert vendor_name("bc_customer_id") == "BC_Customer_Id__c"
    assert vendor_name("currency_iso_code") == "CurrencyIsoCode"
    assert vendor_name("product2_id") == "Product2Id"
    assert vendor_name("id") == "Id"


def test_fields_the_org_lacks_are_not_selected() -> None:
    """A single-currency org never sees CurrencyIsoCode in a query; one that has it always does."""
    assert "CurrencyIsoCode" not in selected_fields(Order, lambda _field: False)
    assert "CurrencyIsoCode" in selected_fields(Order, lambda field: field == "CurrencyIsoCode")
    assert "OrderItems" not in selected_fields(Order, lambda _field: True)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (
            Account,
            "BC_Customer_Id__c BC_Customer_Number__c BC_Balance__c BC_Overdue__c "
            "BC_Credit_Limit__c BC_Blocked__c BC_Sync_Status__c BC_Sync_Message__c BC_As_Of__c",
        ),
        (Contact, "BC_Contact_Id__c AccountId LastName"),
        (Product2, "BC_Item_Id__c BC_Item_Number__c ProductCode IsActive"),
        (PricebookEntry, "Product2Id Pricebook2Id UnitPrice"),
        (OrderItem, "Product2Id Quantity UnitPrice TotalPrice OrderItemNumber"),
        (
            Order,
            "BC_Order_Id__c BC_Order_Number__c BC_Order_Status__c BC_Shipped_Percent__c "
            "BC_Invoiced_Percent__c BC_Invoice_Numbers__c BC_Invoiced_Amount__c BC_Paid_Amount__c "
            "BC_Open_Amount__c BC_Due_Date__c BC_Payment_Status__c BC_Sync_Status__c "
            "BC_Sync_Message__c BC_As_Of__c Id SystemModstamp StatusCode TotalAmount",
        ),
    ],
)
def test_the_connectors_own_fields_are_always_selected(model: type[SObject], names: str) -> None:
    """An org that hides one of them is not set up; the query must say so."""
    assert set(names.split()) <= set(FIELDS[model])
