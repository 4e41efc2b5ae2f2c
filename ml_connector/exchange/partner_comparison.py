"""Compare items, customers and contacts of both sides: link, content, and what Salesforce shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import Kind, State
from ml_connector.exchange.collect import shown_fields
from ml_connector.exchange.company_copy import CompanyCopy
from ml_connector.exchange.expressed import TARGETS, express
from ml_connector.exchange.findings import NEXT_SYNC, Finding, Reconciliation, Side, finding
from ml_connector.exchange.order_comparison import draft_of, shown_findings, standing
from ml_connector.exchange.partner_content import (
    PartnerPage,
    content_findings,
    note_partner,
    read_page,
)
from ml_connector.exchange.reading import SOBJECTS, fields_of, read_rows
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record

WINDOW = 500


def partner_kinds(systems: Systems) -> tuple[Kind, ...]:
    """Return the kinds of partners that the policy has, causes before effects."""
    kinds = (Kind.ITEM, Kind.CUSTOMER)
    return (*kinds, Kind.CONTACT) if systems.policy.customers.contacts else kinds


def fields_to_compare(systems: Systems, kind: Kind) -> list[str]:
    """Return the Salesforce fields that comparing a partner needs: mapped ones and BC_ ones."""
    model = SOBJECTS[kind]
    describe = systems.salesforce.describe(model.__name__)
    shown = [name for name in describe.fields if name.startswith("BC_")]
    also = ["IsActive"] if kind is Kind.ITEM else []
    names = dict.fromkeys([*fields_of(systems, model), *shown, *also])
    return [name for name in names if describe.has(name)]


def compare_partners(systems: Systems, copy: CompanyCopy, report: Reconciliation) -> None:
    """Compare every product, Account and Contact with its partner.

    What differs in the copy is read again from both systems before it counts.
    """
    for kind in partner_kinds(systems):
        sobject = TARGETS[kind].sobject
        for page in systems.ledger.iterate(kind=kind, page_size=WINDOW):
            rows = copy.salesforce_rows(sobject, [record.key for record in page])
            report.add(_examine(systems, copy, kind, page, rows, report))
        for rows in copy.unseen_rows(sobject):
            report.add(_unknown(systems, kind, rows))
    for page in systems.ledger.iterate(
        kind=Kind.INVOICE, states=(State.WAITING, State.PARKED), page_size=WINDOW
    ):
        report.add(standing(record) for record in page)


def _examine(
    systems: Systems,
    copy: CompanyCopy,
    kind: Kind,
    records: Sequence[Record],
    rows: Mapping[str, Mapping[str, Any]],
    report: Reconciliation,
) -> list[Finding]:
    page = read_page(systems, kind, records, rows, copy)
    report.pairs_by_kind[kind] += sum(
        record.key in rows and page.partner(record) is not None for record in records
    )
    findings: list[Finding] = []
    suspects: list[str] = []
    for record in records:
        found = _findings(systems, record, page)
        if any(each.side is not Side.EXCLUDED for each in found):
            suspects.append(record.key)
        else:
            findings += found
    if suspects:
        again = systems.ledger.records(kind, suspects)
        fresh = read_rows(
            systems, TARGETS[kind].sobject, fields_to_compare(systems, kind), suspects
        )
        live = read_page(systems, kind, list(again.values()), fresh, systems.business_central)
        findings += [each for record in again.values() for each in _findings(systems, record, live)]
    return findings


def _findings(systems: Systems, known: Record, page: PartnerPage) -> list[Finding]:
    record = draft_of(known)
    target = TARGETS[record.kind]
    name = f"{target.sobject} {record.salesforce_number or record.key}"
    row = page.rows.get(record.key)
    if row is None:
        return gone_in_salesforce(record, name)
    record.shown = shown_fields(row, {"IsActive", *record.wanted})
    findings: list[Finding] = []
    if record.bc_id and page.partner(record) is None:
        message = f"{name}: {record.bc_number} is gone from Business Central."
        findings.append(
            finding(record, Side.THEIRS, "deleted_in_bc", message, cause=Cause.DELETED_IN_BC)
        )
    if not record.bc_id and row.get(target.external_id):
        findings.append(_link_unknown(record, name, target.external_id, row))
    elif record.state in (State.WAITING, State.PARKED) and not findings:
        findings.append(standing(record))
    note_partner(systems, record, page)
    express(record)
    return [
        *findings,
        *content_findings(systems, record, page),
        *shown_findings(record, row),
    ]


def _link_unknown(record: Record, name: str, external_id: str, row: Mapping[str, Any]) -> Finding:
    shown = row[external_id]
    return finding(
        record,
        Side.OURS,
        "link_unknown",
        f"{name} shows {external_id} {shown}, which the ledger does not know.",
        remedy=NEXT_SYNC,
        field=external_id,
        salesforce=shown,
    )


def gone_in_salesforce(record: Record, name: str) -> list[Finding]:
    """Return the difference of a linked record that Salesforce does not have any more.

    There is none where BC does not have it any more either.
    """
    if not record.bc_id or record.cause == Cause.DELETED:
        return []
    message = f"{name} was deleted in Salesforce; {record.bc_number} stays in Business Central."
    if record.cause == Cause.DELETED_IN_SALESFORCE:
        cause = Cause.DELETED_IN_SALESFORCE
        return [finding(record, Side.THEIRS, record.cause, message, cause=cause)]
    return [finding(record, Side.OURS, "deleted_in_salesforce", message, remedy=NEXT_SYNC)]


def _unknown(systems: Systems, kind: Kind, rows: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Records of Salesforce the ledger has never seen, but that show a partner."""
    target = TARGETS[kind]
    now = systems.clock.now()
    return [
        _link_unknown(
            Record.first_seen(kind, key, now=now),
            f"{target.sobject} {key}",
            target.external_id,
            row,
        )
        for key, row in rows.items()
        if row.get(target.external_id)
    ]
