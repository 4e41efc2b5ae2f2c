"""Item prices in the standard price book."""

from __future__ import annotations

from decimal import Decimal

from ml_connector.business_central.models import Item
from ml_connector.catalog.policy import CatalogPolicy
from ml_connector.domain.money import rounded
from ml_connector.salesforce.models import PricebookEntry


def plan_price(
    item: Item,
    entry: PricebookEntry | None,
    *,
    currency: str,
    local_currency: str,
    policy: CatalogPolicy,
) -> Decimal | None:
    """Return the price the standard entry in *currency* should show, None to leave it as it is.

    Item prices are in BC's local currency; one that includes tax is never taken over.
    """
    if policy.prices != "standard" or item.price_includes_tax:
        return None
    if not currency or currency.upper() != local_currency.upper():
        return None
    wanted = rounded(item.unit_price, 2)
    if entry is not None and entry.unit_price == wanted:
        return None
    return wanted
