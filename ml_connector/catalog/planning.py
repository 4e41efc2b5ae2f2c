"""Which item a product is, or what keeps it from having one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ml_connector.business_central.models import Item, without_blanks
from ml_connector.catalog.mapping import (
    NAME_LIMIT,
    NUMBER_LIMIT,
    UNIT_LIMIT,
    item_body,
    item_number,
)
from ml_connector.catalog.policy import CatalogPolicy
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import (
    Body,
    Candidate,
    Create,
    Decision,
    Link,
    Park,
    Unchanged,
    Update,
)
from ml_connector.domain.fitting import cleaned, width
from ml_connector.domain.identifiers import folded
from ml_connector.salesforce.models import Product2


def described(product: Product2) -> str:
    """Return how messages name a product."""
    name = cleaned(product.name) or product.id
    code = cleaned(product.product_code)
    return f'Product "{name}" ({code})' if code else f'Product "{name}"'


def candidate(item: Item) -> Candidate:
    """Return an item for a person to choose."""
    return Candidate(item.id, item.number, item.display_name)


def plan_item(  # noqa: PLR0913  # one keyword per look-up reads better than a bag of them
    product: Product2,
    *,
    linked: Item | None,
    by_external_id: Item | None,
    by_number: Item | None,
    same_code: Sequence[str],
    policy: CatalogPolicy,
    units: Collection[str] | None = None,
    partner_of: Mapping[str, str] | None = None,
) -> Decision:
    """Decide about one product.

    *linked* is the item of the ledger's link, *by_external_id* the one that BC_Item_Id__c names,
    *by_number* the one whose number is the product's code. *same_code* are the ids of products with
    that code (the product itself may be among them), *units* BC's units of measure when they are
    known, *partner_of* the products that items are linked to already.
    """
    others = sorted({other for other in same_code if other != product.id})
    if others:
        return _ambiguous(product, others, [i for i in (linked or by_number,) if i])
    if linked is not None:
        return _still_linked(product, linked, by_number)
    for item, rule in ((by_external_id, "external_id"), (by_number, "number")):
        if item is not None:
            taken_by = (partner_of or {}).get(item.id, product.id)
            if taken_by != product.id:
                return _taken(product, item, taken_by)
            return Link(item.id, item.number, item.etag, rule)
    return _without_item(product, policy, units)


def _still_linked(product: Product2, linked: Item, by_number: Item | None) -> Decision:
    # The code is the key of the pair. An item that was renamed keeps its link; a code that names
    # another item by now was corrected by a person.
    code = item_number(product)
    if by_number is not None and by_number.id != linked.id and folded(linked.number) != code:
        return Link(by_number.id, by_number.number, by_number.etag, "number")
    return Unchanged(linked.id, linked.number, "linked")


def _ambiguous(product: Product2, others: Sequence[str], items: Sequence[Item]) -> Park:
    listed = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    noun = "Product" if len(others) == 1 else "Products"
    return Park(
        Cause.AMBIGUOUS_ITEM,
        f"{described(product)} shares its product code with {noun} {listed}, so the item cannot "
        "be told apart.",
        candidates=tuple(candidate(item) for item in items),
        fields=("ProductCode",),
    )


def _taken(product: Product2, item: Item, other: str) -> Park:
    return Park(
        Cause.AMBIGUOUS_ITEM,
        f"{described(product)} means item {item.number}, which is linked to Product {other} "
        "already.",
        candidates=(candidate(item),),
        fields=("ProductCode",),
    )


def _without_item(
    product: Product2, policy: CatalogPolicy, units: Collection[str] | None
) -> Decision:
    number = item_number(product)
    if not number:
        return Park(
            Cause.MISSING_VALUE,
            f"{described(product)} has no product code, so no item can be found for it.",
            fields=("ProductCode",),
        )
    if width(number) > NUMBER_LIMIT:
        return Park(
            Cause.NO_ITEM,
            f"{described(product)} has a product code longer than the {NUMBER_LIMIT} characters "
            "of an item number, so no item can have it.",
            fields=("ProductCode",),
        )
    if not policy.create_items:
        return Park(
            Cause.NO_ITEM,
            f"{described(product)} has no partner: BC has no item with the number {number}.",
            fields=("ProductCode",),
        )
    body = item_body(product)
    return _cannot_be_created(product, body, units) or Create(body, "create_items")


def _cannot_be_created(product: Product2, body: Body, units: Collection[str] | None) -> Park | None:
    name = body["displayName"]
    if not name:
        return Park(Cause.MISSING_VALUE, f"{described(product)} has no name.", fields=("Name",))
    if width(name) > NAME_LIMIT:
        return Park(
            Cause.TEXT_TOO_LONG,
            f"{described(product)} has a name of {width(name)} characters; an item takes "
            f"{NAME_LIMIT}.",
            fields=("Name",),
        )
    unit = body.get("baseUnitOfMeasureCode", "")
    if unit and (width(unit) > UNIT_LIMIT or (units is not None and unit not in units)):
        return Park(
            Cause.UNKNOWN_UNIT,
            f"{described(product)} is sold by {unit}, which is no unit of measure in BC.",
            fields=("QuantityUnitOfMeasure",),
        )
    return None


def with_own_fields(decision: Decision, own: Body, item: Item | None) -> Decision:
    """Return *decision* with the custom fields that Salesforce owns, *own* by BC property.

    A creation gets all of them; a linked item that holds other values is changed.
    """
    match decision:
        case Create(body=body, rule=rule):
            return Create({**body, **own}, rule)
        case Link() | Unchanged() if item is not None and not holds(item, own):
            changes = {name: value for name, value in own.items() if not holds(item, {name: value})}
            before = {name: _value(item, name) for name in changes}
            return Update(item.id, item.number, item.etag, changes, before, "custom_field")
        case _:
            return decision


def holds(item: Item, values: Body) -> bool:
    """Tell whether *item* has *values* already."""
    return all(
        _normal(name, _value(item, name)) == _normal(name, value) for name, value in values.items()
    )


def _value(item: Item, name: str) -> Any:
    return next(
        getattr(item, attribute)
        for attribute, info in Item.model_fields.items()
        if info.alias == name
    )


def _normal(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return folded(value) if name.endswith("Code") else without_blanks(value)


def content_agrees(body: Body, item: Item) -> bool:
    """Tell whether *item* holds what *body* would have written: our own create came through."""
    unit = body.get("baseUnitOfMeasureCode")
    return (
        folded(item.number) == folded(body.get("number"))
        and item.display_name.strip() == body.get("displayName")
        and (unit is None or folded(item.base_unit_of_measure_code) == unit)
    )
