"""Find the sales orders again that Orders have in BC although the ledger does not know the link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ml_connector.business_central.models import SalesOrder, parse
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Park
from ml_connector.domain.identifiers import Kind, folded
from ml_connector.domain.money import total
from ml_connector.exchange.chains import read_chains
from ml_connector.exchange.collect import mark_changed
from ml_connector.exchange.expressed import express
from ml_connector.exchange.lost_answers import settle_lost_writes
from ml_connector.exchange.order_removal import OPERATION, REMOVED, forget_partner, is_removed
from ml_connector.exchange.references import find_documents, not_of_others
from ml_connector.exchange.status import STATUS_ENTITY
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import Written
from ml_connector.ledger.records import Intent, Record
from ml_connector.orders.adoption import FoundDocuments, plan_recovery
from ml_connector.orders.changes import came_through
from ml_connector.orders.mapping import LINES, described
from ml_connector.salesforce.models import Order


def relink(
    systems: Systems, orders: Mapping[str, Order], records: Mapping[str, Record]
) -> frozenset[str]:
    """Link the records that the ledger lost by the External Id their Order still shows.

    Effect: in memory; the decision that follows stores it. Returns the keys whose sales order BC
    does not have any more, nor an invoice of it: these must not be written a second time.
    Cost: nothing while the ledger knows every link.
    """
    lost: list[Record] = []
    for key, order in orders.items():
        record = records[key]
        removed = record.facts.get(REMOVED)
        if not record.bc_id and order.bc_order_id and order.bc_order_id.lower() != removed:
            record.bc_id = order.bc_order_id.lower()
            record.bc_number = str(order.value("BC_Order_Number__c") or "")
            lost.append(record)
    if not lost:
        return frozenset()
    chains = read_chains(systems, lost)
    missing: set[str] = set()
    for record in lost:
        chain = chains[record.key]
        if chain.order is None and not chain.invoices:
            record.bc_id = record.bc_number = ""
            missing.add(record.key)
        else:
            mark_changed(systems, STATUS_ENTITY, [record.key], "relinked")
    return frozenset(missing)


def partner_is_gone(order: Order) -> Park:
    """Return the decision about an Order that shows the id of a sales order BC does not have."""
    return Park(
        Cause.DELETED_IN_BC,
        f"{described(order)} carries the BC id {order.bc_order_id}, but BC has neither this sales "
        "order nor an invoice of it.",
    )


def settle_lost_orders(systems: Systems, keys: Sequence[str]) -> None:
    """Link or rebase the Orders whose sales order was written although the answer was lost."""

    def look(intent: Intent, target: Mapping[str, Any] | None) -> Written | None:
        if intent.operation == "create":
            return _created(systems, intent)
        if intent.operation == OPERATION:
            record = systems.ledger.record(Kind.ORDER, intent.key)
            gone = record is not None and record.bc_id and is_removed(systems, record)
            return Written(record.bc_id, record.bc_number, None) if record and gone else None
        row = systems.business_central.fetch(
            "salesOrders", intent.natural_key, expand="salesOrderLines"
        )
        bc_order = parse(SalesOrder, row)
        done = came_through(intent.payload, target or {}, bc_order)
        return Written(bc_order.id, bc_order.number, bc_order) if done else None

    def complete(record: Record, intent: Intent) -> None:
        if intent.operation == "create":
            record.facts.update(_facts(intent.payload))
            record.reference = str(record.facts["reference"])
        if intent.operation == OPERATION:
            forget_partner(systems, record)
            return
        mark_changed(systems, STATUS_ENTITY, [record.key], "answer_was_lost")
        express(record)

    settle_lost_writes(systems, Kind.ORDER, keys, look, complete)


def _created(systems: Systems, intent: Intent) -> Written | None:
    reference = folded(intent.natural_key)
    found = find_documents(systems, [reference]).get(reference, FoundDocuments())
    found = not_of_others(systems, intent.key, found, {})
    link = plan_recovery(intent.payload, found)
    return Written(link.bc_id, link.bc_number, None) if link is not None else None


def _facts(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what later steps need to know of the sales order that was written."""
    return {
        "customer_id": body["customerId"],
        "reference": body["externalDocumentNumber"],
        "currency": body["currencyCode"],
        "net": total(
            Decimal(str(line["quantity"])) * Decimal(str(line["unitPrice"]))
            for line in body.get(LINES, ())
        ),
    }
