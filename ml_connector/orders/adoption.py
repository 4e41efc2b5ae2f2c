"""Whether BC documents that carry an Order's reference are what we wrote for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from ml_connector.business_central.models import (
    Document,
    PricedLine,
    SalesInvoice,
    SalesOrder,
    SalesShipment,
)
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Body, Candidate, Link, Park
from ml_connector.domain.identifiers import folded, same_id
from ml_connector.domain.money import ZERO, currency_scale, rounded, total
from ml_connector.orders.mapping import (
    LINES,
    OrderContext,
    described,
    order_currency,
    order_reference,
    sorted_items,
)
from ml_connector.orders.policy import OrdersPolicy
from ml_connector.orders.totals import compare, line_total, net_total, sold_lines
from ml_connector.salesforce.models import Order


@dataclass(frozen=True, slots=True)
class FoundDocuments:
    """BC documents with one external document number; orders and invoices with their lines."""

    orders: tuple[SalesOrder, ...] = ()
    invoices: tuple[SalesInvoice, ...] = ()
    shipments: tuple[SalesShipment, ...] = ()


@dataclass(slots=True)
class _Chain:
    """What BC made of one order: the order itself while it exists, and its documents."""

    order: SalesOrder | None = None
    invoices: list[SalesInvoice] = field(default_factory=list)
    shipments: list[SalesShipment] = field(default_factory=list)

    @property
    def documents(self) -> Iterable[Document]:
        return [d for d in (self.order, *self.invoices, *self.shipments) if d is not None]

    @property
    def first(self) -> Document:
        return next(iter(self.documents))


def plan_adoption(
    order: Order, found: FoundDocuments, context: OrderContext, policy: OrdersPolicy
) -> Link | Park | None:
    """Decide about the BC documents that carry the reference of *order*.

    One chain of documents (an order with its shipments and invoices, or the invoices of an order
    that is gone) of the same customer with equal lines and equal net total is linked; anything else
    is parked with the candidates. Returns: None when nothing was found.
    """
    chains = _chains(found)
    if not chains:
        return None
    if len(chains) == 1:
        link = _link(order, chains[0], context, policy)
        if link is not None:
            return link
    reason = (
        "which is not equal to it in customer, lines and net total"
        if len(chains) == 1
        else "and only one can be its own"
    )
    names = ", ".join(f"{_noun(c.first)} {c.first.number}" for c in chains[:5])
    return Park(
        Cause.DUPLICATE_REFERENCE,
        f"{described(order)}: its reference {order_reference(order, policy)} is on BC {names} "
        f"already, {reason}.",
        candidates=tuple(
            Candidate(c.first.id, c.first.number, c.first.customer_name) for c in chains
        ),
    )


def plan_recovery(body: Body, found: FoundDocuments) -> Link | None:
    """Return the link to what a sales order written as *body* has become; None without certainty.

    It is for a write whose answer was lost: the Order may have been edited since, so the documents
    found are compared with what was sent: same customer, same items and quantities.
    """
    chains = _chains(found)
    if len(chains) != 1:
        return None
    (chain,) = chains
    customer = str(body.get("customerId"))
    if not all(same_id(document.customer_id, customer) for document in chain.documents):
        return None
    sent = _by_item(
        (str(line["itemId"]), Decimal(str(line["quantity"])), ZERO) for line in body.get(LINES, ())
    )
    if chain.order is not None:
        there = [(line.item_id, line.quantity, ZERO) for line in sold_lines(chain.order.lines)]
        link = Link(chain.order.id, chain.order.number, chain.order.etag, "answer_was_lost")
        return link if _by_item(there) == sent else None
    first = next((each for each in chain.invoices if each.order_id), None)
    if first is None or not all(each.lines_were_read for each in chain.invoices):
        return None
    issued = [each for each in chain.invoices if each.status not in ("Draft", "In Review")]
    billed = [
        (line.item_id, line.quantity, ZERO) for each in issued for line in sold_lines(each.lines)
    ]
    link = Link(first.order_id, first.order_number, "", "answer_was_lost")
    return link if _by_item(billed) == sent else None


def _noun(document: Document) -> str:
    match document:
        case SalesOrder():
            return "sales order"
        case SalesInvoice():
            return "invoice"
        case _:
            return "shipment"


def _chains(found: FoundDocuments) -> list[_Chain]:
    """Sort the documents by the order they came from."""
    chains = [_Chain(order=order) for order in found.orders]
    by_id = {chain.order.id: chain for chain in chains if chain.order is not None}
    by_number = {_number_key(c.order.number, c.order): c for c in chains if c.order is not None}
    loose: list[SalesInvoice] = []
    for invoice in found.invoices:
        chain = by_id.get(invoice.order_id) if invoice.order_id else None
        if chain is None and invoice.order_number and not invoice.order_id:
            chain = by_number.get(_number_key(invoice.order_number, invoice))
        if chain is not None:
            chain.invoices.append(invoice)
        elif invoice.order_id or invoice.order_number:
            chain = _Chain(invoices=[invoice])
            chains.append(chain)
            if invoice.order_id:
                by_id[invoice.order_id] = chain
            if invoice.order_number:
                by_number.setdefault(_number_key(invoice.order_number, invoice), chain)
        else:
            loose.append(invoice)
    for shipment in found.shipments:
        key = _number_key(shipment.order_number, shipment)
        chain = by_number.get(key) if shipment.order_number else None
        if chain is None:
            chain = _Chain()
            chains.append(chain)
            by_number[key] = chain
        chain.shipments.append(shipment)
    return _with_loose(chains, loose)


def _number_key(number: str, document: Document) -> tuple[str, str]:
    # Order numbers can be reused, so a number means the order only together with its customer.
    return folded(number), document.customer_id


def _with_loose(chains: list[_Chain], loose: Sequence[SalesInvoice]) -> list[_Chain]:
    """Add invoices that name no order: a draft for the one order found is that order's draft."""
    for invoice in loose:
        only = chains[0] if len(chains) == 1 else None
        if (
            only is not None
            and invoice.status == "Draft"
            and same_id(only.first.customer_id, invoice.customer_id)
        ):
            only.invoices.append(invoice)
        else:
            chains.append(_Chain(invoices=[invoice]))
    return chains


def _link(order: Order, chain: _Chain, context: OrderContext, policy: OrdersPolicy) -> Link | None:
    customer = context.customer
    if customer is None or not all(same_id(d.customer_id, customer.id) for d in chain.documents):
        return None
    if chain.order is not None:
        if _is_equal(order, chain.order, context, policy.total_tolerance):
            return Link(chain.order.id, chain.order.number, chain.order.etag, "adopted")
        return None
    first = next((i for i in chain.invoices if i.order_id), None)
    if first is not None and _was_invoiced(order, chain.invoices, context, policy.total_tolerance):
        return Link(first.order_id, first.order_number, "", "adopted_invoiced")
    return None


def _same_currency(order: Order, code: str, context: OrderContext) -> bool:
    theirs = folded(code) or folded(context.local_currency)
    return theirs == order_currency(order, context)


def _is_equal(
    order: Order, bc_order: SalesOrder, context: OrderContext, tolerance: Decimal
) -> bool:
    items, lines = sorted_items(order), sold_lines(bc_order.lines)
    if len(items) != len(lines) or not _same_currency(order, bc_order.currency_code, context):
        return False
    for item, line in zip(items, lines, strict=True):
        facts = context.items.get(item.product2_id or "")
        if facts is None or not same_id(line.item_id, facts.item_id):
            return False
        if line.quantity != item.quantity:
            return False
    return not compare(order, bc_order, tolerance)


def _was_invoiced(
    order: Order, invoices: Sequence[SalesInvoice], context: OrderContext, tolerance: Decimal
) -> bool:
    """Tell whether the invoices of an order that is gone come to *order*, item by item.

    Canceled invoices count only when nothing replaced them.
    """
    issued = [each for each in invoices if each.status not in ("Draft", "In Review")]
    live = [each for each in issued if each.status != "Canceled"] or issued
    if not live or not all(each.lines_were_read for each in live):
        return False
    if not all(_same_currency(order, each.currency_code, context) for each in live):
        return False
    scale = currency_scale(order_currency(order, context))
    wanted = _by_item(
        (facts.item_id if facts else "", item.quantity, line_total(item))
        for item in sorted_items(order)
        for facts in [context.items.get(item.product2_id or "")]
    )
    lines: list[PricedLine] = [line for each in live for line in sold_lines(each.lines)]
    billed = _by_item((line.item_id, line.quantity, line.net_amount) for line in lines)
    net = total(each.total_amount_excluding_tax for each in live)
    return (
        "" not in wanted
        and wanted.keys() == billed.keys()
        and all(wanted[key][0] == billed[key][0] for key in wanted)
        and abs(rounded(net, scale) - rounded(net_total(order), scale)) <= tolerance
    )


def _by_item(
    lines: Iterable[tuple[str, Decimal, Decimal]],
) -> dict[str, tuple[Decimal, Decimal]]:
    sums: dict[str, tuple[Decimal, Decimal]] = defaultdict(lambda: (ZERO, ZERO))
    for item_id, quantity, amount in lines:
        before = sums[item_id.lower()]
        sums[item_id.lower()] = (before[0] + quantity, before[1] + amount)
    return dict(sums)
