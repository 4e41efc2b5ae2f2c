"""Align the catalog: every Product2 with one item, by External Id and by number."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_connector.business_central.models import Item
from ml_connector.business_central.models import parse as parse_bc
from ml_connector.catalog.mapping import item_number
from ml_connector.catalog.planning import holds, plan_item, with_own_fields
from ml_connector.configuration.fields import incoming, outgoing
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Create, Exclude, Link, Park, Unchanged, Update
from ml_connector.domain.identifiers import Kind, folded
from ml_connector.errors import ConcurrentEdit, TransientError
from ml_connector.exchange.collect import (
    content_digest,
    due_keys,
    poll_partners,
    poll_salesforce,
    shown_fields,
)
from ml_connector.exchange.decided import Decided, store_decided
from ml_connector.exchange.expressed import express, forget_unmapped
from ml_connector.exchange.number_series import written_row
from ml_connector.exchange.outcome import Outcome, Planned, Prepared
from ml_connector.exchange.planned import planned_record, write_each
from ml_connector.exchange.reading import fields_of, read_models
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    Claims,
    Write,
    Written,
    fresh_record,
    store_decision,
    write_once,
)
from ml_connector.ledger.records import Intent, Record
from ml_connector.salesforce.models import Product2
from ml_connector.salesforce.soql import among, in_list, select

log = logging.getLogger("ml_connector")


def collect_products(systems: Systems) -> list[str]:
    """Store what changed in both catalogs and return the Product2 ids to decide now.

    Effect: inbox and checkpoints in the ledger; no vendor is written to.
    """
    poll_salesforce(systems, "Product2", fields_of(systems, Product2), Kind.ITEM)
    poll_partners(systems, "items", "Product2", Kind.ITEM)
    return due_keys(systems, "Product2", Kind.ITEM)


def prepare_items(systems: Systems, keys: Sequence[str]) -> Prepared:
    """Decide about the products of *keys*; what needs no BC write is stored at once."""
    up_to = systems.ledger.last_change_id()
    products, rows = read_models(systems, Product2, keys)
    records = systems.ledger.records(Kind.ITEM, keys)
    linked, by_number = _items_for(systems, products.values(), records)
    twins = _same_code(systems, products.values())
    decided: list[Decided] = []
    plans: list[Planned] = []
    for key in keys:
        record = records.get(key) or fresh_record(systems, Kind.ITEM, key)
        product = products.get(key)
        if product is None:
            decided.append(Decided(record, Exclude(Cause.DELETED, f"Product {key} was deleted.")))
            continue
        record.salesforce_number = product.product_code or product.name or ""
        record.source_stamp = content_digest(rows[key])
        forget_unmapped(record, systems.policy.fields, "items")
        record.shown = shown_fields(rows[key], {"IsActive", *record.wanted})
        external = (product.bc_item_id or "").lower()
        decision = plan_item(
            product,
            linked=linked.get(record.bc_id.lower()) if record.bc_id else None,
            by_external_id=linked.get(external) if external else None,
            by_number=by_number.get(item_number(product)),
            same_code=tuple(other for other in twins.get(item_number(product), ()) if other != key),
            policy=systems.policy.catalog,
        )
        item = linked.get(getattr(decision, "bc_id", "").lower()) or by_number.get(
            item_number(product)
        )
        decision = with_own_fields(
            decision, outgoing(systems.policy.fields, "items", product), item
        )
        if isinstance(decision, Create | Update):
            plans.append(
                Planned(
                    Kind.ITEM, key, record.salesforce_number, decision, product, up_to, rows[key]
                )
            )
            continue
        if isinstance(decision, Link | Unchanged) and item is not None:
            record.bc_stamp = _stamp(item)
        facts = _facts(systems, product, item)
        decided.append(Decided(record, decision, facts, _from_item(systems, product, item)))
    outcomes = store_decided(systems, "Product2", decided, up_to)
    return Prepared(tuple(plans), outcomes)


def _stamp(item: Item) -> str:
    changed = item.last_modified_date_time
    return changed.isoformat() if changed else ""


def _facts(systems: Systems, product: Product2, item: Item | None) -> dict[str, Any]:
    """Return what order lines need: the product's own unit, "" to sell by the item's base unit."""
    unit = folded(product.quantity_unit_of_measure)
    if not unit or unit == folded(item.base_unit_of_measure_code if item else ""):
        return {"sales_unit": ""}
    if unit in _EACH and unit not in systems.units():
        return {"sales_unit": ""}
    return {"sales_unit": unit}


def _from_item(systems: Systems, product: Product2, item: Item | None) -> dict[str, Any]:
    """Return the fields a product takes over from its item by the policy."""
    if item is None:
        return {}
    wanted = dict(incoming(systems.policy.fields, "items", item))
    if systems.policy.catalog.deactivate and item.blocked and product.is_active:
        wanted["IsActive"] = False
    return wanted


_EACH = frozenset({"EACH", "EA"})
"""How Salesforce spells "by the piece" out of the box; BC's base unit is meant."""


def _items_for(
    systems: Systems, products: Sequence[Product2] | Any, records: Mapping[str, Record]
) -> tuple[dict[str, Item], dict[str, Item]]:
    """Return the items that could be partners: by lower-case id and by number."""
    products = list(products)
    ids = {record.bc_id.lower() for record in records.values() if record.bc_id}
    ids |= {product.bc_item_id.lower() for product in products if product.bc_item_id}
    numbers = {item_number(product) for product in products} - {""}
    items: dict[str, Item] = {}
    for row in systems.business_central.find_by("items", "id", sorted(ids), quote=False):
        item = parse_bc(Item, row)
        items[item.id] = item
    by_number = {folded(item.number): item for item in items.values()}
    missing = sorted(numbers - by_number.keys())
    for row in systems.business_central.find_by("items", "number", missing):
        item = parse_bc(Item, row)
        items[item.id] = item
        by_number[folded(item.number)] = item
    return items, by_number


def _same_code(systems: Systems, products: Sequence[Product2] | Any) -> dict[str, list[str]]:
    """Return the ids of all products per folded code, for codes of *products*.

    An inactive product is no twin of an active one: it is the old version of it.
    """
    codes = [product.product_code for product in products if product.product_code]
    rows: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for chunk in in_list(codes):
        soql = select(
            "Product2", ["Id", "ProductCode", "IsActive"], where=among("ProductCode", chunk)
        )
        for page in systems.salesforce.query(soql):
            for row in page:
                rows[folded(row["ProductCode"])].append((row["Id"], bool(row["IsActive"])))
    twins: dict[str, list[str]] = {}
    for code, found in rows.items():
        active = [key for key, is_active in found if is_active]
        twins[code] = active or [key for key, _ in found]
    return twins


def write_items(systems: Systems, plans: Sequence[Planned]) -> list[Outcome]:
    """Create the planned items in BC, or change what Salesforce owns of them, each exactly once.

    Raises: TransientError after every other plan was dealt with.
    """

    def write(claims: Claims, plan: Planned) -> tuple[Outcome, TransientError | None]:
        record = planned_record(systems, plan)
        finish = _finisher(systems, plan)
        if isinstance(plan.decision, Create):
            if record.bc_id:
                return Outcome.of(record, is_final=False), None
            return write_once(systems, claims, record, _creation(systems, plan), finish)
        try:
            return write_once(systems, claims, record, _change(systems, plan), finish)
        except ConcurrentEdit:
            message = f"Product {plan.number}: its item is being edited in Business Central."
            return store_decision(systems, record, Park(Cause.CONCURRENT_EDIT, message)), None

    return write_each(systems, Kind.ITEM, plans, write)


def _finisher(systems: Systems, plan: Planned) -> Callable[[Record, Written], None]:
    product: Product2 = plan.source

    def finish(record: Record, written: Written) -> None:
        item = parse_bc(Item, written.answer)
        record.bc_stamp = _stamp(item)
        record.facts.update(_facts(systems, product, item))
        record.wanted.update(_from_item(systems, product, item))
        express(record)

    return finish


def _change(systems: Systems, plan: Planned) -> Write:
    """Return the write of what Salesforce owns of an item: of its first link, or of a later edit.

    Repeating it writes the same values again.
    """
    decision = plan.decision
    if not isinstance(decision, Update):
        raise ValueError("only an existing item is changed")
    bc = systems.business_central

    def send(on_send: Callable[[], None]) -> Written:
        row = bc.update("items", decision.bc_id, decision.etag, decision.changes, on_send=on_send)
        return written_row(row)

    def look(intent: Intent) -> Written | Park | None:
        row = bc.fetch("items", decision.bc_id)
        return written_row(row) if holds(parse_bc(Item, row), intent.payload) else None

    return Write(
        "update", decision.bc_id, decision.changes, send, look, decision.before, decision.rule
    )


def _creation(systems: Systems, plan: Planned) -> Write:
    assert isinstance(plan.decision, Create)  # noqa: S101  # only creations are planned
    body = plan.decision.body
    number = str(body["number"])

    def send(on_send: Callable[[], None]) -> Written:
        answer = systems.business_central.create("items", body, on_send=on_send)
        return Written(answer["id"].lower(), answer["number"], answer)

    def look(intent: Intent) -> Written | Park | None:
        rows = list(systems.business_central.find_by("items", "number", [number]))
        if not rows:
            return None
        same = folded(rows[0].get("displayName")) == folded(str(intent.payload.get("displayName")))
        if len(rows) == 1 and same:
            return Written(rows[0]["id"].lower(), rows[0]["number"], rows[0], adopted=True)
        return Park(
            Cause.NUMBER_TAKEN, f"Item {number} exists in Business Central under another name."
        )

    return Write("create", number, body, send, look, {}, plan.decision.rule)
