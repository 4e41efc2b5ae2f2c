"""Bring order, shipment, invoice and payment status back: find what moved, derive, show."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ml_connector.billing.status import OrderChain, account_fields, account_notice, order_status
from ml_connector.business_central.models import Customer, CustomerFinancialDetail, parse
from ml_connector.configuration.fields import incoming, shown_from
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Park
from ml_connector.domain.identifiers import Kind, State, folded
from ml_connector.errors import ConfigurationError
from ml_connector.exchange.again import again_when_stale
from ml_connector.exchange.chains import Chain, documents_of, read_chains
from ml_connector.exchange.collect import (
    mark_changed,
    mark_versions,
    poll_bc,
    row_stamp,
)
from ml_connector.exchange.expressed import express, forget_unmapped
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import audit_decision, enter_decision, label
from ml_connector.ledger.records import Document, Record

log = logging.getLogger("ml_connector")

_THROUGH = (State.WRITTEN, State.UNCHANGED)

BC_NET = "bc_net"
"""Fact of an Order's record: the net total of its sales order as it was last read."""

STATUS_ENTITY = "OrderStatus"
"""Inbox entity of orders whose BC documents moved."""

ACCOUNT_STATUS_ENTITY = "AccountStatus"
"""Inbox entity that says that balances, limits or blocks of accounts moved."""

DOCUMENT_PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "salesInvoices": ("id", "number", "orderId", "orderNumber", "lastModifiedDateTime"),
    "salesCreditMemos": ("id", "number", "invoiceId", "invoiceNumber", "lastModifiedDateTime"),
    "salesShipments": ("id", "number", "orderNumber", "lastModifiedDateTime"),
}
"""What leads from a changed document to its order."""


def collect_affected_orders(systems: Systems) -> list[str]:
    """Find the orders whose status may have moved in BC and return their keys.

    Effect: they are stored in the inbox before any checkpoint moves. Cost: a fixed handful of
    calls, whatever the number of orders: changed documents, all order ids, all open invoices.
    """
    versions: list[tuple[str, str]] = []
    confirmations = []
    rows, confirm = poll_bc(systems, "salesInvoices", DOCUMENT_PROPERTIES["salesInvoices"])
    versions += orders_of_invoices(systems, rows)
    confirmations.append(confirm)
    rows, confirm = poll_bc(systems, "salesCreditMemos", DOCUMENT_PROPERTIES["salesCreditMemos"])
    versions += orders_of_credit_memos(systems, rows)
    confirmations.append(confirm)
    rows, confirm = poll_bc(systems, "salesShipments", DOCUMENT_PROPERTIES["salesShipments"])
    versions += orders_of_shipments(systems, rows)
    confirmations.append(confirm)
    mark_versions(systems, STATUS_ENTITY, versions, "documents")
    affected = moved_or_vanished(systems)
    affected |= open_amount_moved(systems)
    affected |= overdue_now(systems)
    mark_changed(systems, STATUS_ENTITY, sorted(affected), "business_central")
    for confirm in confirmations:
        confirm()
    return orders_with_news(systems)


def orders_with_news(systems: Systems) -> list[str]:
    """Return the keys of the orders in the inbox, the longest waiting first."""
    return systems.ledger.pending_ids("salesforce", STATUS_ENTITY)


def accounts_are_due(systems: Systems) -> bool:
    """Tell whether something told that balances, limits or blocks moved."""
    return bool(systems.ledger.pending_ids("salesforce", ACCOUNT_STATUS_ENTITY))


def _version(row: Mapping[str, Any]) -> str:
    return f"{str(row['id']).lower()}:{row_stamp(row)}"


def _is_known(document: Document | None, row: Mapping[str, Any]) -> bool:
    """Tell whether the status was derived from this very version of the document already."""
    return document is not None and document.stamp == row_stamp(row)


def orders_of_invoices(
    systems: Systems, rows: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Return (order key, version of the invoice) for each row with news for an order of ours."""
    by_id = systems.ledger.records_by_bc_id(
        Kind.ORDER, [str(row.get("orderId") or "").lower() for row in rows]
    )
    by_number = systems.ledger.records_by_bc_number(
        Kind.ORDER, [folded(row.get("orderNumber")) for row in rows]
    )
    known = systems.ledger.document_by_bc_id([str(row["id"]).lower() for row in rows])
    versions: list[tuple[str, str]] = []
    for row in rows:
        document = known.get(str(row["id"]).lower())
        if _is_known(document, row):
            continue
        orders = [
            *by_id.get(str(row.get("orderId") or "").lower(), ()),
            *by_number.get(folded(row.get("orderNumber")), ()),
        ]
        keys = {order.key for order in orders} | ({document.order_key} if document else set())
        versions += [(key, _version(row)) for key in sorted(keys)]
    return versions


def orders_of_credit_memos(
    systems: Systems, rows: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Return (order key, version of the memo) for each row with news for an order of ours."""
    ids = [str(row.get("invoiceId") or "").lower() for row in rows]
    ids += [str(row["id"]).lower() for row in rows]
    known = systems.ledger.document_by_bc_id([each for each in ids if each])
    numbers = [str(row.get("invoiceNumber") or "") for row in rows]
    by_number = systems.ledger.documents_by_number([each for each in numbers if each])
    versions: list[tuple[str, str]] = []
    for row in rows:
        memo = known.get(str(row["id"]).lower())
        if _is_known(memo, row):
            continue
        invoice = known.get(str(row.get("invoiceId") or "").lower())
        documents = [*by_number.get(str(row.get("invoiceNumber") or ""), ())]
        documents += [each for each in (memo, invoice) if each is not None]
        keys = {document.order_key for document in documents}
        versions += [(key, _version(row)) for key in sorted(keys)]
    return versions


def orders_of_shipments(
    systems: Systems, rows: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Return (order key, version of the shipment) for each shipment of an order of ours."""
    by_number = systems.ledger.records_by_bc_number(
        Kind.ORDER, [folded(row.get("orderNumber")) for row in rows]
    )
    return [
        (order.key, _version(row))
        for row in rows
        for order in by_number.get(folded(row.get("orderNumber")), ())
    ]


def moved_or_vanished(systems: Systems) -> set[str]:
    """Return linked orders whose BC row has another stamp than last seen, or is gone.

    One that never showed a field mapped since then counts as moved.
    """
    mapped = shown_from(systems.policy.fields, "salesOrders")
    stamps = {
        str(row["id"]).lower(): row_stamp(row)
        for row in systems.business_central.rows(
            "salesOrders", select=("id", "lastModifiedDateTime")
        )
    }
    affected: set[str] = set()
    for page in systems.ledger.iterate(kind=Kind.ORDER, linked=True, settled=False):
        for record in page:
            stamp = stamps.get(record.bc_id.lower())
            if stamp is None:
                if not record.facts.get("gone"):
                    affected.add(record.key)
            elif stamp != record.bc_stamp or not mapped <= record.wanted.keys():
                affected.add(record.key)
    return affected


def open_amount_moved(systems: Systems) -> set[str]:
    """Sweep the open invoices: a partial payment moves nothing but the remaining amount."""
    affected: set[str] = set()
    for page in systems.business_central.pages(
        "salesInvoices", filter="status eq 'Open'", select=("id", "remainingAmount", "dueDate")
    ):
        known = systems.ledger.document_by_bc_id([str(row["id"]).lower() for row in page])
        for row in page:
            document = known.get(str(row["id"]).lower())
            if document is not None and _moved(document, row):
                affected.add(document.order_key)
    return affected


def _moved(document: Document, row: Mapping[str, Any]) -> bool:
    due = str(document.due_date) if document.due_date else "0001-01-01"
    return bool(row["remainingAmount"] != document.remaining) or str(row["dueDate"]) != due


def overdue_now(systems: Systems) -> set[str]:
    """Return orders with an open invoice past due that Salesforce does not show as overdue."""
    late: set[str] = set()
    for page in systems.ledger.documents_due_before(systems.today()):
        keys = sorted({document.order_key for document in page})
        late |= {
            key
            for key, record in systems.ledger.records(Kind.ORDER, keys).items()
            if record.wanted.get("BC_Payment_Status__c") not in ("Overdue", "Credited")
        }
    return late


def prepare_status(systems: Systems, keys: Sequence[str]) -> int:
    """Read the chains of *keys* and store what Salesforce should show; returns how many differ.

    Effect: ledger only; `show` sends the differences.
    """
    return again_when_stale(partial(_derive, systems, keys))


def _derive(systems: Systems, keys: Sequence[str]) -> int:
    up_to = systems.ledger.last_change_id()
    records = systems.ledger.records(Kind.ORDER, keys)
    linked = [record for record in records.values() if record.bc_id]
    chains = read_chains(systems, linked)
    differing = 0
    with systems.ledger.transaction() as tx:
        for record in linked:
            chain = chains[record.key]
            flagged = _flag_deleted(systems, record, chain)
            apply_chain(systems, record, chain)
            tx.save(record)
            if flagged:
                audit_decision(tx, systems, record)
            tx.save_documents(documents_of(record.key, chain))
            differing += record.show_pending
        tx.finish_changes("salesforce", STATUS_ENTITY, list(keys), up_to_id=up_to)
    return differing


def _flag_deleted(systems: Systems, record: Record, chain: Chain) -> bool:
    """Park an order that vanished from BC without ever being invoiced; tells whether it did."""
    if chain.order is not None or chain.posted or record.state not in _THROUGH:
        return False
    message = (
        f"{label(record)}: sales order {record.bc_number} was deleted in BC without being invoiced."
    )
    enter_decision(systems, record, Park(Cause.DELETED_IN_BC, message))
    return True


def apply_chain(systems: Systems, record: Record, chain: Chain) -> None:
    """Derive the status fields of *record* from *chain*; changes the record in memory only."""
    forget_unmapped(record, systems.policy.fields, "salesOrders")
    record.wanted.update(status_fields(systems, record, chain))
    order = chain.order
    record.facts["gone"] = order is None
    if order is not None:
        record.wanted.update(incoming(systems.policy.fields, "salesOrders", order))
        changed = order.last_modified_date_time
        record.bc_stamp = changed.isoformat() if changed else ""
        record.bc_number = order.number or record.bc_number
        record.facts[BC_NET] = order.total_amount_excluding_tax
    open_left = any(
        invoice.id in chain.posted and invoice.remaining_amount != 0 for invoice in chain.invoices
    )
    drafts = any(invoice.id not in chain.posted for invoice in chain.invoices)
    record.settled = order is None and not open_left and not drafts
    express(record)


def status_fields(systems: Systems, record: Record, chain: Chain) -> dict[str, Any]:
    """Return the status fields of an order with its BC documents as *chain*."""
    return order_status(
        OrderChain(
            order=chain.order,
            invoices=tuple(chain.invoices),
            posted=frozenset(chain.posted),
            credit_memos=tuple(chain.credit_memos),
            handed_over=bool(record.bc_id),
            parked=record.state is State.PARKED,
            total_differs=record.cause == Cause.TOTAL_DIFFERS,
            net=record.facts.get(BC_NET, record.facts.get("net")),
        ),
        systems.today(),
    )


def account_status(systems: Systems) -> int:
    """Derive balance, overdue, credit limit and blocked of every linked Account.

    Balances are computed in BC and send no signal, so they are read in full: two calls per 20,000
    customers, one when only mapped fields are shown. An Account whose customer is not among them is
    put into the inbox, to be decided on again. Returns how many Accounts differ from what
    Salesforce shows.
    """
    up_to = systems.ledger.last_change_id()
    is_shown = systems.policy.status.accounts or shown_from(systems.policy.fields, "customers")
    differing = _derive_all_accounts(systems) if is_shown else 0
    due = systems.ledger.pending_ids("salesforce", ACCOUNT_STATUS_ENTITY)
    if due:
        with systems.ledger.transaction() as tx:
            tx.finish_changes("salesforce", ACCOUNT_STATUS_ENTITY, due, up_to_id=up_to)
    return differing


def _derive_all_accounts(systems: Systems) -> int:
    linked = {
        record.bc_id.lower()
        for page in systems.ledger.iterate(kind=Kind.CUSTOMER, linked=True)
        for record in page
    }
    if not linked:
        return 0
    details: dict[str, CustomerFinancialDetail] = {}
    for row in _financial_rows(systems):
        if str(row["id"]).lower() in linked:
            details[str(row["id"]).lower()] = parse(CustomerFinancialDetail, row)
    customers: dict[str, Customer] = {}
    for row in systems.business_central.rows(
        "customers",
        select=_account_properties(systems),
    ):
        if str(row["id"]).lower() in linked:
            customers[str(row["id"]).lower()] = parse(Customer, row)
    differing = 0
    for page in systems.ledger.iterate(kind=Kind.CUSTOMER, linked=True):
        keys = [record.key for record in page]
        derive = partial(_derive_accounts, systems, keys, customers, details)
        differing += again_when_stale(derive)
    return differing


def _financial_rows(systems: Systems) -> Iterator[dict[str, Any]]:
    """Yield what customers owe; where there is no flat set of it, through the customers."""
    if not systems.policy.status.accounts:
        return
    bc = systems.business_central
    try:
        yield from bc.rows(
            "customerFinancialDetails", select=("id", "number", "balance", "overdueAmount")
        )
    except ConfigurationError as fault:
        if fault.code != "unknown_entity_set":
            raise
        for row in bc.rows("customers", select=("id",), expand="customerFinancialDetail"):
            if row.get("customerFinancialDetail"):
                yield {**row["customerFinancialDetail"], "id": row["id"]}


def _derive_accounts(
    systems: Systems,
    keys: Sequence[str],
    customers: Mapping[str, Customer],
    details: Mapping[str, CustomerFinancialDetail],
) -> int:
    records = systems.ledger.records(Kind.CUSTOMER, keys).values()
    moved = [each for each in records if _apply_account(systems, each, customers, details)]
    settled = (State.WRITTEN, State.UNCHANGED)
    gone = [
        each.key
        for each in records
        if each.bc_id.lower() not in customers and each.state in settled
    ]
    with systems.ledger.transaction() as tx:
        tx.save_all(moved)
        mark_changed(systems, "Account", gone, "customers")
    return len(moved)


def _account_properties(systems: Systems) -> tuple[str, ...]:
    mapped = [
        mapping.property_name
        for mapping in systems.policy.fields
        if mapping.owner == "business_central" and mapping.entity_set == "customers"
    ]
    known = ("id", "number", "displayName", "blocked", "creditLimit", "currencyCode")
    return tuple(dict.fromkeys([*known, *mapped]))


def _apply_account(
    systems: Systems,
    record: Record,
    customers: Mapping[str, Customer],
    details: Mapping[str, CustomerFinancialDetail],
) -> bool:
    """Set the Account fields of one record; returns whether it has to be saved."""
    customer, detail = customers.get(record.bc_id.lower()), details.get(record.bc_id.lower())
    with_amounts = systems.policy.status.accounts
    if customer is None or (with_amounts and detail is None):
        return False
    before = dict(record.wanted)
    forget_unmapped(record, systems.policy.fields, "customers")
    record.bc_number = customer.number or record.bc_number
    if with_amounts:
        currency = str(record.facts.get("currency") or systems.org_currency())
        record.wanted.update(account_fields(customer, detail, currency, systems.local_currency))
        record.facts["notice"] = account_notice(currency, systems.local_currency)
    record.wanted.update(incoming(systems.policy.fields, "customers", customer))
    express(record)
    return record.wanted != before
