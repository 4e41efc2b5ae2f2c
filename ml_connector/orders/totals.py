"""Whether a sales order comes to the same net amounts as its Order, to the cent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from ml_connector.business_central.models import PricedLine, SalesOrder
from ml_connector.domain.identifiers import folded
from ml_connector.domain.money import ZERO, currency_scale, rounded, total
from ml_connector.orders.mapping import sorted_items
from ml_connector.salesforce.models import Order, OrderItem


@dataclass(frozen=True, slots=True)
class Difference:
    """One amount that differs; `line` counts from 1, None for the header."""

    field: str
    line: int | None
    salesforce: Decimal
    business_central: Decimal

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else "total"
        if self.field == "lines":
            where = "number of lines"
        return f"{where} is {self.salesforce} in Salesforce and {self.business_central} in BC"


Line = TypeVar("Line", bound=PricedLine)


def sold_lines(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return the lines that count, in their sequence: no comments."""
    counting = (line for line in lines if line.line_type != "Comment")
    return tuple(sorted(counting, key=lambda line: line.sequence))


def line_total(item: OrderItem) -> Decimal:
    """Return the net amount of a Salesforce line."""
    if item.total_price is not None:
        return item.total_price
    return item.quantity * (item.unit_price or ZERO)


def net_total(order: Order) -> Decimal:
    """Return the net amount of an Order."""
    if order.total_amount is not None:
        return order.total_amount
    return total(line_total(item) for item in order.order_items or ())


def compare(
    order: Order, bc_order: SalesOrder, tolerance: Decimal = ZERO
) -> tuple[Difference, ...]:
    """Return the net amounts that differ by more than *tolerance*, lines first, then the total.

    Both sides are rounded half-up to the scale of the document's currency; tax is never compared.
    Lines are paired in their order; with an unequal number of lines only that and the total count.
    """
    scale = currency_scale(folded(order.currency_iso_code) or folded(bc_order.currency_code))
    items, lines = sorted_items(order), sold_lines(bc_order.lines)
    found: list[Difference] = []
    if len(items) != len(lines):
        found.append(Difference("lines", None, Decimal(len(items)), Decimal(len(lines))))
    else:
        for place, (item, line) in enumerate(zip(items, lines, strict=True), start=1):
            ours, theirs = rounded(line_total(item), scale), rounded(line.net_amount, scale)
            if abs(ours - theirs) > tolerance:
                found.append(Difference("netAmount", place, ours, theirs))
    ours = rounded(net_total(order), scale)
    theirs = rounded(bc_order.total_amount_excluding_tax, scale)
    if abs(ours - theirs) > tolerance:
        found.append(Difference("totalAmountExcludingTax", None, ours, theirs))
    return tuple(found)
