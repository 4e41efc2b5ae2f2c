"""Which drafts are posted."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ml_connector.business_central.models import SalesInvoice, SalesOrder
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Park
from ml_connector.invoices.planning import (
    LinkedOrder,
    NotOurs,
    Post,
    belongs,
    plan_draft,
    plan_shipment,
)
from ml_connector.invoices.policy import InvoicesPolicy
from tests.builders.business_central import (
    BC_ORDER_ID,
    CUSTOMER_ID,
    guid,
    invoice,
    line,
    sales_order,
)

POLICY = InvoicesPolicy()
LINK = LinkedOrder(BC_ORDER_ID, "S-ORD101001", "00000102", CUSTOMER_ID)


def draft(*lines: dict[str, Any], **properties: Any) -> SalesInvoice:
    """Return a draft made by hand with the order's reference."""
    by_hand = {"status": "Draft", "orderId": None, "orderNumber": "", "number": "S-INV1"}
    return invoice(7, *lines, **by_hand | properties)


def plan(a_draft: SalesInvoice, order: SalesOrder | None, *others: SalesInvoice) -> Any:
    """Plan a draft beside other invoices."""
    return plan_draft(a_draft, order=order, other_invoices=others, policy=POLICY)


def assert_misfit(decision: Any, *parts: str) -> None:
    """The draft is parked, and the message says why."""
    assert isinstance(decision, Park), decision
    assert decision.cause is Cause.DRAFT_DOES_NOT_FIT
    assert decision.message.startswith("Draft invoice S-INV1 does not fit its order: ")
    for part in parts:
        assert part in decision.message


@pytest.mark.parametrize(
    ("properties", "rule"),
    [
        ({"orderId": BC_ORDER_ID}, "order_id"),
        ({"orderId": guid(9)}, ""),
        ({"orderNumber": "s-ord101001", "externalDocumentNumber": ""}, "order_number"),
        ({}, "reference"),
        ({"externalDocumentNumber": "4711"}, ""),
        ({"externalDocumentNumber": ""}, ""),
        ({"customerId": guid(9)}, ""),
    ],
)
def test_a_draft_belongs_by_id_number_or_reference(properties: dict[str, Any], rule: str) -> None:
    """And only with the same customer; the id of another order outweighs all else."""
    assert belongs(draft(**properties), LINK) == rule


def test_a_draft_the_ledger_knows_belongs() -> None:
    """Whatever its document numbers say by now."""
    assert belongs(draft(externalDocumentNumber="x"), LINK, in_ledger=True) == "ledger"


def test_a_draft_that_fits_is_posted() -> None:
    """With the version tag that was read."""
    assert plan(draft(), sales_order()) == Post(
        guid(0x2007), "S-INV1", 'W/"invoice7"', "linked_drafts"
    )


def test_part_of_the_order_fits() -> None:
    """Comment lines are ignored."""
    comment = line(2, lineType="Comment", itemId="", quantity=Decimal(0), unitPrice=Decimal(0))

    assert isinstance(plan(draft(line(quantity=Decimal(1)), comment), sales_order()), Post)


def test_posting_may_be_off() -> None:
    """Then nothing is ours."""
    decision = plan_draft(
        draft(), order=sales_order(), other_invoices=(), policy=InvoicesPolicy(posting="off")
    )

    assert isinstance(decision, NotOurs)


def test_a_posted_invoice_is_not_ours() -> None:
    """Posting is never repeated."""
    assert isinstance(plan(draft(status="Open"), sales_order()), NotOurs)


def test_an_order_that_is_gone_has_nothing_left() -> None:
    """It was invoiced or deleted."""
    assert_misfit(plan(draft(), None), "gone")


@pytest.mark.parametrize(
    ("a_draft", "part"),
    [
        (draft(line(quantity=Decimal(3))), "1896-S is 1 more than the order has left to invoice"),
        (draft(line(1), line(2)), "2 more than"),
        (draft(line(itemId=guid(9), lineObjectNumber="2000-S")), "2000-S is not on the order"),
        (
            draft(line(itemId="", lineType="Account", lineObjectNumber="6100")),
            "6100 is not on the order",
        ),
        (draft(line(quantity=Decimal(0))), "quantity 0"),
        (draft(line(unitPrice=Decimal("10.01"))), "costs 20.02 net, 20.00 by the order"),
        (draft(customerId=guid(9), customerNumber="20000"), "customer 20000, not 10000"),
        (draft(currencyCode="EUR"), "it is in EUR, the order in USD"),
        (draft(totalAmountExcludingTax=Decimal("20.05")), "comes to 20.05 net"),
    ],
)
def test_a_draft_that_does_not_fit_is_parked(a_draft: SalesInvoice, part: str) -> None:
    """More, another item, a fee, another price, customer or currency."""
    assert_misfit(plan(a_draft, sales_order()), part)


def test_a_draft_without_lines_is_parked() -> None:
    """BC would refuse it."""
    comment = line(1, lineType="Comment", itemId="", quantity=Decimal(0), unitPrice=Decimal(0))

    assert_misfit(plan(draft(comment), sales_order()), "no lines")


def test_a_lower_price_fits() -> None:
    """Finance may grant a discount on the invoice."""
    assert isinstance(plan(draft(line(unitPrice=Decimal(9))), sales_order()), Post)


def test_what_is_invoiced_already_is_not_left() -> None:
    """By the order's own count, or by an invoice made by hand; never counted twice."""
    half = draft(line(quantity=Decimal(1)))
    by_order = sales_order(line(invoicedQuantity=Decimal(1)))
    posted = invoice(1, line(quantity=Decimal(1)))
    by_hand = invoice(1, line(quantity=Decimal(2)), orderId=None)

    assert isinstance(plan(half, by_order, posted), Post)
    assert_misfit(plan(draft(), by_order, posted), "more than the order has left")
    assert_misfit(plan(half, sales_order(), by_hand), "more than the order has left")


def test_another_draft_takes_its_part() -> None:
    """Two halves fit, two wholes do not; a canceled invoice takes nothing."""
    half = line(quantity=Decimal(1))
    other_half = invoice(8, half, status="Draft", orderId=None)
    whole = invoice(8, line(), status="Draft", orderId=None)
    canceled = invoice(8, line(), status="Canceled")

    assert isinstance(plan(draft(half), sales_order(), other_half), Post)
    assert_misfit(plan(draft(), sales_order(), whole))
    assert isinstance(plan(draft(), sales_order(), canceled), Post)


def test_invoices_whose_lines_were_not_read_count_by_their_total() -> None:
    """The money is limited even where the items are unknown."""
    unread = invoice(1, orderId=None)
    unread = SalesInvoice.model_validate(unread.model_dump(exclude={"lines"}))

    assert_misfit(plan(draft(), sales_order(), unread), "0.00 left to invoice")


def test_rounding_of_parts_fits() -> None:
    """Three pieces at a third of a cent more or less."""
    order = sales_order(
        line(quantity=Decimal(3), unitPrice=Decimal("0.335"), netAmount=Decimal("1.01"))
    )
    piece = line(quantity=Decimal(1), unitPrice=Decimal("0.335"), netAmount=Decimal("0.34"))

    assert isinstance(plan(draft(piece), order), Post)


def test_shipping_and_invoicing_is_a_policy() -> None:
    """Only what has something left, no difference and no pending approval."""
    policy = InvoicesPolicy(posting="ship_and_invoice")
    done = sales_order(line(invoicedQuantity=Decimal(2)))

    assert plan_shipment(sales_order(), total_differs=False, policy=policy)
    assert not plan_shipment(sales_order(), total_differs=True, policy=policy)
    assert not plan_shipment(sales_order(), total_differs=False, policy=POLICY)
    assert not plan_shipment(sales_order(status="In Review"), total_differs=False, policy=policy)
    assert not plan_shipment(done, total_differs=False, policy=policy)
