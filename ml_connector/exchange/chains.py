"""Read what BC has of handed-over orders: order, invoices, credit memos, proof of posting."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ml_connector.business_central.models import (
    GeneralLedgerEntry,
    SalesCreditMemo,
    SalesInvoice,
    SalesOrder,
    parse,
)
from ml_connector.domain.identifiers import folded, same_id
from ml_connector.domain.money import ZERO
from ml_connector.errors import ConfigurationError
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Document, Record

log = logging.getLogger("ml_connector")

_POSTED_STATUSES = frozenset({"Paid", "Canceled", "Corrective"})
_DRAFT_STATUSES = frozenset({"Draft", "In Review", ""})


class DocumentSource(Protocol):
    """Where documents are looked up: the BC client, or a fresh copy of the company."""

    def find_by(
        self,
        entity_set: str,
        field: str,
        values: Iterable[str],
        *,
        quote: bool = True,
        select: Sequence[str] = (),
        expand: str = "",
    ) -> Iterator[dict[str, Any]]:
        """Yield each row once whose *field* is one of *values*, whatever their case."""
        ...


INVOICE_LINES = "salesInvoiceLines"


@dataclass(slots=True)
class Chain:
    """What BC has of one order; `order` is None when it is gone."""

    order: SalesOrder | None = None
    invoices: list[SalesInvoice] = field(default_factory=list)
    credit_memos: list[SalesCreditMemo] = field(default_factory=list)
    posted: set[str] = field(default_factory=set)
    """Ids of the invoices that are posted beyond doubt."""

    @property
    def live(self) -> list[SalesInvoice]:
        """The posted invoices that are not canceled."""
        return [
            each for each in self.invoices if each.id in self.posted and each.status != "Canceled"
        ]


def read_chains(
    systems: Systems,
    records: Sequence[Record],
    source: DocumentSource | None = None,
    *,
    invoice_lines: bool = False,
) -> dict[str, Chain]:
    """Return the chain of every linked order record, by key; from *source* when one is given.

    Invoices come without their lines unless *invoice_lines* asks for them.

    Cost: about five calls per 50 orders. Order numbers can be reused, so an invoice that names the
    order by number only must also carry its external document number and customer.
    """
    linked = [record for record in records if record.bc_id]
    chains = {record.key: Chain() for record in linked}
    by_id = {record.bc_id.lower(): record for record in linked}
    bc = source or systems.business_central
    for row in bc.find_by(
        "salesOrders", "id", sorted(by_id), quote=False, expand="salesOrderLines"
    ):
        order = parse(SalesOrder, row)
        chains[by_id[order.id].key].order = order
    invoice_expand = INVOICE_LINES if invoice_lines else ""
    _add_invoices(systems, bc, linked, by_id, chains, invoice_expand)
    _add_credit_memos(bc, chains)
    remembered = systems.ledger.documents([record.key for record in linked])
    _add_evidence(systems, chains, remembered)
    return chains


def _add_invoices(
    systems: Systems,
    bc: DocumentSource,
    linked: Sequence[Record],
    by_id: Mapping[str, Record],
    chains: Mapping[str, Chain],
    expand: str,
) -> None:
    seen: dict[str, str] = {}

    def add(invoice: SalesInvoice, key: str) -> None:
        if invoice.id not in seen:
            seen[invoice.id] = key
            chains[key].invoices.append(invoice)

    for row in bc.find_by("salesInvoices", "orderId", sorted(by_id), quote=False, expand=expand):
        invoice = parse(SalesInvoice, row)
        if invoice.order_id in by_id:
            add(invoice, by_id[invoice.order_id].key)
    by_number: dict[str, list[Record]] = defaultdict(list)
    for record in linked:
        by_number[folded(record.bc_number)].append(record)
    for row in bc.find_by(
        "salesInvoices", "orderNumber", sorted(by_number.keys() - {""}), expand=expand
    ):
        invoice = parse(SalesInvoice, row)
        for record in by_number[folded(invoice.order_number)]:
            if _is_of(invoice, record):
                add(invoice, record.key)
    known = systems.ledger.documents([record.key for record in linked])
    missing = {
        document.bc_id: key
        for key, documents in known.items()
        for document in documents
        if document.doc_type == "invoice" and document.bc_id not in seen
    }
    for row in bc.find_by("salesInvoices", "id", sorted(missing), quote=False, expand=expand):
        invoice = parse(SalesInvoice, row)
        add(invoice, missing[invoice.id])


def _is_of(invoice: SalesInvoice, record: Record) -> bool:
    if invoice.order_id and not same_id(invoice.order_id, record.bc_id):
        return False
    reference = folded(str(record.facts.get("reference", "")))
    return folded(invoice.external_document_number) == reference and same_id(
        invoice.customer_id, str(record.facts.get("customer_id", ""))
    )


def _add_credit_memos(bc: DocumentSource, chains: Mapping[str, Chain]) -> None:
    owner: dict[str, list[tuple[str, SalesInvoice]]] = defaultdict(list)
    for key, chain in chains.items():
        for invoice in chain.invoices:
            if invoice.status not in _DRAFT_STATUSES:
                owner[folded(invoice.number)].append((key, invoice))
    for row in bc.find_by("salesCreditMemos", "invoiceNumber", sorted(owner.keys() - {""})):
        memo = parse(SalesCreditMemo, row)
        for key, invoice in owner[folded(memo.invoice_number)]:
            if not memo.invoice_id or same_id(memo.invoice_id, invoice.id):
                chains[key].credit_memos.append(memo)


def _add_evidence(
    systems: Systems,
    chains: Mapping[str, Chain],
    remembered: Mapping[str, Iterable[Document]],
) -> None:
    """Tell posted invoices from released drafts, which carry the same status Open."""
    doubtful: dict[str, list[tuple[Chain, SalesInvoice]]] = defaultdict(list)
    for key, chain in chains.items():
        known = {document.bc_id for document in remembered.get(key, ()) if document.posted}
        for invoice in chain.invoices:
            if invoice.status in _DRAFT_STATUSES:
                continue
            if (
                invoice.status in _POSTED_STATUSES
                or invoice.id in known
                or invoice.remaining_amount != invoice.total_amount_including_tax
            ):
                chain.posted.add(invoice.id)
            else:
                doubtful[folded(invoice.number)].append((chain, invoice))
    posted_numbers = posted_invoice_numbers(systems, doubtful)
    for number, candidates in doubtful.items():
        for chain, invoice in candidates:
            if number in posted_numbers or (
                _came_of_posting(chain, invoice) and not _general_ledger_tells(systems)
            ):
                chain.posted.add(invoice.id)


def _came_of_posting(chain: Chain, invoice: SalesInvoice) -> bool:
    """Tell whether an invoice of an order was most likely made by posting that order.

    The order is gone, as after its last invoice, or counts invoiced quantities.
    """
    if not (invoice.order_id or invoice.order_number):
        return False
    return chain.order is None or any(line.invoiced_quantity > 0 for line in chain.order.lines)


def _general_ledger_tells(systems: Systems) -> bool:
    """Tell whether the general ledger can prove postings: the app may read it, and it has some."""

    def read() -> bool:
        try:
            rows = systems.business_central.rows(
                "generalLedgerEntries",
                filter="documentType eq 'Invoice'",
                select=("id", "documentNumber", "documentType"),
                page_size=1,
            )
            return next(rows, None) is not None
        except ConfigurationError as fault:
            if not fault.status:
                raise
            log.warning(
                "%s An open invoice counts as posted when its order is gone or invoiced in part.",
                fault.message,
            )
            return False

    return systems.remembered.get("general_ledger_tells", read)


def posted_invoice_numbers(systems: Systems, numbers: Iterable[str]) -> set[str]:
    """Return which numbers have a G/L entry of type Invoice: proof that they are posted.

    None where the app cannot read the general ledger.
    """
    rows = systems.business_central.find_by(
        "generalLedgerEntries",
        "documentNumber",
        sorted(numbers),
        select=("id", "documentNumber", "documentType"),
    )
    try:
        entries = [parse(GeneralLedgerEntry, row) for row in rows]
    except ConfigurationError as fault:
        if not fault.status:
            raise
        return set()
    return {folded(entry.document_number) for entry in entries if entry.document_type == "Invoice"}


def documents_of(key: str, chain: Chain) -> list[Document]:
    """Return what the ledger remembers of a chain's invoices and credit memos."""
    documents = [
        Document(
            bc_id=invoice.id,
            doc_type="invoice",
            order_key=key,
            number=invoice.number,
            status=invoice.status,
            total=invoice.total_amount_including_tax,
            remaining=invoice.remaining_amount,
            currency=invoice.currency_code,
            due_date=invoice.due_date,
            posted=invoice.id in chain.posted,
            stamp=_stamp(invoice),
        )
        for invoice in chain.invoices
    ]
    documents += [
        Document(
            bc_id=memo.id,
            doc_type="credit_memo",
            order_key=key,
            number=memo.number,
            status=memo.status,
            total=memo.total_amount_including_tax,
            remaining=ZERO,
            currency=memo.currency_code,
            due_date=None,
            posted=memo.status not in _DRAFT_STATUSES,
            invoice_id=memo.invoice_id,
            stamp=_stamp(memo),
        )
        for memo in chain.credit_memos
    ]
    return documents


def _stamp(document: SalesInvoice | SalesCreditMemo) -> str:
    changed = document.last_modified_date_time
    return changed.isoformat() if changed else ""
