"""Which draft invoices the connector posts: those of linked orders whose lines still fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from ml_connector.business_central.models import (
    PricedLine,
    SalesInvoice,
    SalesOrder,
    SalesOrderLine,
)
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Candidate, Park
from ml_connector.domain.identifiers import folded, same_id
from ml_connector.domain.money import ZERO, currency_scale, rounded, total
from ml_connector.invoices.policy import InvoicesPolicy


@dataclass(frozen=True, slots=True)
class LinkedOrder:
    """The link between an Order and its sales order, as far as drafts are matched by it."""

    bc_id: str
    bc_number: str
    reference: str
    customer_id: str


@dataclass(frozen=True, slots=True)
class Post:
    """Post the draft; `rule` says what made it ours."""

    bc_id: str
    number: str
    etag: str
    rule: str


@dataclass(frozen=True, slots=True)
class NotOurs:
    """Leave the document alone."""

    reason: str


Posting: TypeAlias = Post | NotOurs | Park


def belongs(draft: SalesInvoice, order: LinkedOrder, *, in_ledger: bool = False) -> str:
    """Return the rule by which *draft* belongs to *order*, "" when it does not.

    The customer must be equal; then the ledger's link, the order's id, its number or its reference
    decides, in this order: a draft that carries the id of another order is that one's.
    """
    if not same_id(draft.customer_id, order.customer_id):
        return ""
    if in_ledger:
        return "ledger"
    if draft.order_id:
        return "order_id" if same_id(draft.order_id, order.bc_id) else ""
    if draft.order_number and folded(draft.order_number) == folded(order.bc_number):
        return "order_number"
    reference = folded(draft.external_document_number)
    return "reference" if reference and reference == folded(order.reference) else ""


def plan_draft(
    draft: SalesInvoice,
    *,
    order: SalesOrder | None,
    other_invoices: Sequence[SalesInvoice],
    policy: InvoicesPolicy,
) -> Posting:
    """Decide about one draft that belongs to a linked order.

    *order* is that order with its lines, None when BC has it no more; *other_invoices* are the
    order's other invoices: posted ones, and drafts that are posted before this one.
    """
    if policy.posting == "off":
        return NotOurs("the policy posts no invoices")
    if draft.status != "Draft":
        return NotOurs(f"it is no draft but {draft.status or 'blank'}")
    misfit = _misfit(draft, order, other_invoices)
    if misfit:
        return Park(
            Cause.DRAFT_DOES_NOT_FIT,
            f"Draft invoice {draft.number} does not fit its order: {misfit}.",
            candidates=(Candidate(draft.id, draft.number, draft.customer_name),),
        )
    return Post(draft.id, draft.number, draft.etag, "linked_drafts")


def _misfit(
    draft: SalesInvoice, order: SalesOrder | None, other_invoices: Sequence[SalesInvoice]
) -> str:
    """Return why the draft must not be posted, "" when it fits."""
    if order is None:
        return "the order is gone, so nothing is left to invoice"
    if not same_id(draft.customer_id, order.customer_id):
        return f"it is for customer {draft.customer_number}, not {order.customer_number}"
    if folded(draft.currency_code) != folded(order.currency_code):
        return f"it is in {draft.currency_code}, the order in {order.currency_code}"
    lines = _counting(draft.lines)
    if not lines:
        return "it has no lines"
    return _misfit_of_lines(lines, order, other_invoices) or _misfit_of_total(
        draft, order, other_invoices
    )


def _counting(lines: Iterable[PricedLine]) -> list[PricedLine]:
    return [line for line in lines if line.line_type != "Comment"]


def _misfit_of_lines(
    lines: Sequence[PricedLine], order: SalesOrder, other_invoices: Sequence[SalesInvoice]
) -> str:
    left = _left_by_item(order.lines, other_invoices)
    prices = _highest_prices(order.lines)
    scale = currency_scale(order.currency_code)
    for line in lines:
        name = line.line_object_number or line.description or "a line"
        if not line.item_id or line.item_id not in left:
            return f"{name} is not on the order"
        if line.quantity <= 0:
            return f"{name} has quantity {line.quantity.normalize():f}"
        left[line.item_id] -= line.quantity
        if left[line.item_id] < 0:
            over = -left[line.item_id]
            return f"{name} is {over.normalize():f} more than the order has left to invoice"
        highest = rounded(line.quantity * prices[line.item_id], scale)
        if line.net_amount > highest + _cent(scale):
            return f"{name} costs {line.net_amount} net, {highest} by the order"
    return ""


def _left_by_item(
    lines: Sequence[SalesOrderLine], other_invoices: Sequence[SalesInvoice]
) -> dict[str, Decimal]:
    """Return the quantity of each item that no invoice has yet.

    BC's count on the order knows the invoices made from it, the documents know those made by hand:
    the higher of the two is invoiced; other drafts take what they hold.
    """
    ordered: dict[str, Decimal] = defaultdict(lambda: ZERO)
    invoiced: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for line in lines:
        if line.line_type != "Comment" and line.item_id:
            ordered[line.item_id] += line.quantity
            invoiced[line.item_id] += line.invoiced_quantity
    issued, drafted = _quantities(_issued(other_invoices)), _quantities(_drafts(other_invoices))
    return {
        item_id: quantity
        - max(invoiced[item_id], issued.get(item_id, ZERO))
        - drafted.get(item_id, ZERO)
        for item_id, quantity in ordered.items()
    }


def _quantities(invoices: Iterable[SalesInvoice]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for invoice in invoices:
        for line in _counting(invoice.lines):
            sums[line.item_id] += line.quantity
    return sums


def _issued(invoices: Iterable[SalesInvoice]) -> list[SalesInvoice]:
    return [each for each in invoices if each.status in ("Open", "Paid", "Corrective")]


def _drafts(invoices: Iterable[SalesInvoice]) -> list[SalesInvoice]:
    return [each for each in invoices if each.status in ("Draft", "In Review")]


def _highest_prices(lines: Sequence[SalesOrderLine]) -> dict[str, Decimal]:
    """Return the highest net price per unit of each item on the order."""
    prices: dict[str, Decimal] = {}
    for line in _counting(lines):
        if line.item_id and line.quantity:
            price = line.net_amount / line.quantity
            prices[line.item_id] = max(price, prices.get(line.item_id, price))
    return prices


def _misfit_of_total(
    draft: SalesInvoice, order: SalesOrder, other_invoices: Sequence[SalesInvoice]
) -> str:
    """Return how the draft comes to more than the order has left, "" when it does not."""
    scale = currency_scale(order.currency_code)
    lines = [line for line in order.lines if line.line_type != "Comment" and line.quantity]
    invoiced = total(line.net_amount * line.invoiced_quantity / line.quantity for line in lines)
    issued = total(each.total_amount_excluding_tax for each in _issued(other_invoices))
    drafted = total(each.total_amount_excluding_tax for each in _drafts(other_invoices))
    left = total(line.net_amount for line in lines) - max(invoiced, issued) - drafted
    allowed = rounded(left, scale) + _cent(scale) * (len(lines) + len(draft.lines))
    if draft.total_amount_excluding_tax > allowed:
        return (
            f"it comes to {draft.total_amount_excluding_tax} net, the order has "
            f"{rounded(left, scale)} left to invoice"
        )
    return ""


def _cent(scale: int) -> Decimal:
    return Decimal(1).scaleb(-scale)


def plan_shipment(order: SalesOrder, *, total_differs: bool, policy: InvoicesPolicy) -> bool:
    """Tell whether the connector itself ships and invoices a linked order.

    Only by the policy, only what is released or a draft without difference, and only while
    something is left to ship or invoice.
    """
    if policy.posting != "ship_and_invoice" or total_differs or order.status == "In Review":
        return False
    return any(
        line.line_type != "Comment" and line.invoiced_quantity < line.quantity
        for line in order.lines
    )
