"""What planning has to know besides the two records."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ml_connector.business_central.models import Customer
from ml_connector.customers.mapping import CustomerContext
from ml_connector.domain.decision import Need
from ml_connector.orders.mapping import ItemFacts, OrderContext
from tests.builders.business_central import ITEM_ID, customer, guid
from tests.builders.salesforce import PRODUCT_ID

COUNTRIES = {
    "DE": "Germany",
    "FR": "France",
    "GB": "United Kingdom",
    "JP": "Japan",
    "US": "United States",
}
CURRENCIES = {"EUR": guid(0xE1), "JPY": guid(0xE2)}
UNITS = frozenset({"PCS", "BOX"})
ITEM = ItemFacts(ITEM_ID, "1896-S", blocked=False, base_unit="PCS")


def customer_context(**values: Any) -> CustomerContext:
    """Return the context of a company in USD."""
    defaults: dict[str, Any] = {
        "countries": COUNTRIES,
        "currencies": CURRENCIES,
        "local_currency": "USD",
        "org_currency": "USD",
    }
    return CustomerContext(**defaults | values)


def order_context(
    customer_found: Customer | None = None,
    *,
    need: Need | None = None,
    items: Mapping[str, ItemFacts | None] | None = None,
    **values: Any,
) -> OrderContext:
    """Return a context in which the default order can be written; *need*: it has no customer."""
    found = None if need is not None else customer_found or customer()
    defaults: dict[str, Any] = {
        "customer": found,
        "customer_need": need,
        "items": {PRODUCT_ID: ITEM} if items is None else items,
        "currencies": CURRENCIES,
        "local_currency": "USD",
        "org_currency": "USD",
        "units": UNITS,
        "countries": COUNTRIES,
    }
    return OrderContext(**defaults | values)


def as_stored(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body as it comes back from the ledger: decimals as text."""

    def stored(value: Any) -> Any:
        if isinstance(value, Decimal):
            return str(value)
        if isinstance(value, list):
            return [stored(each) for each in value]
        if isinstance(value, Mapping):
            return {name: stored(each) for name, each in value.items()}
        return value

    return {name: stored(value) for name, value in body.items()}
