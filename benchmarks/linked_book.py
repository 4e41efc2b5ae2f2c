"""A linked book of any size, made in bulk: both systems and the ledger as a hand-over leaves them.

Handing a hundred thousand records over one by one takes an hour; here the sandbox loads what the
connector's own mapping says BC would hold, the ledger is given its records through its own
interface, and only what Salesforce shows is written as in a real run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from measured_sandbox import MeasuredSandbox

from ml_connector.business_central.models import Customer, Item, SalesInvoice, SalesOrder
from ml_connector.business_central.models import parse as parse_bc
from ml_connector.customers.mapping import (
    CustomerContext,
    contact_body,
    contact_number,
    customer_body,
    customer_number,
    person_name,
)
from ml_connector.domain.identifiers import Kind, State, eighteen, folded
from ml_connector.exchange.chains import Chain, documents_of
from ml_connector.exchange.company_copy import salesforce_pages
from ml_connector.exchange.expressed import express
from ml_connector.exchange.reading import fields_of
from ml_connector.exchange.show import show
from ml_connector.exchange.status import account_status, apply_chain
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record
from ml_connector.orders.mapping import ItemFacts, OrderContext, agreed, order_body, order_reference
from ml_connector.orders.totals import net_total
from ml_connector.salesforce.models import (
    Account,
    Contact,
    Order,
    OrderItem,
    Product2,
    SObject,
    parse,
)
from ml_connector.sandbox.seed import build

Row = dict[str, Any]

RECORDS_PER_COMMIT = 2_000
INVOICED_OF_TEN = 3
"""So many orders of ten are shipped and invoiced: their sales orders are gone."""

_LOADED = ("Product2", "PricebookEntry", "Account", "Contact", "Order", "OrderItem")


def make_book(sandbox: MeasuredSandbox, systems: Systems, pairs: int, lines: int) -> None:
    """Fill the empty *sandbox* and the ledger of *systems* with about *pairs* linked pairs.

    Half of them are orders, a fifth customers; the rest are contacts and items.
    """
    org, company = build(
        1, pairs // 5, max(20, pairs // 50), pairs * 6 // 10, plain=True, lines=lines
    )
    for entity, rows in org:
        if entity in _LOADED:
            sandbox.load("salesforce", entity, rows)
    for entity, rows in company:
        if entity == "items":
            sandbox.load("business-central", entity, rows)
    del org, company
    items = _link_items(systems)
    customers = _link_customers(sandbox, systems)
    _link_contacts(sandbox, systems)
    _link_orders(sandbox, systems, customers, items)
    account_status(systems)
    for kind in (Kind.ITEM, Kind.CUSTOMER, Kind.CONTACT, Kind.ORDER):
        show(systems, kind)


def _models(systems: Systems, model: type[SObject]) -> Iterator[Any]:
    for page in salesforce_pages(systems, model.__name__, fields_of(systems, model)):
        for row in page:
            yield parse(model, row)


def _record(systems: Systems, kind: Kind, key: str, number: str) -> Record:
    now = systems.clock.now()
    record = Record.first_seen(kind, eighteen(key), now=now)
    record.salesforce_number = number
    record.enter(State.UNCHANGED, now=now)
    record.shown = {}
    return record


def _store(systems: Systems, records: Iterable[Record]) -> None:
    waiting: list[Record] = []

    def commit() -> None:
        with systems.ledger.transaction() as tx:
            tx.save_all(waiting)
        waiting.clear()

    for record in records:
        express(record)
        waiting.append(record)
        if len(waiting) >= RECORDS_PER_COMMIT:
            commit()
    commit()


def _link_items(systems: Systems) -> dict[str, ItemFacts]:
    by_number = {
        folded(row["number"]): parse_bc(Item, row) for row in systems.business_central.rows("items")
    }
    facts: dict[str, ItemFacts] = {}

    def records() -> Iterator[Record]:
        for product in _models(systems, Product2):
            item = by_number[folded(product.product_code)]
            record = _record(systems, Kind.ITEM, product.id, product.product_code)
            record.bc_id, record.bc_number = item.id, item.number
            facts[eighteen(product.id)] = ItemFacts(
                item.id, item.number, False, item.base_unit_of_measure_code, ""
            )
            yield record

    _store(systems, records())
    return facts


def _customer_context(systems: Systems) -> CustomerContext:
    return CustomerContext(systems.countries(), systems.currencies(), systems.local_currency)


def _link_customers(sandbox: MeasuredSandbox, systems: Systems) -> dict[str, Customer]:
    """Give every Account that buys its customer; returns the customers by Account."""
    policy, context = systems.policy.customers, _customer_context(systems)
    accounts: dict[str, tuple[Account, Row]] = {}
    for account in _models(systems, Account):
        body = customer_body(account, context, policy)
        if account.type != "Prospect" and not body.problems:
            number = customer_number(account, policy)
            row = {"id": str(uuid5(NAMESPACE_URL, number)), "number": number, **body.body}
            accounts[account.id] = (account, row)
    sandbox.load("business-central", "customers", [row for _, row in accounts.values()])
    stored = {
        row["number"]: parse_bc(Customer, row) for row in systems.business_central.rows("customers")
    }
    customers = {key: stored[folded(row["number"])] for key, (_, row) in accounts.items()}
    company_contacts = {
        row["_customer"]: row["number"]
        for row in sandbox.rows("business-central", "contacts")
        if row["type"] == "Company" and row["_customer"]
    }

    def records() -> Iterator[Record]:
        for key, (account, _) in accounts.items():
            customer = customers[key]
            record = _record(
                systems, Kind.CUSTOMER, key, account.account_number or account.name or ""
            )
            record.bc_id, record.bc_number = customer.id, customer.number
            record.sent = customer_body(account, context, policy).body
            record.facts["currency"] = account.currency_iso_code or ""
            record.facts["company_contact"] = company_contacts[customer.id]
            yield record

    _store(systems, records())
    return customers


def _link_contacts(sandbox: MeasuredSandbox, systems: Systems) -> None:
    policy, context = systems.policy.customers, _customer_context(systems)
    linked = {
        record.key: record
        for page in systems.ledger.iterate(kind=Kind.CUSTOMER, linked=True)
        for record in page
    }
    contacts: dict[str, tuple[Contact, Row]] = {}
    for contact in _models(systems, Contact):
        account = linked.get(contact.account_id or "")
        if account is None:
            continue
        body = contact_body(contact, account.facts["company_contact"], context, policy)
        contacts[contact.id] = (contact, body.body)
    rows = [
        {
            **{name: value for name, value in body.items() if name != "companyNumber"},
            "number": contact_number(contact),
            "companyOfCustomer": linked[contact.account_id or ""].bc_number,
        }
        for contact, body in contacts.values()
    ]
    sandbox.load("business-central", "contacts", rows)
    stored = {
        row["number"]: row["id"]
        for row in systems.business_central.rows("contacts", select=("id", "number"))
    }

    def records() -> Iterator[Record]:
        for key, (contact, body) in contacts.items():
            record = _record(systems, Kind.CONTACT, key, person_name(contact))
            record.bc_number = contact_number(contact)
            record.bc_id = str(stored[record.bc_number]).lower()
            record.sent = body
            record.facts["account_id"] = contact.account_id or ""
            yield record

    _store(systems, records())


def _orders(systems: Systems) -> Iterator[Order]:
    """Yield the activated Orders with their lines."""
    lines: dict[str, list[Row]] = defaultdict(list)
    for page in salesforce_pages(systems, "OrderItem", fields_of(systems, OrderItem)):
        for row in page:
            lines[eighteen(row["OrderId"])].append(row)
    for page in salesforce_pages(systems, "Order", fields_of(systems, Order)):
        for row in page:
            if row["StatusCode"] == "Activated":
                yield parse(Order, {**row, "OrderItems": lines[eighteen(row["Id"])]})


def _link_orders(
    sandbox: MeasuredSandbox,
    systems: Systems,
    customers: Mapping[str, Customer],
    items: Mapping[str, ItemFacts],
) -> None:
    policy = systems.policy.orders

    def context_of(order: Order) -> OrderContext:
        return OrderContext(
            customer=customers[order.account_id or ""],
            customer_need=None,
            items={line.product2_id or "": items[line.product2_id or ""]
                   for line in order.order_items or ()},
            currencies=systems.currencies(),
            local_currency=systems.local_currency,
            org_currency=systems.org_currency(),
            units=systems.units(),
            countries=systems.countries(),
        )  # fmt: skip

    orders = [order for order in _orders(systems) if order.account_id in customers]
    sandbox.load(
        "business-central",
        "salesOrders",
        (
            {
                **order_body(order, context_of(order), policy),
                "invoiced": place % 10 < INVOICED_OF_TEN,
            }
            for place, order in enumerate(orders)
        ),
    )
    chains: dict[str, Chain] = defaultdict(Chain)
    for row in systems.business_central.rows("salesOrders", expand="salesOrderLines"):
        chains[row["externalDocumentNumber"]].order = parse_bc(SalesOrder, row)
    for row in systems.business_central.rows("salesInvoices"):
        invoice = parse_bc(SalesInvoice, row)
        chain = chains[invoice.external_document_number]
        chain.invoices.append(invoice)
        chain.posted.add(invoice.id)

    def records() -> Iterator[Record]:
        for start in range(0, len(orders), RECORDS_PER_COMMIT):
            part = orders[start : start + RECORDS_PER_COMMIT]
            made = [_order_record(systems, each, context_of(each), chains) for each in part]
            with systems.ledger.transaction() as tx:
                for record, chain in made:
                    tx.save_documents(documents_of(record.key, chain))
            yield from (record for record, _ in made)

    _store(systems, records())


def _order_record(
    systems: Systems, order: Order, context: OrderContext, chains: Mapping[str, Chain]
) -> tuple[Record, Chain]:
    policy = systems.policy.orders
    reference = order_reference(order, policy)
    chain = chains[reference]
    record = _record(systems, Kind.ORDER, order.id, order.order_number or "")
    if chain.order is not None:
        record.bc_id, record.bc_number = chain.order.id, chain.order.number
    else:
        record.bc_id, record.bc_number = chain.invoices[0].order_id, chain.invoices[0].order_number
    record.reference = reference
    record.sent = agreed(order, context, policy)
    record.facts.update(
        account_id=order.account_id or "",
        customer_id=context.customer.id if context.customer else "",
        reference=reference,
        currency=order.currency_iso_code or "",
        net=net_total(order),
    )
    apply_chain(systems, record, chain)
    return record, chain
