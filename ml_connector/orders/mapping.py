"""Orders as sales orders: the reference, the header and its lines."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ml_connector.business_central.models import Customer
from ml_connector.domain.address import country_code, split_street
from ml_connector.domain.decision import Body, Need
from ml_connector.domain.fitting import cleaned, wrapped
from ml_connector.domain.identifiers import folded
from ml_connector.orders.policy import OrdersPolicy
from ml_connector.salesforce.models import Order, OrderItem

REFERENCE_LIMIT = 35
LINES = "salesOrderLines"
ITEM_IDS = "orderItemIds"
"""Key under which `agreed` keeps the ids of the OrderItems, line by line."""

SHIP_TO_LIMITS = {
    "shipToCity": (30, "shipping_city", "shipping city", "ShippingCity"),
    "shipToState": (30, "shipping_state", "shipping state", "ShippingState"),
    "shipToPostCode": (20, "shipping_postal_code", "shipping postal code", "ShippingPostalCode"),
}
"""Width of each property, where its value comes from, how messages and Salesforce call it."""


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What an order line needs to know about the item of its product.

    `sales_unit` is the product's own unit of measure in Salesforce, "" to sell by the base unit.
    """

    item_id: str
    number: str
    blocked: bool
    base_unit: str
    sales_unit: str = ""


@dataclass(frozen=True, slots=True)
class OrderContext:
    """What has to be known in BC before an order can be written.

    `customer`: the partner of the Order's Account as BC has it now, None while there is none, and
    then `customer_need` says what is waited for; `items`: by Product2 id, None or absent while the
    product has no item; `currencies`: BC's foreign currency code → id; `countries`: code → name;
    `extra`: custom header fields that Salesforce owns, by BC property; `names`: how people call the
    Accounts and products, by Salesforce id.
    """

    customer: Customer | None
    customer_need: Need | None
    items: Mapping[str, ItemFacts | None]
    currencies: Mapping[str, str]
    local_currency: str
    org_currency: str
    units: Collection[str]
    countries: Mapping[str, str]
    extra: Body = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


def described(order: Order) -> str:
    """Return how messages name an Order."""
    return f"Order {cleaned(order.order_number) or order.id}"


def order_reference(order: Order, policy: OrdersPolicy) -> str:
    """Return the external document number as BC stores it; "" when its field is empty.

    One that is longer than BC takes comes back whole: planning reports it.
    """
    source = order.order_number if policy.reference == "order_number" else order.po_number
    text = cleaned(source)
    return folded(policy.reference_prefix + text) if text else ""


def order_currency(order: Order, context: OrderContext) -> str:
    """Return the ISO code the Order's amounts are in; BC's local one when the org does not tell."""
    return folded(order.currency_iso_code or context.org_currency or context.local_currency)


def sorted_items(order: Order) -> tuple[OrderItem, ...]:
    """Return the lines in the order of their numbers, however they were read."""

    def place(item: OrderItem) -> tuple[int, int, str, str]:
        number = (item.order_item_number or "").strip()
        if number.isdecimal():
            return 0, int(number), "", item.id
        return 1 if number else 2, 0, number, item.id

    return tuple(sorted(order.order_items or (), key=place))


def plain(number: Decimal) -> Decimal:
    """Return an equal number without trailing zeros or exponent: equal bodies look equal."""
    shortened = number.normalize()
    return shortened.quantize(Decimal(1)) if shortened == shortened.to_integral() else shortened


def order_body(order: Order, context: OrderContext, policy: OrdersPolicy) -> Body:
    """Return the sales order of an Order that planning found complete, in validation order.

    Lines come in the order of their numbers; each with item, unit, quantity, then price.
    """
    if context.customer is None:
        raise ValueError("an order is mapped when its customer exists")
    body: dict[str, Any] = {
        "customerId": context.customer.id,
        "externalDocumentNumber": order_reference(order, policy),
    }
    if order.effective_date is not None:
        body["orderDate"] = order.effective_date.isoformat()
    body["currencyCode"] = order_currency(order, context)
    body["pricesIncludeTax"] = False
    body.update(ship_to(order, context))
    requested = requested_date(order, policy)
    if requested is not None:
        body["requestedDeliveryDate"] = requested.isoformat()
    body.update(context.extra)
    body[LINES] = [line_body(item, context) for item in sorted_items(order)]
    return body


def ship_to(order: Order, context: OrderContext) -> dict[str, Any]:
    """Return the ship-to address, all of it or, when the Order has none, nothing."""
    texts = (
        order.shipping_street, order.shipping_city, order.shipping_state,
        order.shipping_postal_code, order.shipping_country, order.shipping_country_code,
    )  # fmt: skip
    if not any(map(cleaned, texts)):
        return {}
    line1, line2, _ = split_street(order.shipping_street)
    country = country_code((order.shipping_country_code, order.shipping_country), context.countries)
    return {
        "shipToAddressLine1": line1,
        "shipToAddressLine2": line2,
        "shipToCountry": country or "",
        "shipToPostCode": folded(cleaned(order.shipping_postal_code)),
        "shipToCity": cleaned(order.shipping_city),
        "shipToState": cleaned(order.shipping_state),
    }


def requested_date(order: Order, policy: OrdersPolicy) -> date | None:
    """Return the date of the field that the policy names; None when there is none.

    An instant is the day it falls on in the policy's time zone.
    Raises: ValueError when the field holds no date.
    """
    if policy.requested_date == "none":
        return None
    value = order.value(policy.requested_date)
    if not value:
        return None
    if isinstance(value, str) and len(value) > len("2026-01-31"):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value.astimezone(ZoneInfo(policy.time_zone)).date()
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def line_body(item: OrderItem, context: OrderContext) -> dict[str, Any]:
    """Return one line; the text of the Salesforce line goes before BC's item name."""
    facts = context.items.get(item.product2_id or "")
    if facts is None:
        raise ValueError("a line is mapped when its item exists")
    line: dict[str, Any] = {"itemId": facts.item_id}
    unit = line_unit(facts)
    if unit:
        line["unitOfMeasureCode"] = unit
    line["quantity"] = plain(item.quantity)
    line["unitPrice"] = plain(unit_price(item) or Decimal(0))
    line["discountPercent"] = 0
    first, second, _ = line_text(item)
    if first:
        line["description"] = first
        if second:
            line["description2"] = second
    return line


def line_unit(facts: ItemFacts) -> str:
    """Return the unit a line is sold by: the product's, else the item's base unit."""
    return folded(facts.sales_unit) or folded(facts.base_unit)


def unit_price(item: OrderItem) -> Decimal | None:
    """Return the net price per unit; None when Salesforce has none."""
    if item.unit_price is not None:
        return item.unit_price
    if item.total_price is not None and item.quantity:
        return item.total_price / item.quantity
    return None


def line_text(item: OrderItem) -> tuple[str, str, str]:
    """Return the line's text spread over BC's two descriptions, and what does not fit."""
    return wrapped(cleaned(item.description), 100, 50)


def agreed(order: Order, context: OrderContext, policy: OrdersPolicy) -> dict[str, Any]:
    """Return what both sides agree on once the order was written: its body and the OrderItem ids.

    It is kept in the ledger and is the `base` of the comparison when the Order is edited later.
    """
    return {
        **order_body(order, context, policy),
        ITEM_IDS: [item.id for item in sorted_items(order)],
    }
