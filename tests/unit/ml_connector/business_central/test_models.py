"""BC records are read free of the wire's peculiarities, or refused by name."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from ml_connector.business_central.models import (
    ENTITY_SETS,
    PROPERTIES,
    Customer,
    Item,
    SalesInvoice,
    SalesOrder,
    decoded_enum,
    encoded_enum,
    parse,
)
from ml_connector.errors import ContractError

ORDER = {
    "@odata.etag": 'W/"JzE5Oyc="',
    "id": "B6F4017A-B749-EE11-AD0B-A1422C0F7F1F",
    "number": "101005",
    "orderDate": "2026-01-31",
    "requestedDeliveryDate": "0001-01-01",
    "currencyId": "00000000-0000-0000-0000-000000000000",
    "currencyCode": "USD",
    "totalAmountExcludingTax": Decimal("10.10"),
    "totalAmountIncludingTax": 11,
    "status": "In_x0020_Review",
    "lastModifiedDateTime": "2026-01-31T17:38:08.5371234Z",
    "salesperson": None,
}
LINE = {
    "id": "1e8cb9c0-44e3-ea11-bb43-000d3a2feca1",
    "sequence": 10000,
    "lineType": "Item",
    "quantity": 2,
    "unitPrice": Decimal("5.05"),
    "netAmount": Decimal("10.10"),
    "shippedQuantity": 0,
    "invoicedQuantity": 0,
}


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ("_x0020_", ""),
        (" ", ""),
        ("", ""),
        (None, ""),
        ("In_x0020_Review", "In Review"),
        ("In Review", "In Review"),
        ("Non_x002D_Inventory", "Non-Inventory"),
        ("Draft", "Draft"),
    ],
)
def test_enums_are_read_in_both_forms(wire: str | None, text: str) -> None:
    """Encoded or plain, blank or absent: one value each."""
    assert decoded_enum(wire) == text


@pytest.mark.parametrize("text", ["", "In Review", "Non-Inventory", "Draft", "Nr. 1"])
def test_enums_are_written_encoded(text: str) -> None:
    """What is written reads back as the same value and holds only word characters."""
    assert decoded_enum(encoded_enum(text)) == text
    assert encoded_enum(text).isidentifier()


def test_an_order_is_read() -> None:
    """Ids in lower case, blank dates and ids empty, amounts exact, times in UTC."""
    order = parse(SalesOrder, {**ORDER, "salesOrderLines": [LINE]})

    assert order.id == "b6f4017a-b749-ee11-ad0b-a1422c0f7f1f"
    assert order.etag == 'W/"JzE5Oyc="'
    assert (order.order_date, order.requested_delivery_date) == (date(2026, 1, 31), None)
    assert (order.currency_id, order.salesperson) == ("", "")
    assert order.total_amount_excluding_tax == Decimal("10.10")
    assert order.last_modified_date_time == datetime(2026, 1, 31, 17, 38, 8, 537123, tzinfo=UTC)
    assert order.status == "In Review"
    assert order.lines[0].net_amount == Decimal("10.10")
    assert order.lines_were_read


def test_an_order_without_lines_says_so() -> None:
    """A deep insert may be answered without lines; that is not an order that has none."""
    assert not parse(SalesOrder, ORDER).lines_were_read
    assert parse(SalesOrder, {**ORDER, "salesOrderLines": []}).lines_were_read


def test_blank_values_are_empty() -> None:
    """A blank block is "", null is empty, an unexpanded part is absent."""
    customer = parse(
        Customer,
        {
            "id": "f2a5738a-44e3-ea11-bb43-000d3a2feca1",
            "number": "10000",
            "displayName": "Adatum",
            "blocked": "_x0020_",
            "creditLimit": None,
            "taxLiable": None,
            "customerFinancialDetail": None,
            "lastModifiedDateTime": None,
            "somethingNew": 1,
        },
    )

    assert customer.blocked == ""
    assert customer.credit_limit == Decimal(0)
    assert customer.tax_liable is False
    assert customer.customer_financial_detail is None
    assert customer.last_modified_date_time is None


def test_expanded_parts_are_read() -> None:
    """The financial part of a customer comes with it."""
    customer = parse(
        Customer,
        {
            "id": "x",
            "number": "1",
            "displayName": "A",
            "customerFinancialDetail": {"id": "x", "balance": 5, "overdueAmount": 0},
        },
    )

    assert customer.customer_financial_detail is not None
    assert customer.customer_financial_detail.balance == Decimal(5)


@pytest.mark.parametrize(
    ("missing", "model"),
    [
        ("status", SalesOrder),
        ("totalAmountExcludingTax", SalesOrder),
        ("remainingAmount", SalesInvoice),
    ],
)
def test_a_record_that_does_not_fit_names_the_property(
    missing: str, model: type[SalesOrder] | type[SalesInvoice]
) -> None:
    """What the logic needs is never guessed."""
    raw = {key: value for key, value in ORDER.items() if key != missing}

    with pytest.raises(ContractError) as caught:
        parse(model, raw)

    assert caught.value.fields == (missing,)
    assert model.__name__ in str(caught.value)


@pytest.mark.parametrize("value", [5, [1], {"a": 1}])
def test_values_of_another_type_are_refused(value: object) -> None:
    """An id or enum that is no text is a change of the API."""
    for field in ("id", "type"):
        with pytest.raises(ContractError):
            parse(Item, {"id": "x", "number": "1", field: value})


def test_properties_are_spelled_as_the_api_does() -> None:
    """Field mappings and `$select` use these names."""
    assert {"number", "addressLine1", "taxAreaDisplayName"} <= set(PROPERTIES[Customer])
    assert "customerFinancialDetail" not in PROPERTIES[Customer]
    assert "salesOrderLines" not in PROPERTIES[SalesOrder]
    assert "shortcutDimension1Code" in PROPERTIES[SalesOrder]
    assert set(ENTITY_SETS) >= {"customers", "items", "salesOrders", "salesInvoices"}
