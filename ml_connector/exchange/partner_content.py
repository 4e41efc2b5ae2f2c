"""Items, customers and contacts in content: what Salesforce should show, and what differs.

A linked pair is compared property by property with the mapping that writes it. Whose difference it
is follows from three states: what both sides agreed on last, Salesforce now, BC now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ml_connector.billing.status import account_fields, account_notice
from ml_connector.business_central.models import Contact as BCContact
from ml_connector.business_central.models import Customer, CustomerFinancialDetail, Item
from ml_connector.business_central.models import parse as parse_bc
from ml_connector.catalog.mapping import item_number
from ml_connector.configuration.fields import incoming
from ml_connector.customers.mapping import contact_body, customer_body
from ml_connector.customers.matching import CustomerCandidates
from ml_connector.customers.planning import (
    Difference,
    differences,
    plan_contact,
    plan_customer,
)
from ml_connector.domain.decision import Decision, Park
from ml_connector.domain.identifiers import Kind, Owner, State, folded
from ml_connector.exchange.chains import DocumentSource
from ml_connector.exchange.contacts import contact_context
from ml_connector.exchange.customers import KEPT, customer_context
from ml_connector.exchange.expressed import TARGETS
from ml_connector.exchange.findings import NEXT_SYNC, Finding, Side, finding
from ml_connector.exchange.systems import Systems
from ml_connector.ledger.records import Record
from ml_connector.salesforce.models import Account, Contact, Product2, parse

Row = Mapping[str, Any]

ENTITY_SETS: Mapping[Kind, str] = {
    Kind.ITEM: "items",
    Kind.CUSTOMER: "customers",
    Kind.CONTACT: "contacts",
}

_NOUNS: Mapping[Kind, str] = {
    Kind.ITEM: "item",
    Kind.CUSTOMER: "customer",
    Kind.CONTACT: "contact",
}

_SIDES: Mapping[str, tuple[Side, str, str]] = {
    "follows": (Side.OURS, "content", NEXT_SYNC),
    "edited": (
        Side.THEIRS,
        "edited_in_bc",
        "Make the same change in Salesforce, or put Salesforce's value back in Business Central.",
    ),
    "kept": (
        Side.EXCLUDED,
        "kept_in_bc",
        "Nothing to do: it was so in Business Central when the two were linked.",
    ),
    "once": (
        Side.EXCLUDED,
        "written_once",
        "Nothing to do: it is written when the record is created only.",
    ),
}
"""Class, code and remedy of a difference by whose it is."""


@dataclass(slots=True)
class PartnerPage:
    """One page of records of a kind with what both systems have of them.

    `rows`: Salesforce rows by key; `central` and `details`: BC rows by lower-case id; `accounts`:
    the customers' records of Contacts by Account.
    """

    kind: Kind
    rows: Mapping[str, Row]
    central: dict[str, Row] = field(default_factory=dict)
    details: dict[str, Row] = field(default_factory=dict)
    accounts: dict[str, Record] = field(default_factory=dict)

    def partner(self, record: Record) -> Row | None:
        """Return what BC has of *record*; None when it is gone or not linked."""
        return self.central.get(record.bc_id.lower()) if record.bc_id else None


def read_page(
    systems: Systems,
    kind: Kind,
    records: Sequence[Record],
    rows: Mapping[str, Row],
    source: DocumentSource,
) -> PartnerPage:
    """Read from *source* what BC has of *records*; *rows* are their Salesforce rows by key."""
    page = PartnerPage(kind, rows)
    ids = sorted({record.bc_id.lower() for record in records if record.bc_id})
    for row in source.find_by(ENTITY_SETS[kind], "id", ids, quote=False):
        page.central[str(row["id"]).lower()] = row
    if kind is Kind.CUSTOMER and systems.policy.status.accounts:
        for row in source.find_by("customerFinancialDetails", "id", ids, quote=False):
            page.details[str(row["id"]).lower()] = row
    if kind is Kind.CONTACT:
        accounts = {str(row.get("AccountId") or "") for row in rows.values()}
        page.accounts = systems.ledger.records(Kind.CUSTOMER, sorted(accounts - {""}))
    return page


def note_partner(systems: Systems, record: Record, page: PartnerPage) -> None:
    """Set in *record* what Salesforce should show of its partner, computed anew.

    Effect: in memory only. A partner that was not read changes nothing.
    """
    row = page.partner(record)
    if row is None:
        return
    record.bc_number = str(row.get("number") or record.bc_number)
    mappings = systems.policy.fields
    match page.kind:
        case Kind.CUSTOMER:
            customer = parse_bc(Customer, row)
            detail = page.details.get(customer.id)
            if detail is None:
                return
            currency = str(record.facts.get("currency") or systems.org_currency())
            record.facts["notice"] = account_notice(currency, systems.local_currency)
            money = parse_bc(CustomerFinancialDetail, detail)
            record.wanted.update(account_fields(customer, money, currency, systems.local_currency))
            record.wanted.update(incoming(mappings, "customers", customer))
        case Kind.CONTACT:
            record.wanted.update(incoming(mappings, "contacts", parse_bc(BCContact, row)))
        case Kind.ITEM:
            item = parse_bc(Item, row)
            record.wanted.update(incoming(mappings, "items", item))
            record.wanted.pop("IsActive", None)
            shown = page.rows.get(record.key) or {}
            if systems.policy.catalog.deactivate and item.blocked and shown.get("IsActive"):
                record.wanted["IsActive"] = False


def content_findings(systems: Systems, record: Record, page: PartnerPage) -> list[Finding]:
    """Return how the mapped content of a linked pair differs; nothing when it is not linked."""
    row, partner = page.rows.get(record.key), page.partner(record)
    if row is None or partner is None:
        return []
    if page.kind is Kind.ITEM:
        return _renamed(record, row, partner)
    found = _compared(systems, record, row, partner, page)
    if found is None:
        return []
    decision, different = found
    if isinstance(decision, Park):
        return [] if _stands(record) else [_not_followed(record, decision)]
    return [_content_finding(record, each) for each in different]


def _compared(
    systems: Systems, record: Record, row: Row, partner: Row, page: PartnerPage
) -> tuple[Decision, tuple[Difference, ...]] | None:
    """Return what planning makes of a pair, and its differences; None when it cannot tell."""
    policy, kept = systems.policy.customers, record.facts.get(KEPT)
    if page.kind is Kind.CUSTOMER:
        account, customer = parse(Account, row), parse_bc(Customer, partner)
        context = customer_context(systems, account, record)
        decision = plan_customer(
            account,
            linked=customer,
            candidates=CustomerCandidates(),
            shared_with=(),
            context=context,
            policy=policy,
        )
        body = customer_body(account, context, policy).body
        return decision, differences(body, customer, decision, kept)
    contact, person = parse(Contact, row), parse_bc(BCContact, partner)
    account_record = page.accounts.get(contact.account_id or "")
    company = str(account_record.facts.get("company_contact") or "") if account_record else ""
    if account_record is None or not company:
        return None
    context = contact_context(systems, contact, record)
    decision = plan_contact(
        contact,
        linked=person,
        by_number=None,
        company_contact_number=company,
        account_state=account_record.state,
        context=context,
        policy=policy,
    )
    body = contact_body(contact, company, context, policy).body
    return decision, differences(body, person, decision, kept)


def _stands(record: Record) -> bool:
    return record.state in (State.PARKED, State.WAITING)


def _not_followed(record: Record, decision: Park) -> Finding:
    return finding(record, Side.OURS, "missed", decision.message, remedy=NEXT_SYNC)


def _content_finding(record: Record, each: Difference) -> Finding:
    side, what, remedy = _SIDES[each.whose]
    sobject, noun = TARGETS[record.kind].sobject, _NOUNS[record.kind]
    name = record.salesforce_number or record.key
    return finding(
        record,
        side,
        what,
        f"{sobject} {name}: {each.name} is {_quoted(each.salesforce)} in Salesforce and "
        f"{_quoted(each.business_central)} in {noun} {record.bc_number}.",
        remedy=remedy,
        owner=Owner.FINANCE if side is Side.THEIRS else Owner.IT,
        field=each.name,
        salesforce=each.salesforce,
        business_central=each.business_central,
    )


def _quoted(value: Any) -> str:
    return "blank" if value in (None, "") else f'"{value}"'


def _renamed(record: Record, row: Row, partner: Row) -> list[Finding]:
    """An item that was renamed keeps its product: they are linked by id."""
    product = parse(Product2, row)
    code, number = item_number(product), folded(str(partner.get("number") or ""))
    if not code or code == number or _stands(record):
        return []
    return [
        finding(
            record,
            Side.EXCLUDED,
            "renamed",
            f"Product2 {record.salesforce_number or record.key}: its item is numbered {number} in "
            "Business Central; they stay linked by id.",
            remedy="Nothing to do: an item that was renamed keeps its product.",
            field="number",
            salesforce=code,
            business_central=number,
        )
    ]
