"""What becomes of an Order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Create, Exclude, Need, Park, Unchanged, Wait
from ml_connector.domain.identifiers import Kind
from ml_connector.orders.mapping import ItemFacts, OrderContext
from ml_connector.orders.planning import (
    FoundDocuments,
    hindrance,
    plan_order,
    qualification,
    total_difference,
)
from ml_connector.orders.policy import OrdersPolicy
from ml_connector.salesforce.models import Order
from tests.builders.business_central import BC_ORDER_ID, ITEM_ID, customer, line, sales_order
from tests.builders.contexts import order_context
from tests.builders.salesforce import ACCOUNT_ID, PRODUCT_ID, order, order_item, salesforce_id

POLICY = OrdersPolicy()


def plan(
    an_order: Order,
    context: OrderContext | None = None,
    policy: OrdersPolicy = POLICY,
    **facts: Any,
) -> Any:
    """Plan with nothing found in BC."""
    defaults: dict[str, Any] = {"found": FoundDocuments(), "linked": None}
    return plan_order(
        an_order, context=context or order_context(), policy=policy, **defaults | facts
    )


def parked(decision: Any) -> tuple[Cause, str]:
    """Return cause and message of a Park."""
    assert isinstance(decision, Park), decision
    return decision.cause, decision.message


def test_a_complete_order_is_created() -> None:
    """With its customer and items in BC nothing stands in the way."""
    decision = plan(order())

    assert isinstance(decision, Create)
    assert decision.body["externalDocumentNumber"] == "00000102"


def test_a_linked_order_is_left_to_later_changes() -> None:
    """A link is never written again."""
    assert plan(order(), linked=sales_order()) == Unchanged(BC_ORDER_ID, "S-ORD101001", "linked")


@pytest.mark.parametrize("code", ["Draft", "Canceled", "Expired"])
def test_an_order_that_is_not_activated_is_excluded(code: str) -> None:
    """The category of the status counts, not its name."""
    decision = plan(order(Status="Whatever", StatusCode=code))

    assert isinstance(decision, Exclude)
    assert decision.cause is Cause.NOT_QUALIFYING


def test_a_reduction_order_is_excluded_whatever_the_policy_says() -> None:
    """It is no sale."""
    decision = plan(
        order(IsReductionOrder=True),
        policy=OrdersPolicy(qualify="Type = 'x'"),
        matches_condition=True,
    )

    assert isinstance(decision, Exclude)
    assert decision.cause is Cause.REDUCTION_ORDER


def test_an_order_without_lines() -> None:
    """By the standard rule it does not qualify; by a condition of the user's it is parked."""
    by_condition = OrdersPolicy(qualify="Type = 'x'")

    assert isinstance(plan(order(OrderItems=[])), Exclude)
    assert parked(plan(order(OrderItems=[]), policy=by_condition, matches_condition=True))[0] is (
        Cause.NO_LINES
    )


def test_a_condition_decides_alone() -> None:
    """Salesforce evaluates it; a draft may qualify, an activated order may not."""
    policy = OrdersPolicy(qualify="Region__c = 'EU'")

    assert qualification(order(StatusCode="Draft"), policy, matches_condition=True) is None
    assert isinstance(qualification(order(), policy), Exclude)


def test_it_waits_for_its_customer_and_says_for_whom() -> None:
    """With the items it lacks as well."""
    need = Need(Kind.CUSTOMER, ACCOUNT_ID)
    decision = plan(order(), order_context(need=need, items={}))

    assert isinstance(decision, Wait)
    assert decision.cause is Cause.MISSING_CUSTOMER
    assert decision.needs == (need, Need(Kind.ITEM, PRODUCT_ID))
    assert ACCOUNT_ID in decision.message
    assert "Order 00000102" in decision.message


def test_it_waits_for_the_account_when_nobody_says_for_what() -> None:
    """The need is derived from the Order."""
    decision = plan(order(), order_context(customer=None))

    assert decision.needs == (Need(Kind.CUSTOMER, ACCOUNT_ID),)


def test_it_waits_for_each_missing_item_once() -> None:
    """A product on two lines is one need."""
    other = salesforce_id("01t", 2)
    decision = plan(
        order(order_item(1), order_item(2), order_item(3, Product2Id=other)),
        order_context(items={PRODUCT_ID: None}),
    )

    assert isinstance(decision, Wait)
    assert decision.cause is Cause.MISSING_ITEM
    assert decision.needs == (Need(Kind.ITEM, PRODUCT_ID), Need(Kind.ITEM, other))
    assert "2 products without item" in decision.message


@pytest.mark.parametrize("blocked", ["Ship", "Invoice", "All"])
def test_a_blocked_customer_parks(blocked: str) -> None:
    """Each kind of block refuses orders; the message groups by customer."""
    cause, message = parked(plan(order(), order_context(customer(blocked=blocked))))

    assert cause is Cause.BLOCKED_CUSTOMER
    assert "customer 10000" in message
    assert blocked in message


@pytest.mark.parametrize("quantity", ["0", "-1", "-0.01"])
def test_a_quantity_of_zero_or_less_parks(quantity: str) -> None:
    """BC needs more than zero."""
    cause, message = parked(plan(order(order_item(Quantity=Decimal(quantity)))))

    assert cause is Cause.INVALID_QUANTITY
    assert quantity in message
    assert "line 1" in message


def test_a_quantity_is_named_as_people_write_it() -> None:
    """Salesforce says `0.0`; nobody ordered that."""
    _, message = parked(plan(order(order_item(Quantity=Decimal("0.0")))))

    assert "has quantity 0;" in message


def test_an_item_blocked_after_it_was_quoted_parks() -> None:
    """The order waits for a person and names the item."""
    items = {PRODUCT_ID: ItemFacts(ITEM_ID, "1896-S", True, "PCS")}
    cause, message = parked(plan(order(), order_context(items=items)))

    assert cause is Cause.BLOCKED_ITEM
    assert "1896-S" in message


def test_a_currency_bc_lacks_parks() -> None:
    """Local and foreign currencies of BC go through."""
    assert parked(plan(order(CurrencyIsoCode="CHF")))[0] is Cause.UNKNOWN_CURRENCY
    assert isinstance(plan(order(CurrencyIsoCode="usd")), Create)
    assert isinstance(plan(order(CurrencyIsoCode="JPY")), Create)


def test_a_unit_bc_lacks_parks() -> None:
    """The product's unit is a code of BC."""
    items = {PRODUCT_ID: ItemFacts(ITEM_ID, "1896-S", False, "PCS", "Each")}
    cause, message = parked(plan(order(), order_context(items=items)))

    assert cause is Cause.UNKNOWN_UNIT
    assert "EACH" in message


@pytest.mark.parametrize(
    ("fields", "cause", "field"),
    [
        ({"AccountId": None}, Cause.MISSING_VALUE, "AccountId"),
        ({"OrderNumber": " "}, Cause.MISSING_VALUE, "OrderNumber"),
        ({"OrderNumber": "9" * 36}, Cause.TEXT_TOO_LONG, "OrderNumber"),
        ({"ShippingStreet": "word " * 40}, Cause.TEXT_TOO_LONG, "ShippingStreet"),
        ({"ShippingCity": "c" * 31}, Cause.TEXT_TOO_LONG, "ShippingCity"),
        ({"ShippingState": "s" * 31}, Cause.TEXT_TOO_LONG, "ShippingState"),
        ({"ShippingCountry": "Wonderland"}, Cause.UNKNOWN_COUNTRY, "ShippingCountry"),
    ],
)
def test_what_the_header_lacks_or_has_too_much_of_parks(
    fields: dict[str, Any], cause: Cause, field: str
) -> None:
    """The message names the order, the park names the field."""
    decision = plan(order(**fields))

    assert parked(decision)[0] is cause
    assert decision.fields == (field,)
    assert decision.message.startswith("Order ")


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"Product2Id": None}, Cause.MISSING_VALUE),
        ({"UnitPrice": None, "TotalPrice": None}, Cause.MISSING_VALUE),
        ({"Description": "d" * 151}, Cause.TEXT_TOO_LONG),
    ],
)
def test_what_a_line_lacks_or_has_too_much_of_parks(fields: dict[str, Any], cause: Cause) -> None:
    """Nothing degrades to a comment line, nothing is cut."""
    cause_found, message = parked(plan(order(order_item(1), order_item(2, **fields))))

    assert cause_found is cause
    assert "line 2" in message


def test_a_purchase_order_reference_must_be_there() -> None:
    """By that policy the field is the key."""
    policy = OrdersPolicy(reference="po_number")

    assert parked(plan(order(PoNumber=None), policy=policy)) == (
        Cause.MISSING_VALUE,
        "Order 00000102 has no PoNumber, which is its reference in BC.",
    )


def test_a_requested_date_that_is_none_parks() -> None:
    """A text field that holds no date is said so."""
    policy = OrdersPolicy(requested_date="Wanted__c")

    assert parked(plan(order(Wanted__c="soon"), policy=policy))[0] is Cause.MISSING_VALUE


def test_a_zero_price_goes_through() -> None:
    """Free goods are sold as well."""
    assert isinstance(plan(order(order_item(UnitPrice=Decimal(0)))), Create)


def test_a_hindrance_is_told_without_planning() -> None:
    """The same checks serve later changes."""
    assert hindrance(order(), order_context(), POLICY) is None
    with pytest.raises(ValueError, match="items"):
        hindrance(order(), order_context(items={}), POLICY)


def test_a_difference_of_a_cent_parks_and_says_where() -> None:
    """With the amounts of both sides and the currency."""
    bc_order = sales_order(line(netAmount=Decimal("20.01")))
    cause, message = parked(total_difference(order(), bc_order, POLICY))

    assert cause is Cause.TOTAL_DIFFERS
    assert "line 1 is 20.00 in Salesforce and 20.01 in BC" in message
    assert "USD" in message


def test_a_difference_may_be_accepted_or_tolerated() -> None:
    """By policy."""
    bc_order = sales_order(line(netAmount=Decimal("20.01")))

    assert total_difference(order(), bc_order, OrdersPolicy(on_difference="accept")) is None
    assert total_difference(order(), bc_order, OrdersPolicy(total_tolerance="0.01")) is None
    assert total_difference(order(), sales_order(), POLICY) is None


def test_many_differences_are_counted() -> None:
    """The message stays readable."""
    items = [order_item(number) for number in range(1, 6)]
    lines = [line(number, netAmount=Decimal(1)) for number in range(1, 6)]
    _, message = parked(total_difference(order(*items), sales_order(*lines), POLICY))

    assert message.endswith("; and 3 more.")
