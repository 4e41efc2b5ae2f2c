"""BC documents that carry an Order's reference already."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Link, Park
from ml_connector.orders.adoption import FoundDocuments, plan_adoption
from ml_connector.orders.planning import plan_order
from ml_connector.orders.policy import OrdersPolicy
from tests.builders.business_central import (
    BC_ORDER_ID,
    guid,
    invoice,
    line,
    sales_order,
    shipment,
)
from tests.builders.contexts import order_context
from tests.builders.salesforce import PRODUCT_ID, order, order_item

POLICY = OrdersPolicy()
OTHER = guid(0xFFF)


def adopt(an_order: Any = None, **documents: Any) -> Link | Park | None:
    """Plan the adoption of *documents* for the default order."""
    return plan_adoption(
        an_order or order(),
        FoundDocuments(**{name: tuple(each) for name, each in documents.items()}),
        order_context(),
        POLICY,
    )


def assert_duplicate(decision: Link | Park | None, candidates: int) -> None:
    """The decision is to let a person choose among that many."""
    assert isinstance(decision, Park)
    assert decision.cause is Cause.DUPLICATE_REFERENCE
    assert len(decision.candidates) == candidates
    assert "00000102" in decision.message


def test_nothing_found_is_no_decision() -> None:
    """Then the order is created."""
    assert adopt() is None


def test_an_equal_order_is_adopted() -> None:
    """Same customer, equal lines, equal net total."""
    assert adopt(orders=[sales_order()]) == Link(BC_ORDER_ID, "S-ORD101001", 'W/"order"', "adopted")


def test_planning_adopts_before_it_creates() -> None:
    """A blocked customer does not hinder adopting what is there."""
    decision = plan_order(
        order(),
        context=order_context(),
        found=FoundDocuments(orders=(sales_order(),)),
        linked=None,
        policy=POLICY,
    )

    assert isinstance(decision, Link)


@pytest.mark.parametrize(
    "bc_order",
    [
        sales_order(customerId=OTHER),
        sales_order(line(quantity=Decimal(1), unitPrice=Decimal(20))),
        sales_order(line(itemId=OTHER)),
        sales_order(line(1), line(2)),
        sales_order(line(netAmount=Decimal("20.01"))),
        sales_order(totalAmountExcludingTax=Decimal("19.99")),
        sales_order(currencyCode="EUR"),
    ],
)
def test_anything_unequal_is_parked(bc_order: Any) -> None:
    """Other customer, quantity, item, lines, amount, total or currency."""
    assert_duplicate(adopt(orders=[bc_order]), 1)


def test_a_blank_currency_is_the_local_one() -> None:
    """BC shows both for local orders."""
    assert isinstance(adopt(orders=[sales_order(currencyCode="")]), Link)


def test_two_orders_are_parked_even_if_equal() -> None:
    """Only a person can tell which one is ours."""
    assert_duplicate(adopt(orders=[sales_order(), sales_order(id=OTHER, number="S-2")]), 2)


def test_documents_of_the_found_order_are_no_second_hit() -> None:
    """Its shipments and invoices carry the same reference; so does a draft made by hand."""
    decision = adopt(
        orders=[sales_order()],
        invoices=[
            invoice(1),
            invoice(2, orderId=None),
            invoice(3, orderId=None, orderNumber="", status="Draft"),
        ],
        shipments=[shipment(1), shipment(2)],
    )

    assert isinstance(decision, Link)
    assert decision.rule == "adopted"


def test_an_invoice_of_another_order_is_a_second_hit() -> None:
    """Order numbers can be reused, ids cannot."""
    assert_duplicate(adopt(orders=[sales_order()], invoices=[invoice(orderId=OTHER)]), 2)


def test_a_posted_invoice_without_order_is_a_second_hit() -> None:
    """Somebody invoiced by hand."""
    loose = invoice(orderId=None, orderNumber="")

    assert_duplicate(adopt(orders=[sales_order()], invoices=[loose]), 2)
    assert_duplicate(adopt(invoices=[loose]), 1)


def test_a_shipment_of_another_customer_is_a_second_hit() -> None:
    """A number means the order only together with its customer."""
    assert_duplicate(adopt(orders=[sales_order()], shipments=[shipment(customerId=OTHER)]), 2)


def test_an_order_that_is_invoiced_and_gone_is_adopted_through_its_invoices() -> None:
    """Two part invoices that come to the order."""
    half = line(quantity=Decimal(1))
    decision = adopt(invoices=[invoice(1, half), invoice(2, half)], shipments=[shipment()])

    assert decision == Link(BC_ORDER_ID, "S-ORD101001", "", "adopted_invoiced")


def test_invoices_found_by_order_number_only_are_one_chain() -> None:
    """BC filled the number but not the id on the second."""
    half = line(quantity=Decimal(1))

    assert isinstance(adopt(invoices=[invoice(1, half), invoice(2, half, orderId=None)]), Link)


def test_a_canceled_invoice_counts_only_while_nothing_replaced_it() -> None:
    """Both chains are that order's."""
    canceled = invoice(1, status="Canceled")

    assert isinstance(adopt(invoices=[canceled]), Link)
    assert isinstance(adopt(invoices=[canceled, invoice(2)]), Link)


@pytest.mark.parametrize(
    "found",
    [
        invoice(1, line(quantity=Decimal(1))),
        invoice(1, line(itemId=OTHER)),
        invoice(1, customerId=OTHER),
        invoice(1, currencyCode="EUR"),
        invoice(1, totalAmountExcludingTax=Decimal("20.01")),
        invoice(1, status="Draft"),
    ],
)
def test_invoices_that_do_not_come_to_the_order_are_parked(found: Any) -> None:
    """Other quantity, item, customer, currency, total, or not issued at all."""
    assert_duplicate(adopt(invoices=[found]), 1)


def test_invoices_without_lines_are_no_proof() -> None:
    """What was not read is not equal."""
    unread = invoice(1)
    unread = type(unread).model_validate(unread.model_dump(exclude={"lines"}))

    assert_duplicate(adopt(invoices=[unread]), 1)


def test_a_shipment_alone_is_parked() -> None:
    """Its order was deleted after shipping."""
    assert_duplicate(adopt(shipments=[shipment()]), 1)
    assert_duplicate(adopt(shipments=[shipment(orderNumber="")]), 1)


def test_an_item_that_has_no_partner_is_never_equal() -> None:
    """Neither on the order nor on its invoices."""
    context = order_context(items={PRODUCT_ID: None})
    for documents in (
        FoundDocuments(orders=(sales_order(),)),
        FoundDocuments(invoices=(invoice(),)),
    ):
        assert isinstance(plan_adoption(order(), documents, context, POLICY), Park)


def test_without_customer_nothing_is_adopted() -> None:
    """The customer is half of the proof."""
    context = order_context(customer=None)
    found = FoundDocuments(orders=(sales_order(),))

    assert isinstance(plan_adoption(order(), found, context, POLICY), Park)


def test_lines_may_be_merged_on_invoices() -> None:
    """Two order lines of one item, one invoice line: the quantities decide."""
    two = order(order_item(1), order_item(2))

    assert isinstance(adopt(two, invoices=[invoice(1, line(quantity=Decimal(4)))]), Link)
