"""Which item a product is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ml_connector.catalog.mapping import (
    item_body,
    item_number,
    product_body,
    product_changes,
    product_facts,
)
from ml_connector.catalog.planning import content_agrees, plan_item
from ml_connector.catalog.policy import CatalogPolicy
from ml_connector.catalog.prices import plan_price
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Create, Link, Park, Unchanged
from ml_connector.salesforce.models import Product2
from tests.builders.business_central import ITEM_ID, guid, item
from tests.builders.salesforce import PRODUCT_ID, price_entry, product, salesforce_id

POLICY = CatalogPolicy()
CREATING = CatalogPolicy(create_items=True)


def plan(a_product: Product2 | None = None, **found: Any) -> Any:
    """Plan with nothing found."""
    defaults: dict[str, Any] = {
        "linked": None,
        "by_external_id": None,
        "by_number": None,
        "same_code": (),
        "policy": POLICY,
    }
    return plan_item(a_product or product(), **defaults | found)


def assert_parked(decision: Any, cause: Cause, *parts: str) -> None:
    """The decision is a Park with that cause and these words."""
    assert isinstance(decision, Park), decision
    assert decision.cause is cause
    for part in ('Product "', *parts):
        assert part in decision.message


def test_a_linked_product_is_unchanged_whatever_its_item_is_called_now() -> None:
    """Links are by id; BC may rename."""
    renamed = item(number="NEW")

    assert plan(linked=renamed) == Unchanged(ITEM_ID, "NEW", "linked")


def test_a_corrected_code_moves_the_link() -> None:
    """The code names another item by now, and the linked one has another number."""
    right = item(id=guid(0x12), number="2000-S")
    decision = plan(product(ProductCode="2000-s"), linked=item(), by_number=right)

    assert decision == Link(guid(0x12), "2000-S", 'W/"item"', "number")


def test_the_external_id_goes_before_the_number() -> None:
    """First rung first."""
    by_id = item(id=guid(0x12), number="2000-S")

    assert plan(by_external_id=by_id, by_number=item()).rule == "external_id"
    assert plan(by_number=item()) == Link(ITEM_ID, "1896-S", 'W/"item"', "number")


def test_two_products_with_one_code_are_both_parked() -> None:
    """Each names the other; the product itself is no other."""
    other = salesforce_id("01t", 2)

    assert_parked(
        plan(by_number=item(), same_code=(PRODUCT_ID, other)), Cause.AMBIGUOUS_ITEM, other
    )
    assert isinstance(plan(by_number=item(), same_code=(PRODUCT_ID,)), Link)


def test_many_products_with_one_code_are_counted() -> None:
    """The message stays short."""
    others = [salesforce_id("01t", number) for number in range(2, 10)]

    assert_parked(plan(same_code=others), Cause.AMBIGUOUS_ITEM, "and 3 more")


def test_an_item_of_another_product_is_not_taken() -> None:
    """One product, one item."""
    decision = plan(by_number=item(), partner_of={ITEM_ID: salesforce_id("01t", 2)})

    assert_parked(decision, Cause.AMBIGUOUS_ITEM, "linked to Product")
    assert isinstance(plan(by_number=item(), partner_of={ITEM_ID: PRODUCT_ID}), Link)


def test_a_product_without_item_is_parked_with_the_number_it_needs() -> None:
    """As BC would store it."""
    assert_parked(plan(product(ProductCode=" 1896-s ")), Cause.NO_ITEM, "number 1896-S")


@pytest.mark.parametrize("code", [None, "", "   "])
def test_a_product_without_code_is_parked(code: str | None) -> None:
    """There is nothing to match by, so nothing is created either."""
    assert_parked(plan(product(ProductCode=code), policy=CREATING), Cause.MISSING_VALUE)


def test_a_code_longer_than_an_item_number_is_parked() -> None:
    """It is never cut."""
    assert_parked(plan(product(ProductCode="9" * 21), policy=CREATING), Cause.NO_ITEM, "20")


def test_an_item_is_created_by_policy() -> None:
    """Number first; the unit when the product has one."""
    decision = plan(product(QuantityUnitOfMeasure="pcs"), policy=CREATING, units={"PCS"})

    assert isinstance(decision, Create)
    assert list(decision.body.items()) == [
        ("number", "1896-S"),
        ("displayName", "ATHENS Desk"),
        ("type", "Inventory"),
        ("baseUnitOfMeasureCode", "PCS"),
    ]


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"Name": "n" * 101}, Cause.TEXT_TOO_LONG),
        ({"Name": "  "}, Cause.MISSING_VALUE),
        ({"QuantityUnitOfMeasure": "Each"}, Cause.UNKNOWN_UNIT),
        ({"QuantityUnitOfMeasure": "u" * 11}, Cause.UNKNOWN_UNIT),
    ],
)
def test_an_item_that_bc_would_refuse_is_parked(fields: dict[str, Any], cause: Cause) -> None:
    """Before it is sent."""
    assert_parked(plan(product(**fields), policy=CREATING, units={"PCS"}), cause)


def test_unknown_units_are_left_to_bc() -> None:
    """When the list was not read."""
    assert isinstance(plan(product(QuantityUnitOfMeasure="Each"), policy=CREATING), Create)


def test_codes_are_folded() -> None:
    """Trimmed and upper case, whatever the script."""
    assert item_number(product(ProductCode=" ä-1 ")) == "Ä-1"
    assert item_number(product(ProductCode=None)) == ""


def test_product_facts_and_changes() -> None:
    """Only what differs is written; a blocked item deactivates by policy."""
    shown = product(BC_Item_Id__c=ITEM_ID, BC_Item_Number__c="1896-S")

    assert product_facts(item()) == {"BC_Item_Id__c": ITEM_ID, "BC_Item_Number__c": "1896-S"}
    assert product_changes(shown, item(blocked=True), POLICY) == {}
    assert product_changes(shown, item(number="X"), POLICY) == {"BC_Item_Number__c": "X"}
    deactivating = CatalogPolicy(deactivate=True)
    assert product_changes(shown, item(blocked=True), deactivating) == {"IsActive": False}


def test_a_product_for_an_item() -> None:
    """Linked from the start; named by its number where the item has no name."""
    body = product_body(item(displayName="", blocked=True))

    assert body["Name"] == body["ProductCode"] == "1896-S"
    assert body["IsActive"] is False
    assert body["BC_Item_Id__c"] == ITEM_ID


def test_content_agrees_when_our_own_create_came_through() -> None:
    """Number, name and unit; anything else is somebody else's item."""
    body = item_body(product(QuantityUnitOfMeasure="PCS"))

    assert content_agrees(body, item())
    assert content_agrees(item_body(product()), item(baseUnitOfMeasureCode="BOX"))
    assert not content_agrees(body, item(displayName="Other"))
    assert not content_agrees(body, item(number="X"))
    assert not content_agrees(body, item(baseUnitOfMeasureCode="BOX"))


def test_prices_are_shown_by_policy_in_local_currency_without_tax() -> None:
    """None leaves the price book alone."""
    policy = CatalogPolicy(prices="standard")

    def price(currency: str = "USD", entry: Any = None, **properties: Any) -> Decimal | None:
        return plan_price(
            item(**properties), entry, currency=currency, local_currency="USD", policy=policy
        )

    assert price() == Decimal("1000.80")
    assert price(entry=price_entry(UnitPrice=Decimal(1))) == Decimal("1000.80")
    assert price(entry=price_entry()) is None
    assert price(currency="EUR") is None
    assert price(currency="") is None
    assert price(priceIncludesTax=True) is None
    assert plan_price(item(), None, currency="USD", local_currency="USD", policy=POLICY) is None
