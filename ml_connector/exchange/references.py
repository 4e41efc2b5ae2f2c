"""Look BC's documents up by their external document number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ml_connector.business_central.models import SalesInvoice, SalesOrder, SalesShipment
from ml_connector.business_central.models import parse as parse_bc
from ml_connector.domain.identifiers import Kind, folded
from ml_connector.exchange.systems import Systems
from ml_connector.orders.planning import FoundDocuments


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


def not_of_others(
    systems: Systems, key: str, found: FoundDocuments, adopted: Mapping[str, str]
) -> FoundDocuments:
    """Leave out the documents of other Orders: a customer's PO number may stand on several.

    *adopted* are the documents that Orders of this window take just now: BC id → key.
    """
    ids = [order.id for order in found.orders]
    ids += [invoice.order_id for invoice in found.invoices if invoice.order_id]
    linked = systems.ledger.records_by_bc_id(Kind.ORDER, ids)
    others = [each for group in linked.values() for each in group if each.key != key]
    theirs = {record.bc_id for record in others} | {
        bc_id for bc_id, by in adopted.items() if by != key
    }
    if not theirs:
        return found
    numbers = {folded(record.bc_number) for record in others}
    numbers |= {folded(each.number) for each in found.orders if each.id in theirs}
    return FoundDocuments(
        orders=tuple(each for each in found.orders if each.id not in theirs),
        invoices=tuple(
            each
            for each in found.invoices
            if each.order_id not in theirs
            and (each.order_id or folded(each.order_number) not in numbers)
        ),
        shipments=tuple(
            each for each in found.shipments if folded(each.order_number) not in numbers
        ),
    )
