"""Ingest orders: each qualifying Order becomes exactly one BC sales order."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ml_connector.business_central.models import (
    Customer,
    Item,
    SalesInvoice,
    SalesOrder,
    SalesShipment,
)
from ml_connector.business_central.models import parse as parse_bc
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import (
    Create,
    Exclude,
    Link,
    Need,
    Park,
    Unchanged,
    Wait,
)
from ml_connector.domain.identifiers import Kind, State, folded, same_id
from ml_connector.errors import TransientError
from ml_connector.exchange.chains import Chain, read_chains
from ml_connector.exchange.collect import content_digest, due_keys, shown_fields
from ml_connector.exchange.customers import poll_orders, read_customers
from ml_connector.exchange.decided import Decided, store_decided
from ml_connector.exchange.order_filter import qualifying_order_condition
from ml_connector.exchange.outcome import Outcome, Planned, Prepared
from ml_connector.exchange.planned import finish_plans, planned_record
from ml_connector.exchange.reading import ids_where, read_orders
from ml_connector.exchange.show import express
from ml_connector.exchange.status import apply_chain, status_fields
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    Write,
    Written,
    claimed,
    enter_decision,
    fresh_record,
    write_once,
)
from ml_connector.ledger.ledger import Intent
from ml_connector.ledger.records import Record
from ml_connector.orders.mapping import order_reference
from ml_connector.orders.planning import (
    FoundDocuments,
    ItemFacts,
    OrderContext,
    plan_adoption,
    plan_order,
)
from ml_connector.orders.totals import compare
from ml_connector.salesforce.models import Order

log = logging.getLogger("ml_connector")


def collect_orders(systems: Systems) -> list[str]:
    """Store changed Orders in the inbox and return the Order ids to decide now."""
    poll_orders(systems)
    return due_keys(systems, "Order", Kind.ORDER)


@dataclass(slots=True)
class _Window:
    """What deciding about one window of Orders needs from both systems."""

    customers: dict[str, Customer] = field(default_factory=dict)
    accounts: dict[str, Record] = field(default_factory=dict)
    products: dict[str, Record] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    conditioned: set[str] | None = None
    found: dict[str, FoundDocuments] = field(default_factory=dict)


def prepare_orders(systems: Systems, keys: Sequence[str]) -> Prepared:
    """Decide about the Orders of *keys*; what needs no BC write is stored at once."""
    up_to = systems.ledger.last_change_id()
    orders, rows = read_orders(systems, keys)
    records = {
        key: systems_record or fresh_record(systems, Kind.ORDER, key)
        for key, systems_record in (
            (key, found.get(key))
            for found in [systems.ledger.records(Kind.ORDER, keys)]
            for key in keys
        )
    }
    window = _read_window(systems, orders, records)
    decided: list[Decided] = []
    plans: list[Planned] = []
    for key in keys:
        record, order = records[key], orders.get(key)
        if order is None:
            decided.append(Decided(record, _deleted(record)))
            continue
        record.salesforce_number = order.order_number or ""
        record.source_stamp = content_digest(rows[key])
        record.shown = shown_fields(rows[key])
        record.facts["account_id"] = order.account_id or ""
        context = _context(systems, order, window)
        if record.bc_id:
            decided.append(_decide_linked(systems, record, order, context))
            continue
        decision = _decide_new(systems, order, context, window)
        if isinstance(decision, Create):
            plans.append(
                Planned(
                    Kind.ORDER,
                    key,
                    record.salesforce_number,
                    decision,
                    order,
                    up_to,
                    rows[key],
                    context=context,
                )
            )
        else:
            decided.append(_adopted_or_kept(systems, record, order, context, decision))
    return Prepared(tuple(plans), store_decided(systems, "Order", decided, up_to))


def _deleted(record: Record) -> Park | Exclude:
    if record.bc_id:
        return Park(
            Cause.DELETED_IN_SALESFORCE,
            f"Order {record.salesforce_number} was deleted in Salesforce; {record.bc_number} stays "
            f"in Business Central.",
        )
    return Exclude(Cause.DELETED, f"Order {record.salesforce_number or record.key} was deleted.")


def _read_window(
    systems: Systems, orders: Mapping[str, Order], records: Mapping[str, Record]
) -> _Window:
    """Read what the decisions need; three look-ups by reference cover all new orders."""
    window = _Window()
    ledger = systems.ledger
    account_ids = {order.account_id for order in orders.values() if order.account_id}
    window.accounts = ledger.records(Kind.CUSTOMER, sorted(account_ids))
    product_ids = {
        line.product2_id
        for order in orders.values()
        for line in order.order_items or ()
        if line.product2_id
    }
    window.products = ledger.records(Kind.ITEM, sorted(product_ids))
    window.customers = read_customers(
        systems, {each.bc_id.lower() for each in window.accounts.values() if each.bc_id}
    )
    window.items = _read_items(
        systems, {each.bc_id.lower() for each in window.products.values() if each.bc_id}
    )
    if systems.policy.orders.qualify != "activated":
        window.conditioned = ids_where(
            systems, "Order", list(orders), qualifying_order_condition(systems)
        )
    references = [
        order_reference(order, systems.policy.orders)
        for key, order in orders.items()
        if not records[key].bc_id and _may_qualify(order, window)
    ]
    window.found = find_documents(systems, references)
    return window


def _may_qualify(order: Order, window: _Window) -> bool:
    if window.conditioned is not None:
        return order.id in window.conditioned
    return order.status_code == "Activated"


def _read_items(systems: Systems, ids: Iterable[str]) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for row in systems.business_central.find_by("items", "id", sorted(ids), quote=False):
        item = parse_bc(Item, row)
        found[item.id] = item
    return found


def find_documents(systems: Systems, references: Sequence[str]) -> dict[str, FoundDocuments]:
    """Return the BC documents that carry each external document number.

    Cost: three look-ups per 50 references: orders, invoices and shipments, since an order that was
    already invoiced is gone.
    """
    bc = systems.business_central
    wanted = sorted(set(references) - {""})
    orders: dict[str, list[SalesOrder]] = defaultdict(list)
    invoices: dict[str, list[SalesInvoice]] = defaultdict(list)
    shipments: dict[str, list[SalesShipment]] = defaultdict(list)
    field_name = "externalDocumentNumber"
    for row in bc.find_by("salesOrders", field_name, wanted, expand="salesOrderLines"):
        orders[folded(row[field_name])].append(parse_bc(SalesOrder, row))
    for row in bc.find_by("salesInvoices", field_name, wanted, expand="salesInvoiceLines"):
        invoices[folded(row[field_name])].append(parse_bc(SalesInvoice, row))
    for row in bc.find_by("salesShipments", field_name, wanted):
        shipments[folded(row[field_name])].append(parse_bc(SalesShipment, row))
    return {
        reference: FoundDocuments(
            orders=tuple(orders[reference]),
            invoices=tuple(invoices[reference]),
            shipments=tuple(shipments[reference]),
        )
        for reference in wanted
        if orders[reference] or invoices[reference] or shipments[reference]
    }
