"""Products as items, and items as products."""

from __future__ import annotations

from typing import Any

from ml_connector.business_central.models import Item
from ml_connector.catalog.policy import CatalogPolicy
from ml_connector.domain.decision import Body
from ml_connector.domain.fitting import cleaned
from ml_connector.domain.identifiers import folded
from ml_connector.salesforce.models import Product2

NUMBER_LIMIT = 20
NAME_LIMIT = 100
UNIT_LIMIT = 10


def item_number(product: Product2) -> str:
    """Return the item number the product's code stands for, as BC stores it; "" without a code.

    A code longer than BC takes comes back whole: planning reports it.
    """
    return folded(product.product_code)


def item_body(product: Product2) -> Body:
    """Return the item to create for a product, in the order BC validates it."""
    body: dict[str, Any] = {
        "number": item_number(product),
        "displayName": cleaned(product.name),
        "type": "Inventory",
    }
    unit = folded(product.quantity_unit_of_measure)
    if unit:
        body["baseUnitOfMeasureCode"] = unit
    return body


def product_facts(item: Item) -> dict[str, Any]:
    """Return the BC_ fields a linked Product2 shows."""
    return {"BC_Item_Id__c": item.id, "BC_Item_Number__c": item.number}


def product_changes(product: Product2, item: Item, policy: CatalogPolicy) -> dict[str, Any]:
    """Return the fields of a linked Product2 that have to change; {} when none has to."""
    changes = {
        field: value
        for field, value in product_facts(item).items()
        if (product.value(field) or "") != value
    }
    if policy.deactivate and item.blocked and product.is_active:
        changes["IsActive"] = False
    return changes


def product_body(item: Item) -> dict[str, Any]:
    """Return the Product2 to create for an item without partner."""
    body: dict[str, Any] = {
        "Name": item.display_name or item.number,
        "ProductCode": item.number,
        "IsActive": not item.blocked,
    }
    return body | product_facts(item)
