"""What became of a write whose answer was lost, told by what was sent and not by the Order now."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ml_connector.business_central.models import SalesOrder
from ml_connector.domain.decision import Link
from ml_connector.orders.adoption import FoundDocuments, plan_recovery
from ml_connector.orders.changes import came_through
from ml_connector.orders.mapping import agreed
from ml_connector.orders.policy import OrdersPolicy
from tests.builders.business_central import (
    BC_ORDER_ID,
    guid,
    invoice,
    line,
    sales_order,
    shipment,
)
from tests.builders.contexts import as_stored, order_context
from tests.builders.salesforce import order, order_item

SENT = as_stored(agreed(order(), order_context(), OrdersPolicy()))
OURS = Link(BC_ORDER_ID, "S-ORD101001", 'W/"order"', "answer_was_lost")


def recover(**documents: Any) -> Link | None:
    """Return what became of the default order as it was sent."""
    found = FoundDocuments(**{name: tuple(each) for name, each in documents.items()})
    return plan_recovery(SENT, found)


def test_what_holds_the_sent_lines_is_ours() -> None:
    """Also when a clerk shipped it or invoiced a part of it since."""
    part = invoice(1, line(quantity=Decimal(1)))

    assert recover(orders=[sales_order()]) == OURS
    assert recover(orders=[sales_order()], shipments=[shipment()], invoices=[part]) == OURS


def test_an_order_that_was_invoiced_is_ours_by_its_invoices() -> None:
    """All of them together come to what was sent."""
    halves = [invoice(number, line(quantity=Decimal(1))) for number in (1, 2)]

    assert recover(invoices=halves) == Link(BC_ORDER_ID, "S-ORD101001", "", "answer_was_lost")
    assert recover(invoices=halves[:1]) is None


@pytest.mark.parametrize(
    "documents",
    [
        {},
        {"orders": [sales_order(line(quantity=Decimal(3)))]},
        {"orders": [sales_order(customerId=guid(0xC2))]},
        {"orders": [sales_order(), sales_order(id=guid(0x02), number="S-ORD101002")]},
        {"shipments": [shipment()]},
    ],
    ids=["nothing", "other lines", "other customer", "two orders", "a shipment alone"],
)
def test_without_certainty_nothing_is_ours(documents: dict[str, Any]) -> None:
    """Then the usual rules decide."""
    assert recover(**documents) is None


TARGET = as_stored(agreed(order(order_item(Quantity=Decimal(7))), order_context(), OrdersPolicy()))
CHANGES = {"shipToCity": "Bristol", "salesOrderLines": [{"id": guid(0x1001), "quantity": 7}]}


@pytest.mark.parametrize(
    ("bc_order", "expected"),
    [
        (sales_order(line(quantity=Decimal(7)), shipToCity="Bristol"), True),
        (sales_order(line(quantity=Decimal(7)), shipToCity="Leeds"), False),
        (sales_order(shipToCity="Bristol"), False),
    ],
    ids=["came through", "header did not", "lines did not"],
)
def test_an_edit_came_through_when_bc_holds_all_of_it(bc_order: SalesOrder, expected: bool) -> None:
    """Header and lines, as they were sent."""
    assert came_through(CHANGES, TARGET, bc_order) is expected
