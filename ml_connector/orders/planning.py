"""What becomes of an Order: handed over, waiting, parked or left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from ml_connector.business_central.models import SalesInvoice, SalesOrder
from ml_connector.domain.address import country_code, split_street
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import (
    Candidate,
    Create,
    Decision,
    Exclude,
    Need,
    Park,
    Unchanged,
    Wait,
)
from ml_connector.domain.fitting import abridged, cleaned, width
from ml_connector.domain.identifiers import Kind, folded
from ml_connector.domain.money import currency_scale, rounded, total
from ml_connector.orders.adoption import FoundDocuments, plan_adoption
from ml_connector.orders.mapping import (
    REFERENCE_LIMIT,
    SHIP_TO_LIMITS,
    ItemFacts,
    OrderContext,
    agreed,
    described,
    line_text,
    line_unit,
    order_body,
    order_currency,
    order_reference,
    plain,
    requested_date,
    sorted_items,
    unit_price,
)
from ml_connector.orders.policy import OrdersPolicy
from ml_connector.orders.totals import compare, net_total
from ml_connector.salesforce.models import Order, OrderItem

__all__ = [
    "FoundDocuments",
    "ItemFacts",
    "OrderContext",
    "agreed",
    "hindrance",
    "invoiced_difference",
    "plan_adoption",
    "plan_order",
    "qualification",
    "total_difference",
]


def qualification(
    order: Order, policy: OrdersPolicy, *, matches_condition: bool = False
) -> Exclude | None:
    """Return why the policy leaves an Order out, None when it is handed over.

    *matches_condition*: Salesforce found it with the policy's SOQL condition. Reduction orders are
    never handed over.
    """
    if order.is_reduction_order:
        return Exclude(
            Cause.REDUCTION_ORDER, f"{described(order)} is a reduction order, which is no sale."
        )
    if policy.is_canceled(order.status):
        return Exclude(
            Cause.NOT_QUALIFYING, f"{described(order)} is canceled; its status is {order.status}."
        )
    if policy.condition:
        if matches_condition:
            return None
        return Exclude(
            Cause.NOT_QUALIFYING, f"{described(order)} does not meet the policy's condition."
        )
    if order.status_code != "Activated":
        return Exclude(
            Cause.NOT_QUALIFYING,
            f"{described(order)} is not activated; its status is {order.status}.",
        )
    if order.order_items is not None and not order.order_items:
        return Exclude(Cause.NOT_QUALIFYING, f"{described(order)} has no lines.")
    return None


def plan_order(
    order: Order,
    *,
    context: OrderContext,
    found: FoundDocuments,
    linked: SalesOrder | None,
    policy: OrdersPolicy,
    matches_condition: bool = False,
) -> Decision:
    """Decide about one Order with its lines.

    *linked* is the sales order of the ledger's link; its later changes are planned by
    `orders.changes`. *found* are the BC documents that carry the Order's reference.
    """
    if linked is not None:
        return Unchanged(linked.id, linked.number, "linked")
    excluded = qualification(order, policy, matches_condition=matches_condition)
    if excluded is not None:
        return excluded
    lacking = incomplete(order, policy) or missing(order, context)
    if lacking is not None:
        return lacking
    adoption = plan_adoption(order, found, context, policy)
    if adoption is not None:
        return adoption
    refused = hindrance(order, context, policy)
    if refused is not None:
        return refused
    return Create(order_body(order, context, policy), policy.qualify)


def hindrance(order: Order, context: OrderContext, policy: OrdersPolicy) -> Park | None:
    """Return the first thing a person has to cure before *order* can be written as it is now."""
    return next(_hindrances(order, context, policy), None)


def _hindrances(order: Order, context: OrderContext, policy: OrdersPolicy) -> Iterator[Park]:
    yield from filter(None, (_blocked_customer(order, context), _currency(order, context)))
    for place, item in enumerate(sorted_items(order), start=1):
        yield from _line_hindrances(order, place, item, context)
    yield from _ship_to_hindrances(order, context)
    yield from filter(None, (_requested_date(order, policy),))


def _no_reference(order: Order, policy: OrdersPolicy) -> Park | None:
    source = "OrderNumber" if policy.reference == "order_number" else "PoNumber"
    reference = order_reference(order, policy)
    if not reference:
        return Park(
            Cause.MISSING_VALUE,
            f"{described(order)} has no {source}, which is its reference in BC.",
            fields=(source,),
        )
    if width(reference) > REFERENCE_LIMIT:
        return Park(
            Cause.TEXT_TOO_LONG,
            f'{described(order)}: reference "{abridged(reference)}" has {width(reference)} '
            f"characters; BC takes {REFERENCE_LIMIT}.",
            fields=(source,),
        )
    return None


def incomplete(order: Order, policy: OrdersPolicy) -> Park | None:
    """Return what the Order itself lacks, None when it has all a sales order needs."""
    reference = _no_reference(order, policy)
    if reference is not None:
        return reference
    if not order.account_id:
        return Park(
            Cause.MISSING_VALUE, f"{described(order)} has no Account.", fields=("AccountId",)
        )
    if not order.order_items:
        return Park(Cause.NO_LINES, f"{described(order)} has no lines.")
    for place, item in enumerate(sorted_items(order), start=1):
        if not item.product2_id:
            return Park(
                Cause.MISSING_VALUE,
                f"{described(order)}: line {place} has no product.",
                fields=("Product2Id",),
            )
    return None


def missing(order: Order, context: OrderContext) -> Wait | None:
    """Return what has to exist in BC first: the customer, then the items; None when all does."""
    products = dict.fromkeys(item.product2_id or "" for item in sorted_items(order))
    without_item = [product for product in products if context.items.get(product) is None]
    needs = [Need(Kind.ITEM, product) for product in without_item]
    named = ", ".join(context.names.get(product) or product for product in without_item[:3])
    named += ", …" if len(needs) > 3 else ""
    items = f"{len(needs)} product{'s' if len(needs) > 1 else ''} without item"
    if context.customer is None:
        account = context.customer_need or Need(Kind.CUSTOMER, order.account_id or "")
        also = f" and {items} ({named})" if needs else ""
        name = context.names.get(account.salesforce_id) or account.salesforce_id
        return Wait(
            Cause.MISSING_CUSTOMER,
            f"{described(order)} waits for its customer, Account {name}{also}.",
            (account, *needs),
        )
    if needs:
        return Wait(
            Cause.MISSING_ITEM,
            f"{described(order)} waits for {items}: {named}.",
            tuple(needs),
        )
    return None


def _blocked_customer(order: Order, context: OrderContext) -> Park | None:
    customer = context.customer
    if customer is None or not customer.blocked:
        return None
    return Park(
        Cause.BLOCKED_CUSTOMER,
        f"{described(order)}: customer {customer.number} ({customer.display_name}) is blocked in "
        f"BC for {customer.blocked}.",
        candidates=(Candidate(customer.id, customer.number, customer.display_name),),
    )


def _currency(order: Order, context: OrderContext) -> Park | None:
    currency = order_currency(order, context)
    if currency == folded(context.local_currency) or currency in context.currencies:
        return None
    return Park(
        Cause.UNKNOWN_CURRENCY,
        f"{described(order)}: currency {currency} is not set up in BC.",
        fields=("CurrencyIsoCode",),
    )


def _line_hindrances(
    order: Order, place: int, item: OrderItem, context: OrderContext
) -> Iterator[Park]:
    facts = context.items.get(item.product2_id or "")
    if facts is None:
        raise ValueError("lines are checked when their items exist")
    name = f"{described(order)}: line {place} ({facts.number})"
    if item.quantity <= 0:
        yield Park(
            Cause.INVALID_QUANTITY,
            f"{name} has quantity {plain(item.quantity)}; BC needs more than zero.",
            fields=("Quantity",),
        )
    if facts.blocked:
        yield Park(
            Cause.BLOCKED_ITEM,
            f"{name} is for an item that is blocked in BC.",
            candidates=(Candidate(facts.item_id, facts.number, ""),),
        )
    if unit_price(item) is None:
        yield Park(Cause.MISSING_VALUE, f"{name} has no unit price.", fields=("UnitPrice",))
    unit = line_unit(facts)
    if unit and unit not in context.units:
        yield Park(
            Cause.UNKNOWN_UNIT,
            f"{name} is sold by {unit}, which is no unit of measure in BC.",
            fields=("QuantityUnitOfMeasure",),
        )
    left = line_text(item)[2]
    if left:
        yield Park(
            Cause.TEXT_TOO_LONG,
            f"{name} has a description longer than the 150 characters BC takes; "
            f'"{abridged(left)}" is left over.',
            fields=("Description",),
        )


def _ship_to_hindrances(order: Order, context: OrderContext) -> Iterator[Park]:
    left = split_street(order.shipping_street)[2]
    if left:
        yield Park(
            Cause.TEXT_TOO_LONG,
            f"{described(order)}: shipping street does not fit on BC's two address lines; "
            f'"{abridged(left)}" is left over.',
            fields=("ShippingStreet",),
        )
    for limit, attribute, label, source in SHIP_TO_LIMITS.values():
        text = cleaned(getattr(order, attribute))
        if width(text) > limit:
            yield Park(
                Cause.TEXT_TOO_LONG,
                f'{described(order)}: {label} "{abridged(text)}" has {width(text)} characters; '
                f"BC takes {limit}.",
                fields=(source,),
            )
    texts = (order.shipping_country_code, order.shipping_country)
    if country_code(texts, context.countries) is None:
        shown = abridged(cleaned(texts[0]) or cleaned(texts[1]))
        yield Park(
            Cause.UNKNOWN_COUNTRY,
            f'{described(order)}: shipping country "{shown}" is not in BC\'s list of countries.',
            fields=("ShippingCountry",),
        )


def _requested_date(order: Order, policy: OrdersPolicy) -> Park | None:
    try:
        requested_date(order, policy)
    except ValueError:
        return Park(
            Cause.MISSING_VALUE,
            f"{described(order)}: {policy.requested_date} "
            f'"{order.value(policy.requested_date)}" is no date.',
            fields=(policy.requested_date,),
        )
    return None


def total_difference(order: Order, bc_order: SalesOrder, policy: OrdersPolicy) -> Park | None:
    """Return how the net amounts of a written order differ; None when they agree or may differ."""
    if policy.on_difference == "accept":
        return None
    differences = compare(order, bc_order, policy.total_tolerance)
    if not differences:
        return None
    currency = folded(order.currency_iso_code) or folded(bc_order.currency_code)
    shown = "; ".join(map(str, differences[:3]))
    more = f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
    return Park(
        Cause.TOTAL_DIFFERS,
        f"{described(order)} and BC sales order {bc_order.number} differ ({currency}): "
        f"{shown}{more}.",
        candidates=(Candidate(bc_order.id, bc_order.number, bc_order.customer_name),),
        fields=("TotalAmount",),
    )


def invoiced_difference(
    order: Order, invoices: Sequence[SalesInvoice], policy: OrdersPolicy
) -> Park | None:
    """Return how an Order differs from the invoices its sales order became; None when it does not.

    For an order that is gone in BC and of which nothing is remembered: whether the rep edited it or
    the rest was never invoiced cannot be told. Each invoice may be rounded by a cent.
    """
    if policy.on_difference == "accept" or not invoices:
        return None
    scale = currency_scale(folded(order.currency_iso_code) or folded(invoices[0].currency_code))
    ours = rounded(net_total(order), scale)
    theirs = rounded(total(each.total_amount_excluding_tax for each in invoices), scale)
    slack = policy.total_tolerance + Decimal(len(invoices)).scaleb(-scale)
    if abs(ours - theirs) <= slack:
        return None
    numbers = ", ".join(each.number for each in invoices[:3])
    return Park(
        Cause.TOTAL_DIFFERS,
        f"{described(order)} comes to {ours} in Salesforce, its invoices in BC ({numbers}) to "
        f"{theirs}; what was agreed is not known any more, and the sales order is gone.",
        fields=("TotalAmount",),
    )
