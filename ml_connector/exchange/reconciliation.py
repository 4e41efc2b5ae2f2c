"""Prove that both sides agree: read them fresh, compare every pair, heal what is ours.

Both sides are copied in bulk and compared window by window. What seems to differ is read again,
record by record, before it is reported, since somebody may have worked while the copy was made.
What the connector should have written is written; what a person decided is reported.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ml_connector.business_central.models import (
    SalesInvoice,
    SalesOrder,
)
from ml_connector.business_central.models import parse as parse_bc
from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import Kind, folded
from ml_connector.errors import TransientError
from ml_connector.exchange.audit_report import apply_retention
from ml_connector.exchange.chains import Chain, DocumentSource, documents_of, read_chains
from ml_connector.exchange.collect import mark_changed, shown_fields
from ml_connector.exchange.company_copy import CompanyCopy
from ml_connector.exchange.expressed import TARGETS, express
from ml_connector.exchange.findings import Finding, Reconciliation, Side, Sums, finding
from ml_connector.exchange.order_comparison import (
    Examined,
    examine_order,
)
from ml_connector.exchange.order_filter import qualifying_order_condition
from ml_connector.exchange.partner_comparison import (
    WINDOW,
    compare_partners,
    fields_to_compare,
    gone_in_salesforce,
    partner_kinds,
)
from ml_connector.exchange.partner_content import ENTITY_SETS, note_partner, read_page
from ml_connector.exchange.reading import SOBJECTS, ids_where, read_orders, read_rows
from ml_connector.exchange.show import show
from ml_connector.exchange.status import apply_chain
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import Direction, audit, claimed
from ml_connector.ledger.records import AuditEntry, Record
from ml_connector.orders.mapping import order_reference
from ml_connector.orders.planning import FoundDocuments
from ml_connector.salesforce.models import Order, parse

log = logging.getLogger("ml_connector")

_URGENCY: Mapping[Side, int] = {Side.THEIRS: 0, Side.OURS: 1, Side.EXCLUDED: 2}

_ORDER_FIELDS = (
    "Id", "OrderNumber", "AccountId", "Status", "StatusCode", "TotalAmount", "SystemModstamp",
    "CurrencyIsoCode", "IsReductionOrder", "PoNumber",
)  # fmt: skip
_LINE_FIELDS = (
    "Id", "OrderId", "OrderItemNumber", "Product2Id", "Quantity", "UnitPrice", "TotalPrice",
    "SystemModstamp",
)  # fmt: skip


def reconcile(systems: Systems, *, heal: bool = True) -> Reconciliation:
    """Compare both sides as they are now and return every difference.

    Effect: with *heal*, Salesforce is made to show what BC says, and records whose change was
    missed go into the inbox. An audit entry tells what was found; what the policy does not keep
    longer is erased. Cost: some dozen calls for a hundred thousand pairs, and a few per pair that
    differs.
    """
    report = Reconciliation(
        systems.settings.name, systems.run.flow_run_id, started_at=systems.clock.now()
    )
    with CompanyCopy(systems) as copy:
        _read(systems, copy)
        compare_partners(systems, copy, report)
        suspects = _compare_orders(systems, copy, report)
        _compare_links(systems, copy, report)
    _confirm(systems, suspects, report)
    report.findings.sort(key=lambda each: (_URGENCY[each.side], each.kind, each.salesforce_number))
    if heal:
        _heal(systems, report)
    report.ended_at = systems.clock.now()
    _keep_evidence(systems, report)
    apply_retention(systems)
    return report


# reading


def _read(systems: Systems, copy: CompanyCopy) -> None:
    """Copy both sides, Salesforce first: what BC gets meanwhile is looked at again anyway."""
    kinds = partner_kinds(systems)
    for kind in kinds:
        copy.read_salesforce(SOBJECTS[kind].__name__, fields_to_compare(systems, kind))
    copy.read_salesforce("Order", _order_fields(systems))
    copy.read_salesforce("OrderItem", _LINE_FIELDS)
    for kind in kinds:
        copy.read_central(ENTITY_SETS[kind], _mapped(systems, kind))
    if systems.policy.status.accounts:
        copy.read_central("customerFinancialDetails")
    for entity_set in ("salesOrders", "salesInvoices", "salesCreditMemos"):
        copy.read_central(entity_set)
    copy.finish_reading()
    for kind in (*kinds, Kind.ORDER):
        for page in systems.ledger.iterate(kind=kind, linked=True, page_size=WINDOW):
            copy.note_links(
                kind, [(each.bc_id, each.key, each.salesforce_number or each.key) for each in page]
            )


def _mapped(systems: Systems, kind: Kind) -> list[str]:
    return [
        mapping.property_name
        for mapping in systems.policy.fields
        if mapping.entity_set == ENTITY_SETS[kind]
    ]


def _order_fields(systems: Systems) -> list[str]:
    """Return the fields of Order that the comparison needs."""
    describe = systems.salesforce.describe("Order")
    mapped = [each.field for each in systems.policy.fields if each.sobject == "Order"]
    shown = [name for name in describe.fields if name.startswith("BC_")]
    names = dict.fromkeys([*_ORDER_FIELDS, *shown, *mapped])
    return [name for name in names if describe.has(name)]


# orders


def _compare_orders(systems: Systems, copy: CompanyCopy, report: Reconciliation) -> list[str]:
    """Compare every Order; returns the keys of those that seem to differ, not yet counted."""
    suspects: list[str] = []
    for page in systems.ledger.iterate(kind=Kind.ORDER, page_size=WINDOW):
        known = {record.key: record for record in page}
        rows = copy.salesforce_rows("Order", list(known))
        suspects += [key for key, record in known.items() if key not in rows and record.bc_id]
        suspects += _compare_window(systems, copy, known, rows, report)
    for rows in copy.unseen_rows("Order"):
        suspects += _compare_window(systems, copy, {}, rows, report)
    return suspects


def _compare_window(
    systems: Systems,
    copy: CompanyCopy,
    known: Mapping[str, Record],
    rows: Mapping[str, dict[str, Any]],
    report: Reconciliation,
) -> list[str]:
    lines = copy.order_items(list(rows))
    orders = {key: parse(Order, {**row, "OrderItems": lines[key]}) for key, row in rows.items()}
    suspects = []
    for each in _examine(systems, known, orders, rows, copy):
        if each.differs:
            suspects.append(each.key)
        else:
            _add(report, each)
    return suspects


def _examine(
    systems: Systems,
    known: Mapping[str, Record],
    orders: Mapping[str, Order],
    rows: Mapping[str, Mapping[str, Any]],
    source: DocumentSource,
) -> list[Examined]:
    """Compare the orders of one window with their documents in *source*."""
    linked = [known[key] for key in orders if key in known and known[key].bc_id]
    chains = read_chains(systems, linked, source)
    twins = _twins(systems, [orders[record.key] for record in linked], source)
    products = {
        line.product2_id
        for record in linked
        for line in orders[record.key].order_items or ()
        if line.product2_id
    }
    items = {
        key: record.bc_id
        for key, record in systems.ledger.records(Kind.ITEM, sorted(products)).items()
        if record.bc_id
    }
    conditioned = (
        ids_where(systems, "Order", list(orders), qualifying_order_condition(systems))
        if systems.policy.orders.condition
        else set()
    )
    return [
        examine_order(
            systems,
            known.get(key),
            order,
            rows[key],
            chains.get(key, Chain()),
            twins.get(order_reference(order, systems.policy.orders), FoundDocuments()),
            items=items,
            matches_condition=key in conditioned,
        )
        for key, order in orders.items()
    ]


def _twins(
    systems: Systems, orders: Sequence[Order], source: DocumentSource
) -> dict[str, FoundDocuments]:
    """Return the documents that carry each Order's reference."""
    wanted = sorted({order_reference(order, systems.policy.orders) for order in orders} - {""})
    found: dict[str, tuple[list[SalesOrder], list[SalesInvoice]]] = defaultdict(lambda: ([], []))
    for row in source.find_by("salesOrders", "externalDocumentNumber", wanted):
        order = parse_bc(SalesOrder, row)
        found[folded(order.external_document_number)][0].append(order)
    for row in source.find_by("salesInvoices", "externalDocumentNumber", wanted):
        invoice = parse_bc(SalesInvoice, row)
        found[folded(invoice.external_document_number)][1].append(invoice)
    return {
        reference: FoundDocuments(tuple(of_reference), tuple(invoices))
        for reference, (of_reference, invoices) in found.items()
    }


def _confirm(systems: Systems, suspects: Sequence[str], report: Reconciliation) -> None:
    """Read both sides of each suspect again and compare once more; that is what counts."""
    keys = list(dict.fromkeys(suspects))
    for start in range(0, len(keys), 200):
        window = keys[start : start + 200]
        orders, rows = read_orders(systems, window)
        known = systems.ledger.records(Kind.ORDER, window)
        for each in _examine(systems, known, orders, rows, systems.business_central):
            _add(report, each)
        report.add(
            each
            for key in window
            if key not in orders and key in known
            for each in gone_in_salesforce(known[key], f"Order {known[key].salesforce_number}")
        )


def _add(report: Reconciliation, each: Examined) -> None:
    report.add(each.findings)
    report.pairs_by_kind[Kind.ORDER] += each.paired
    if not each.counted:
        return
    amounts = (each.salesforce, each.business_central)
    report.net.setdefault(each.currency, Sums()).add(*amounts)
    report.states.setdefault((each.state, each.currency), Sums()).add(*amounts)
    for name, (shown, derived) in each.billed.items():
        report.billed.setdefault((name, each.currency), Sums()).add(shown, derived)


def _compare_links(systems: Systems, copy: CompanyCopy, report: Reconciliation) -> None:
    """Find one BC record behind two records of Salesforce, and customers that exist twice."""
    for kind, bc_id, partners in copy.shared_links():
        key, _ = partners[0]
        record = systems.ledger.record(Kind(kind), key)
        if record is None:
            continue
        names = ", ".join(number for _, number in partners)
        report.findings.append(
            finding(
                record,
                Side.THEIRS,
                "shared_partner",
                f"{record.bc_number} is the partner of several records of Salesforce: {names}.",
                cause=Cause.SHARED_CUSTOMER,
                business_central=bc_id,
            )
        )
    seen: set[str] = set()
    for twin in copy.doubled_customers():
        partners_of = systems.ledger.records_by_bc_id(
            Kind.CUSTOMER, [twin["bc_id"], twin["twin_id"]]
        )
        mine = partners_of.get(twin["bc_id"])
        if not mine or partners_of.get(twin["twin_id"]) or twin["twin_id"] in seen:
            continue
        seen.add(twin["twin_id"])
        report.findings.append(
            finding(
                mine[0],
                Side.THEIRS,
                "doubled_customer",
                f"Customer {twin['twin_number']} has the same {twin['reason']} as customer "
                f"{twin['bc_number']} ({twin['name']}), which is linked to Account "
                f"{mine[0].salesforce_number}.",
                where=f"customer {twin['twin_number']}",
                cause=Cause.POSSIBLE_DUPLICATE,
                remedy="Set Blocked to All on the customer that is not used, or give each its own "
                "name or tax registration number if they are two.",
                salesforce=twin["bc_number"],
                business_central=twin["twin_number"],
            )
        )


# healing


def _heal(systems: Systems, report: Reconciliation) -> None:
    """Write what Salesforce should show, and queue what the next sync has to deal with."""
    shown: dict[Kind, list[str]] = defaultdict(list)
    queued: dict[Kind, list[str]] = defaultdict(list)
    for each in report.findings:
        if each.side is Side.OURS:
            where = shown if each.what in ("field", "link_missing") else queued
            where[each.kind].append(each.key)
    for kind, keys in queued.items():
        if kind in TARGETS:
            mark_changed(systems, TARGETS[kind].sobject, keys, "reconcile")
    healed: set[tuple[Kind, str]] = set()
    for kind, keys in shown.items():
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), 200):
            _mark_to_show(systems, kind, wanted[start : start + 200])
        try:
            show(systems, kind)
        except TransientError as fault:
            log.warning("not everything could be shown again: %s", fault.message)
        done = systems.ledger.records(kind, wanted)
        healed |= {(kind, key) for key, record in done.items() if not record.show_pending}
    for each in report.findings:
        if each.side is Side.OURS and each.what in ("field", "link_missing"):
            each.healed = (each.kind, each.key) in healed


def _mark_to_show(systems: Systems, kind: Kind, keys: Sequence[str]) -> None:
    """Derive anew what the records should show, and note that Salesforce shows something else."""
    fields = _order_fields(systems) if kind is Kind.ORDER else fields_to_compare(systems, kind)
    with claimed(systems, kind, keys) as claims:
        ours = [key for key in keys if key in claims]
        records = systems.ledger.records(kind, ours)
        rows = read_rows(systems, TARGETS[kind].sobject, fields, ours)
        chains = read_chains(systems, list(records.values())) if kind is Kind.ORDER else {}
        live = systems.business_central
        page = (
            None
            if kind is Kind.ORDER
            else read_page(systems, kind, list(records.values()), rows, live)
        )
        with systems.ledger.transaction() as tx:
            for key, record in records.items():
                if key not in rows:
                    continue
                if key in chains:
                    apply_chain(systems, record, chains[key])
                    tx.save_documents(documents_of(key, chains[key]))
                if page is not None:
                    note_partner(systems, record, page)
                before = shown_fields(rows[key], {"IsActive", *record.wanted})
                record.shown = before
                express(record)
                tx.save(record, fence=claims.fence(key))
                audit(
                    tx,
                    systems,
                    record,
                    direction=Direction.DECISION,
                    action="reconcile",
                    rule="shown_differs",
                    outcome="ours",
                    before={
                        name: before.get(name)
                        for name, value in record.wanted.items()
                        if before.get(name) != value and name != "BC_As_Of__c"
                    },
                    after=dict(record.wanted),
                )


# evidence


def _keep_evidence(systems: Systems, report: Reconciliation) -> None:
    """Store what was found: an entry about the whole, and one per record that needs a person."""
    now = systems.clock.now()
    theirs: dict[tuple[Kind, str], list[Finding]] = defaultdict(list)
    for each in report.findings:
        if each.side is Side.THEIRS:
            theirs[each.kind, each.key].append(each)
    with systems.ledger.transaction() as tx:
        for entry in _entries(systems, theirs.values()):
            tx.append_audit(entry)
        tx.append_audit(
            AuditEntry(
                kind=Kind.STATUS,
                key="",
                at=now,
                direction="decision",
                action="reconcile",
                after=report.summary(),
                rule="reconcile",
                policy_version=systems.settings.policy_version(),
                outcome="agree" if report.agree else "differ",
                flow_run_id=systems.run.flow_run_id,
                task_run_id=systems.run.task_run_id,
            )
        )


def _entries(systems: Systems, groups: Iterable[Sequence[Finding]]) -> Iterable[AuditEntry]:
    for group in groups:
        first = group[0]
        yield AuditEntry(
            kind=first.kind,
            key=first.key,
            salesforce_id=first.salesforce_id,
            bc_id=first.bc_id,
            at=systems.clock.now(),
            direction="decision",
            action="reconcile",
            after={"differences": [each.to_json() for each in group]},
            rule=first.what,
            policy_version=systems.settings.policy_version(),
            outcome="theirs",
            flow_run_id=systems.run.flow_run_id,
            task_run_id=systems.run.task_run_id,
        )
