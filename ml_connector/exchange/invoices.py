"""Post the draft invoices of linked orders, before their status is read back."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_connector.business_central.faults import not_read_back
from ml_connector.business_central.models import SalesInvoice, parse
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Exclude, Park
from ml_connector.domain.identifiers import Kind, State, folded
from ml_connector.errors import (
    ConcurrentEdit,
    RecordNotFound,
    RecordRejected,
    TransientError,
)
from ml_connector.exchange.chains import (
    INVOICE_LINES,
    Chain,
    documents_of,
    posted_invoice_numbers,
    read_chains,
)
from ml_connector.exchange.collect import mark_changed, unanswered
from ml_connector.exchange.outcome import Outcome, Planned, Prepared
from ml_connector.exchange.planned import write_each
from ml_connector.exchange.shipments import STUCK, orders_of_postings
from ml_connector.exchange.status import STATUS_ENTITY
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    Claims,
    Write,
    Written,
    new_record,
    store_decision,
    write_once,
)
from ml_connector.invoices.planning import LinkedOrder, NotOurs, Post, belongs, plan_draft
from ml_connector.ledger.records import Intent, Record

log = logging.getLogger("ml_connector")


@dataclass(frozen=True, slots=True)
class _OfOrder:
    """What posting a draft needs to know about its order."""

    order: Record
    chain: Chain


def collect_drafts(systems: Systems) -> list[str]:
    """Return the ids of the draft invoices that may belong to linked orders.

    Cost: one call per 20,000 drafts, however many are none of ours. Drafts whose posting is
    uncertain are included. While posting is off only those that are stuck, at no cost.
    """
    stuck = systems.ledger.keys(Kind.INVOICE, states=STUCK)
    if systems.policy.invoices.posting == "off":
        return _without_orders(systems, stuck)
    found: list[str] = []
    for page in systems.business_central.pages(
        "salesInvoices",
        filter="status eq 'Draft'",
        select=("id", "orderId", "orderNumber", "externalDocumentNumber", "customerId"),
    ):
        found += _naming_an_order(systems, page)
    keys = dict.fromkeys([*found, *stuck, *unanswered(systems, Kind.INVOICE)])
    return _without_orders(systems, list(keys))


def _without_orders(systems: Systems, keys: Sequence[str]) -> list[str]:
    """Return *keys* without the sales orders that were shipped and invoiced: no drafts of ours."""
    orders = orders_of_postings(systems, keys)
    return [key for key in keys if key not in orders]


def _naming_an_order(systems: Systems, drafts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the ids of those of *drafts* that name a linked order, or that the ledger knows."""
    named = {
        str(row["id"]).lower(): (
            str(row.get("orderId") or "").lower(),
            folded(row.get("orderNumber")),
            folded(row.get("externalDocumentNumber")),
        )
        for row in drafts
    }
    return [
        draft for draft, (home, orders) in _candidates(systems, named).items() if home or orders
    ]


def _candidates(
    systems: Systems, drafts: Mapping[str, tuple[str, str, str]]
) -> dict[str, tuple[str, list[Record]]]:
    """Return for each draft the order the ledger has it under, "" for none, and whose it may be.

    *drafts* are by id what each names: the order's id, its number and its reference.
    """
    ledger = systems.ledger
    ids, numbers, references = zip(*drafts.values(), strict=True) if drafts else ((), (), ())
    known = ledger.document_by_bc_id(drafts)
    remembered = ledger.records(Kind.ORDER, [document.order_key for document in known.values()])
    by_id = ledger.records_by_bc_id(Kind.ORDER, ids)
    by_number = ledger.records_by_bc_number(Kind.ORDER, numbers)
    by_reference = ledger.records_by_reference(Kind.ORDER, references)
    found: dict[str, tuple[str, list[Record]]] = {}
    for draft, (order_id, number, reference) in drafts.items():
        home = known[draft].order_key if draft in known else ""
        orders = [remembered[home]] if home in remembered else []
        orders += by_id.get(order_id, [])
        orders += by_number.get(number, [])
        orders += by_reference.get(reference, [])
        found[draft] = (home, orders)
    return found


def prepare_drafts(systems: Systems, keys: Sequence[str]) -> Prepared:
    """Decide which of the drafts *keys* are posted; what does not fit is parked at once.

    Sales orders that are shipped and invoiced as a whole are passed over. A stuck draft that is no
    order's any more, or that the policy does not post, is left out with its reason.
    """
    keys = _without_orders(systems, keys)
    if systems.policy.invoices.posting == "off":
        return Prepared((), _released(systems, keys, ": the policy posts no invoices"))
    drafts = {
        draft.id: draft
        for row in systems.business_central.find_by(
            "salesInvoices", "id", sorted(keys), quote=False, expand=INVOICE_LINES
        )
        for draft in [parse(SalesInvoice, row)]
    }
    records = systems.ledger.records(Kind.INVOICE, keys)
    tried = records.keys() | systems.ledger.intents(Kind.INVOICE, keys).keys()
    orders = _orders_of(systems, list(drafts.values()))
    distinct = list({each.key: each for each in orders.values()}.values())
    chains = read_chains(systems, distinct, invoice_lines=True)
    billed = _billing(systems, distinct, chains)
    plans: list[Planned] = []
    outcomes: list[Outcome] = []
    for key in keys:
        draft, order = drafts.get(key), orders.get(key)
        record = records.get(key)
        if draft is None or order is None:
            outcomes += _left_over(systems, record, draft)
            continue
        record = record or _invoice_record(systems, draft, order)
        chain = chains[order.key]
        if draft.status != "Draft":
            if record.key in tried:
                plans.append(_planned(record, draft, order, chain))
            continue
        decision = plan_draft(
            draft,
            order=chain.order,
            other_invoices=tuple(each for each in billed[order.key] if each.id != draft.id),
            policy=systems.policy.invoices,
        )
        match decision:
            case Post():
                plans.append(_planned(record, draft, order, chain))
            case Park():
                outcomes.append(store_decision(systems, record, decision))
            case NotOurs():
                continue
    return Prepared(tuple(plans), tuple(outcomes))


def _billing(
    systems: Systems, orders: Sequence[Record], chains: Mapping[str, Chain]
) -> dict[str, list[SalesInvoice]]:
    """Return every invoice and draft of each order with its lines, by the order's key.

    Those of its chain, and those that are tied to it by its reference alone: made by hand, they are
    in no chain, but take from what is left to invoice all the same. Cost: a look-up per 50 orders.
    """
    found = {order.key: list(chains[order.key].invoices) for order in orders}
    in_chains = {invoice.id for invoices in found.values() for invoice in invoices}
    by_reference: dict[str, list[Record]] = defaultdict(list)
    for order in orders:
        by_reference[folded(order.reference)].append(order)
    loose = [
        invoice
        for row in systems.business_central.find_by(
            "salesInvoices",
            "externalDocumentNumber",
            sorted(by_reference.keys() - {""}),
            expand=INVOICE_LINES,
        )
        for invoice in [parse(SalesInvoice, row)]
        if invoice.id not in in_chains
    ]
    known = systems.ledger.document_by_bc_id([invoice.id for invoice in loose])
    for invoice in loose:
        for order in by_reference[folded(invoice.external_document_number)]:
            of_other = invoice.id in known and known[invoice.id].order_key != order.key
            if not of_other and belongs(invoice, _link_of(order)):
                found[order.key].append(invoice)
    return found


def _planned(record: Record, draft: SalesInvoice, order: Record, chain: Chain) -> Planned:
    return Planned(
        kind=Kind.INVOICE,
        key=record.key,
        number=draft.number,
        decision=None,
        source=draft,
        up_to=0,
        row={},
        context=_OfOrder(order, chain),
    )


def _left_over(
    systems: Systems, record: Record | None, draft: SalesInvoice | None
) -> tuple[Outcome, ...]:
    """End a stuck *record* whose draft is gone, or is no linked order's any more."""
    if record is None or record.state not in STUCK:
        return ()
    if draft is None:
        return (_gone(systems, record),)
    return _released(systems, [record.key], " belongs to no linked order any more")


def _gone(systems: Systems, record: Record) -> Outcome:
    """A draft that waited or was parked is no more: somebody deleted it, which ends the matter.

    Or a sales order that was to be shipped and invoiced, and whose Order has let go of it.
    """
    what = "Draft invoice" if "total" in record.facts else "Sales order"
    record.enter(
        State.EXCLUDED,
        now=systems.clock.now(),
        cause=Cause.DELETED,
        message=f"{what} {record.bc_number} was deleted in Business Central.",
    )
    with systems.ledger.transaction() as tx:
        tx.save(record)
    return Outcome.of(record)


def _released(systems: Systems, keys: Sequence[str], reason: str) -> tuple[Outcome, ...]:
    """Leave out the stuck drafts among *keys*; one whose posting may still come through waits."""
    uncertain = systems.ledger.intents(Kind.INVOICE, keys)
    return tuple(
        store_decision(
            systems,
            record,
            Exclude(Cause.NOT_QUALIFYING, f"Draft invoice {record.bc_number}{reason}."),
        )
        for key, record in systems.ledger.records(Kind.INVOICE, keys).items()
        if record.state in STUCK and key not in uncertain
    )


def _invoice_record(systems: Systems, draft: SalesInvoice, order: Record) -> Record:
    record = new_record(systems, Kind.INVOICE, draft.id, order.salesforce_number)
    record.salesforce_id = order.salesforce_id
    record.bc_id, record.bc_number = draft.id, draft.number
    record.facts["total"] = draft.total_amount_including_tax
    record.facts["currency"] = folded(draft.currency_code) or systems.local_currency
    return record


def _orders_of(systems: Systems, drafts: Sequence[SalesInvoice]) -> dict[str, Record]:
    """Return the linked order each draft belongs to, by draft id."""
    named = {
        draft.id: (
            draft.order_id,
            folded(draft.order_number),
            folded(draft.external_document_number),
        )
        for draft in drafts
    }
    candidates = _candidates(systems, named)
    found: dict[str, Record] = {}
    for draft in drafts:
        home, orders = candidates[draft.id]
        for order in orders:
            if order.bc_id and belongs(draft, _link_of(order), in_ledger=order.key == home):
                found[draft.id] = order
                break
    return found


def _link_of(order: Record) -> LinkedOrder:
    customer = str(order.facts.get("customer_id", ""))
    return LinkedOrder(order.bc_id, order.bc_number, order.reference, customer)


def post_invoices(systems: Systems, plans: Sequence[Planned]) -> list[Outcome]:
    """Post the planned drafts, each exactly once.

    Effect: the document is read right before the action and again after a lost answer; a posted one
    is never posted again. Raises: TransientError after every other plan was dealt with.
    """

    def write(claims: Claims, plan: Planned) -> tuple[Outcome, TransientError | None]:
        context: _OfOrder = plan.context
        record = systems.ledger.record(Kind.INVOICE, plan.key) or _invoice_record(
            systems, plan.source, context.order
        )
        finish = _finisher(systems, context)
        try:
            return write_once(systems, claims, record, _posting(systems, plan), finish)
        except ConcurrentEdit:
            message = f"Draft invoice {plan.number} is being edited in Business Central."
            return store_decision(systems, record, Park(Cause.CONCURRENT_EDIT, message)), None

    try:
        return write_each(systems, Kind.INVOICE, plans, write)
    finally:
        touched = [plan.context.order.key for plan in plans]
        mark_changed(systems, STATUS_ENTITY, touched, "posted")


def _finisher(systems: Systems, context: _OfOrder) -> Callable[[Record, Written], None]:
    def finish(_: Record, written: Written) -> None:
        invoice: SalesInvoice = written.answer
        chain = Chain(order=None, invoices=[invoice], posted={invoice.id})
        # Without a stamp: the poll of changed invoices still leads to its order until the status
        # was derived from it.
        documents = [replace(each, stamp="") for each in documents_of(context.order.key, chain)]
        with systems.ledger.transaction() as tx:
            tx.save_documents(documents)

    return finish


def _posting(systems: Systems, plan: Planned) -> Write:
    draft: SalesInvoice = plan.source
    bc = systems.business_central

    def read() -> SalesInvoice:
        return parse(SalesInvoice, bc.fetch("salesInvoices", draft.id))

    def send(on_send: Callable[[], None]) -> Written:
        before = read()
        if before.status != "Draft":
            return _as_posted(systems, before, draft.number)
        bc.act("salesInvoices", draft.id, "post", etag=before.etag, on_send=on_send)
        try:
            after = read()
        except TransientError as lost:
            raise not_read_back("post", lost, record_id=draft.id) from lost
        return Written(after.id, after.number, after)

    def look(intent: Intent) -> Written | Park | None:
        try:
            now = read()
        except RecordNotFound:
            return Park(
                Cause.POSTING_REFUSED,
                f"Draft invoice {plan.number} is gone from Business Central.",
            )
        if now.status == "Draft":
            return None
        return _as_posted(systems, now, str(intent.payload.get("number", "")))

    return Write(
        "post",
        draft.id,
        {"number": draft.number, "total": draft.total_amount_including_tax},
        send,
        look,
        {"status": draft.status},
        "linked_drafts",
        refusal=Cause.POSTING_REFUSED,
    )


def _as_posted(systems: Systems, invoice: SalesInvoice, draft_number: str) -> Written:
    """Return a posted invoice; a released draft, which also says Open, is no posted one.

    Posting gives the document a number of the posted series; where both series are one, the general
    ledger tells. Raises: RecordRejected when the document is released but not posted.
    """
    is_posted = (
        invoice.status in ("Paid", "Canceled", "Corrective")
        or folded(invoice.number) != folded(draft_number)
        or bool(posted_invoice_numbers(systems, [folded(invoice.number)]))
    )
    if not is_posted:
        raise RecordRejected(
            f"invoice {invoice.number} is released but not posted",
            system="business_central",
            code="not_posted",
            record_id=invoice.id,
        )
    return Written(invoice.id, invoice.number, invoice)
