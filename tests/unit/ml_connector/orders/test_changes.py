"""Orders that were edited, withdrawn or lost after hand-over."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ml_connector.business_central.models import SalesOrder
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Exclude, Park, Unchanged, Update, Wait
from ml_connector.orders.changes import HandedOver, filled_in, plan_change
from ml_connector.orders.mapping import OrderContext, agreed
from ml_connector.orders.policy import OrdersPolicy
from ml_connector.salesforce.models import Order
from tests.builders.business_central import BC_ORDER_ID, ITEM_ID, customer, guid, line, sales_order
from tests.builders.contexts import as_stored, order_context
from tests.builders.salesforce import order, order_item, salesforce_id

POLICY = OrdersPolicy()
UNCHANGED = Unchanged(BC_ORDER_ID, "S-ORD101001")


def change(
    now: Order,
    *,
    before: Order | None = None,
    bc_order: SalesOrder | None = None,
    context: OrderContext | None = None,
    **facts: Any,
) -> Any:
    """Plan the change of an order handed over as *before*, with BC as it was written."""
    base = as_stored(agreed(before or order(), order_context(), POLICY))
    defaults: dict[str, Any] = {"bc_order": bc_order or sales_order(), "base": base}
    handed = HandedOver(BC_ORDER_ID, "S-ORD101001", **defaults | facts)
    return plan_change(now, handed, context=context or order_context(), policy=POLICY)


def assert_edited(decision: Any, *parts: str) -> None:
    """The decision is to park for a person, with these parts in the message."""
    assert isinstance(decision, Park), decision
    assert decision.cause is Cause.EDITED_AFTER_HAND_OVER
    for part in parts:
        assert part in decision.message


def test_nothing_edited_is_unchanged() -> None:
    """Also when the ledger gives numbers back as text and BC moved on."""
    shipped = sales_order(line(shippedQuantity=Decimal(2)), status="Open")

    assert change(order()) == UNCHANGED
    assert change(order(), bc_order=shipped) == UNCHANGED


def test_bcs_own_edits_are_left_alone() -> None:
    """Only Salesforce's changes are planned here."""
    assert change(order(), bc_order=sales_order(line(quantity=Decimal(5)))) == UNCHANGED


def test_a_new_quantity_follows_with_its_price() -> None:
    """BC re-prices on a new quantity, so the price is sent behind it."""
    decision = change(order(order_item(Quantity=Decimal(3))))

    assert isinstance(decision, Update)
    assert decision.etag == 'W/"order"'
    assert decision.changes == {
        "salesOrderLines": [
            {
                "id": guid(0x1001),
                "etag": 'W/"line1"',
                "quantity": Decimal(3),
                "unitPrice": Decimal(10),
                "discountPercent": 0,
            }
        ]
    }
    assert decision.before == {"salesOrderLines": [{"id": guid(0x1001), "quantity": Decimal(2)}]}


def test_lines_that_change_alone_go_with_the_reference_that_bc_has() -> None:
    """Its ETag needs a header write, which must not undo what somebody entered in BC."""
    in_bc = sales_order(externalDocumentNumber="CUST-PO-9")
    lines_only = change(order(order_item(Quantity=Decimal(3))), bc_order=in_bc)
    with_date = change(order(order_item(Quantity=Decimal(3)), EffectiveDate="2026-03-09"))

    assert lines_only.unchanged == {"externalDocumentNumber": "CUST-PO-9"}
    assert with_date.unchanged == {}


def test_lines_are_matched_by_their_order_item() -> None:
    """A line deleted in the middle and one added: two writes, not a cascade."""
    before = order(order_item(1), order_item(2, UnitPrice=Decimal(5)), order_item(3))
    bc_order = sales_order(line(1), line(2, unitPrice=Decimal(5)), line(3))
    decision = change(
        order(order_item(1), order_item(3), order_item(4)), before=before, bc_order=bc_order
    )

    assert isinstance(decision, Update)
    added, deleted = decision.changes["salesOrderLines"]
    assert added["itemId"] == ITEM_ID
    assert "id" not in added
    assert deleted == {"id": guid(0x1002), "etag": 'W/"line2"', "delete": True}


def test_header_changes_follow() -> None:
    """Date, reference and ship-to; nothing else is sent."""
    decision = change(order(EffectiveDate="2026-03-09"))

    assert isinstance(decision, Update)
    assert decision.changes == {"orderDate": "2026-03-09"}
    assert decision.before == {"orderDate": "2026-03-01"}


def test_a_changed_line_text_is_sent_without_prices() -> None:
    """And a removed one is blanked."""
    with_text = order(order_item(Description="blue"))
    described = sales_order(line(description="blue"))
    added = change(with_text)
    removed = change(order(), before=with_text, bc_order=described)

    assert added.changes["salesOrderLines"][0] == {
        "id": guid(0x1001),
        "etag": 'W/"line1"',
        "description": "blue",
    }
    assert removed.changes["salesOrderLines"][0]["description"] == ""


@pytest.mark.parametrize(
    ("bc_order", "reason"),
    [
        (sales_order(status="Open"), "it is released"),
        (sales_order(status="In_x0020_Review"), "it is in review"),
        (sales_order(line(shippedQuantity=Decimal(1))), "shipped or invoiced in part"),
        (sales_order(line(invoicedQuantity=Decimal(1))), "shipped or invoiced in part"),
        (sales_order(line(quantity=Decimal(7))), "its lines were edited in BC"),
        (sales_order(line(1), line(2)), "its lines were edited in BC"),
    ],
)
def test_what_bc_has_touched_is_never_overwritten(bc_order: SalesOrder, reason: str) -> None:
    """The message shows all three states."""
    decision = change(order(order_item(Quantity=Decimal(3))), bc_order=bc_order)

    assert_edited(decision, reason, "quantity of line 1 was 2 at hand-over, is 3 in Salesforce")


def test_a_header_edited_on_both_sides_is_parked() -> None:
    """A header value that only BC changed does not hinder another one."""
    in_bc = sales_order(orderDate="2026-03-20")
    moved = sales_order(requestedDeliveryDate="2026-03-20")

    assert_edited(change(order(EffectiveDate="2026-03-09"), bc_order=in_bc), "it was edited in BC")
    assert isinstance(change(order(EffectiveDate="2026-03-09"), bc_order=moved), Update)


def test_another_customer_or_currency_is_parked() -> None:
    """Changing them would derive the whole order anew."""
    other = order_context(customer(id=guid(0xC2)))

    assert_edited(change(order(), context=other), "customer and currency")
    assert_edited(change(order(CurrencyIsoCode="EUR")), "customer and currency")


def test_an_address_that_bc_filled_in_itself_may_be_replaced() -> None:
    """The customer's address, which BC gives an order without one, is nobody's edit."""
    in_bc = sales_order(shipToCity="Seattle", shipToCountry="US")
    now = order(ShippingCity="Köln")

    follows = change(now, bc_order=in_bc, given=filled_in(in_bc))

    assert isinstance(follows, Update)
    assert follows.changes["shipToCity"] == "Köln"
    elsewhere = sales_order(shipToCity="Portland", shipToCountry="US")
    assert_edited(change(now, bc_order=elsewhere, given=filled_in(in_bc)), "it was edited in BC")


def test_an_address_that_bc_completed_at_hand_over_may_be_replaced() -> None:
    """What BC made of the city it was sent is nobody's edit, nor is the city itself."""
    before = order(ShippingCity="Koeln", ShippingPostalCode="50667")
    now = order(ShippingCity="Bonn", ShippingPostalCode="53111")
    completed = sales_order(shipToCity="Köln", shipToState="NW", shipToPostCode="50667")
    given = filled_in(completed)

    follows = change(now, before=before, bc_order=completed, given=given)

    assert isinstance(follows, Update)
    assert follows.changes["shipToCity"] == "Bonn"
    as_sent = sales_order(shipToCity="Koeln", shipToPostCode="50667")
    assert isinstance(change(now, before=before, bc_order=as_sent, given=given), Update)
    elsewhere = sales_order(shipToCity="Hürth", shipToState="NW", shipToPostCode="50667")
    assert_edited(
        change(now, before=before, bc_order=elsewhere, given=given), "it was edited in BC"
    )


def test_a_removed_ship_to_is_parked() -> None:
    """BC cannot be told to forget it."""
    before = order(ShippingCity="Köln")

    in_bc = sales_order(shipToCity="Köln")

    assert_edited(change(order(), before=before, bc_order=in_bc), "cannot be taken out")


def test_the_same_edit_done_by_hand_in_bc_is_the_cure() -> None:
    """Then nothing is left to do."""
    by_hand = sales_order(line(quantity=Decimal(3), shippedQuantity=Decimal(1)), status="Open")
    decision = change(order(order_item(Quantity=Decimal(3))), bc_order=by_hand)

    assert decision == Unchanged(BC_ORDER_ID, "S-ORD101001", "already_equal")


def test_an_edit_that_bc_would_refuse_is_parked_with_its_own_cause() -> None:
    """The checks of a new order hold for an edited one."""
    decision = change(order(order_item(Quantity=Decimal(0))))

    assert isinstance(decision, Park)
    assert decision.cause is Cause.INVALID_QUANTITY


@pytest.mark.parametrize("code", ["Draft", "Canceled"])
def test_a_withdrawn_order_is_parked_while_bc_has_it(code: str) -> None:
    """The message says what BC still has."""
    withdrawn = order(StatusCode=code, Status=code)
    decision = change(withdrawn)
    invoiced = change(withdrawn, bc_order=None, invoiced=True)

    assert decision.cause is Cause.WITHDRAWN_AFTER_HAND_OVER
    assert "still exists" in decision.message
    assert isinstance(invoiced, Park)


def test_withdrawn_here_and_deleted_there_is_over() -> None:
    """Finance deleted the order, as the remedy asks."""
    base = agreed(order(), order_context(), POLICY)
    handed = HandedOver(BC_ORDER_ID, "S-ORD101001", base, None)
    withdrawn = order(StatusCode="Draft")

    assert isinstance(
        plan_change(withdrawn, handed, context=order_context(), policy=POLICY), Exclude
    )


def test_deleted_in_bc_is_told_from_invoiced() -> None:
    """An order that is gone with an invoice is finished."""
    base = agreed(order(), order_context(), POLICY)
    deleted = HandedOver(BC_ORDER_ID, "S-ORD101001", base, None)
    invoiced = HandedOver(BC_ORDER_ID, "S-ORD101001", base, None, invoiced=True)
    decision = plan_change(order(), deleted, context=order_context(), policy=POLICY)
    edited = order(order_item(Quantity=Decimal(3)))

    assert isinstance(decision, Park)
    assert decision.cause is Cause.DELETED_IN_BC
    assert plan_change(order(), invoiced, context=order_context(), policy=POLICY) == UNCHANGED
    assert_edited(
        plan_change(edited, invoiced, context=order_context(), policy=POLICY), "it is invoiced"
    )


def test_canceled_in_bc_is_no_deletion() -> None:
    """An order whose invoices were all canceled is finished; an edit of it needs a person."""
    base = agreed(order(), order_context(), POLICY)
    canceled = HandedOver(BC_ORDER_ID, "S-ORD101001", base, None, canceled=True)
    edited = order(order_item(Quantity=Decimal(3)))

    assert plan_change(order(), canceled, context=order_context(), policy=POLICY) == UNCHANGED
    assert_edited(
        plan_change(edited, canceled, context=order_context(), policy=POLICY), "it is canceled"
    )


def test_an_item_lost_in_bc_matters_only_when_the_order_was_edited() -> None:
    """An untouched order does not start to wait."""
    without = order_context(items={})

    assert change(order(), context=without) == UNCHANGED
    assert isinstance(change(order(order_item(Quantity=Decimal(3))), context=without), Wait)


def test_a_base_without_item_ids_pairs_lines_by_place() -> None:
    """A ledger from before, or one restored, knows the body only."""
    base = as_stored(agreed(order(), order_context(), POLICY))
    del base["orderItemIds"]

    assert change(order(), base=base) == UNCHANGED
    two = change(order(order_item(1), order_item(2)), base=base)
    assert isinstance(two, Update)
    assert [set(each) >= {"delete"} for each in two.changes["salesOrderLines"]] == [
        False,
        False,
        True,
    ]


def test_with_no_agreed_lines_nothing_is_written_over_bcs() -> None:
    """A base that was lost is no licence to add lines; equal sides need none."""
    in_bc = sales_order(line(quantity=Decimal(7)))

    assert change(order(), base={}).rule == "already_equal"
    assert_edited(change(order(), base={}, bc_order=in_bc), "customer and currency")


def test_many_edits_are_counted() -> None:
    """The message stays readable."""
    items = [order_item(number, Quantity=Decimal(9)) for number in range(1, 6)]
    before = order(*[order_item(number) for number in range(1, 6)])
    bc_order = sales_order(*[line(number) for number in range(1, 6)], status="Open")

    assert_edited(change(order(*items), before=before, bc_order=bc_order), "; and 2 more.")


def test_added_and_removed_lines_are_named() -> None:
    """With what each side has."""
    before = order(order_item(1), order_item(2))
    bc_order = sales_order(line(1), line(2), status="Open")
    now = order(order_item(1), order_item(3, Quantity=Decimal(4)))

    assert_edited(
        change(now, before=before, bc_order=bc_order),
        "line 2 was absent at hand-over, is 4 in Salesforce and absent in BC",
        "line 2 was 2 at hand-over, is absent in Salesforce and 2 in BC",
    )


def test_an_edited_product_is_sent_before_its_price() -> None:
    """Its item changed because the product was linked to another one."""
    other = salesforce_id("01t", 9)
    item = order_context().items[order_item().product2_id or ""]
    assert item is not None
    context = order_context(items={other: type(item)(guid(0x12), "2000", False, "BOX")})
    decision = change(order(order_item(Product2Id=other)), context=context)

    assert list(decision.changes["salesOrderLines"][0]) == [
        "id",
        "etag",
        "itemId",
        "unitOfMeasureCode",
        "quantity",
        "unitPrice",
        "discountPercent",
    ]


def test_a_property_bc_does_not_know_is_absent_there() -> None:
    """A custom field that was added to the policy later."""
    context = order_context(extra={"noSuchProperty": "x"})

    assert_edited(change(order(), context=context, bc_order=sales_order(status="Open")), "absent")
