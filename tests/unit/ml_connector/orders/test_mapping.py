"""Orders as sales orders."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from ml_connector.orders.mapping import (
    ItemFacts,
    agreed,
    order_body,
    order_reference,
    plain,
    requested_date,
    sorted_items,
    unit_price,
)
from ml_connector.orders.policy import OrdersPolicy
from tests.builders.business_central import CUSTOMER_ID, ITEM_ID
from tests.builders.contexts import order_context
from tests.builders.salesforce import PRODUCT_ID, order, order_item

POLICY = OrdersPolicy()


def test_the_body_has_identity_first_and_lines_last() -> None:
    """BC validates properties in the order they come in."""
    body = order_body(order(), order_context(), POLICY)

    assert list(body) == [
        "customerId",
        "externalDocumentNumber",
        "orderDate",
        "currencyCode",
        "pricesIncludeTax",
        "salesOrderLines",
    ]
    assert body["customerId"] == CUSTOMER_ID
    assert body["orderDate"] == "2026-03-01"
    assert body["pricesIncludeTax"] is False


def test_a_line_has_item_unit_quantity_and_then_price() -> None:
    """A price before the quantity would be overwritten by BC."""
    line = order_body(order(), order_context(), POLICY)["salesOrderLines"][0]

    assert list(line) == [
        "itemId",
        "unitOfMeasureCode",
        "quantity",
        "unitPrice",
        "discountPercent",
    ]
    assert line["itemId"] == ITEM_ID
    assert line["quantity"] == 2
    assert line["unitPrice"] == 10


def test_lines_come_in_the_order_of_their_numbers() -> None:
    """Also when they were read in another order, with unpadded or without numbers."""
    items = (
        order_item(3, OrderItemNumber=None),
        order_item(2, OrderItemNumber="10"),
        order_item(1, OrderItemNumber="9"),
    )

    assert [item.order_item_number for item in sorted_items(order(*items))] == ["9", "10", None]
    assert sorted_items(order(OrderItems=None)) == ()


def test_currency_comes_from_the_order_then_the_org_then_bc() -> None:
    """A single-currency org has no currency on its records."""
    own = order_body(order(CurrencyIsoCode="eur"), order_context(), POLICY)
    of_org = order_body(order(), order_context(org_currency="JPY"), POLICY)
    local = order_body(order(), order_context(org_currency=""), POLICY)

    assert own["currencyCode"] == "EUR"
    assert of_org["currencyCode"] == "JPY"
    assert local["currencyCode"] == "USD"


def test_the_reference_is_folded_as_bc_stores_it() -> None:
    """Number or purchase order, with prefix; blank fields give no reference."""
    by_po = OrdersPolicy(reference="po_number", reference_prefix="sf-")

    assert order_reference(order(), POLICY) == "00000102"
    assert order_reference(order(PoNumber=" po 7/ä "), by_po) == "SF-PO 7/Ä"
    assert order_reference(order(PoNumber="  "), by_po) == ""
    assert order_reference(order(OrderNumber=None), POLICY) == ""


def test_ship_to_is_sent_as_a_whole_block() -> None:
    """With one field of it given, the others are sent blank and not taken from the card."""
    body = order_body(
        order(ShippingCity=" Köln ", ShippingCountry="Deutschland"), order_context(), POLICY
    )

    assert {name: value for name, value in body.items() if name.startswith("shipTo")} == {
        "shipToAddressLine1": "",
        "shipToAddressLine2": "",
        "shipToCountry": "DE",
        "shipToPostCode": "",
        "shipToCity": "Köln",
        "shipToState": "",
    }


def test_a_product_sold_by_its_own_unit_is_ordered_by_it() -> None:
    """Without one the item's base unit is sent; with none at all BC decides."""
    items = {PRODUCT_ID: ItemFacts(ITEM_ID, "1", False, "PCS", " box ")}
    bare = {PRODUCT_ID: ItemFacts(ITEM_ID, "1", False, "")}
    line = order_body(order(), order_context(items=items), POLICY)["salesOrderLines"][0]
    without = order_body(order(), order_context(items=bare), POLICY)["salesOrderLines"][0]

    assert line["unitOfMeasureCode"] == "BOX"
    assert "unitOfMeasureCode" not in without


def test_a_long_line_text_goes_on_in_the_second_description() -> None:
    """BC takes 100 and 50 characters."""
    text = "word " * 28
    line = order_body(order(order_item(Description=text)), order_context(), POLICY)[
        "salesOrderLines"
    ][0]

    assert len(line["description"]) <= 100
    assert f"{line['description']} {line['description2']}" == text.strip()


def test_a_line_without_unit_price_takes_it_from_its_total() -> None:
    """Salesforce may leave the unit price empty."""
    assert unit_price(order_item(UnitPrice=None, TotalPrice=Decimal(30))) == 15
    assert unit_price(order_item(UnitPrice=None, TotalPrice=None)) is None
    assert (
        unit_price(order_item(UnitPrice=None, TotalPrice=Decimal(1), Quantity=Decimal(0))) is None
    )


def test_requested_date_comes_from_the_field_of_the_policy() -> None:
    """Standard and custom Date fields; blank ones are left out."""
    policy = OrdersPolicy(requested_date="Wanted__c")

    assert requested_date(order(EndDate="2026-05-01"), OrdersPolicy(requested_date="EndDate")) == (
        date(2026, 5, 1)
    )
    assert requested_date(order(Wanted__c="2026-05-02"), policy) == date(2026, 5, 2)
    assert requested_date(order(Wanted__c=None), policy) is None
    assert requested_date(order(EndDate="2026-05-01"), POLICY) is None
    instant = order(ActivatedDate="2026-05-03T23:30:00.000+0000")
    assert requested_date(instant, OrdersPolicy(requested_date="ActivatedDate")) == date(2026, 5, 3)
    body = order_body(order(Wanted__c="2026-05-02"), order_context(), policy)
    assert body["requestedDeliveryDate"] == "2026-05-02"


@pytest.mark.parametrize("field", ["ActivatedDate", "Wanted__c"])
def test_an_instant_is_the_day_it_falls_on_in_the_policys_time_zone(field: str) -> None:
    """Half an hour before midnight UTC is the next day in Berlin, winter or summer."""
    berlin = OrdersPolicy(requested_date=field, time_zone="Europe/Berlin")

    winter = order(**{field: "2026-01-31T23:30:00.000+0000"})
    assert requested_date(winter, berlin) == date(2026, 2, 1)
    summer = order(**{field: "2026-06-30T21:30:00.000+0000"})
    assert requested_date(summer, berlin) == date(2026, 6, 30)
    late = order(**{field: "2026-06-30T22:30:00.000+0000"})
    assert requested_date(late, berlin) == date(2026, 7, 1)


def test_custom_fields_stand_before_the_lines() -> None:
    """They may override what the connector maps itself."""
    body = order_body(order(), order_context(extra={"salesperson": "JO"}), POLICY)

    assert list(body)[-2:] == ["salesperson", "salesOrderLines"]


def test_an_order_without_effective_date_leaves_the_date_to_bc() -> None:
    """Nothing is invented."""
    assert "orderDate" not in order_body(order(EffectiveDate=None), order_context(), POLICY)


def test_mapping_before_customer_and_items_exist_is_a_programming_error() -> None:
    """Planning decides about those first."""
    with pytest.raises(ValueError, match="customer"):
        order_body(order(), order_context(customer=None), POLICY)
    with pytest.raises(ValueError, match="item"):
        order_body(order(), order_context(items={}), POLICY)


@pytest.mark.parametrize(
    ("text", "shown"), [("2.00", "2"), ("100", "100"), ("0.50", "0.5"), ("0", "0"), ("1E+2", "100")]
)
def test_numbers_are_sent_plain(text: str, shown: str) -> None:
    """Equal numbers give equal bodies."""
    assert str(plain(Decimal(text))) == shown


def test_what_was_agreed_knows_its_order_items() -> None:
    """So that later edits are matched line by line."""
    assert agreed(order(), order_context(), POLICY)["orderItemIds"] == [order_item().id]
