"""Ingest contacts: Contacts of customers become persons under the customer's company contact."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ml_connector.business_central.models import Contact as BCContact
from ml_connector.business_central.models import parse as parse_bc
from ml_connector.configuration.fields import incoming, outgoing, shown_from
from ml_connector.customers.mapping import CustomerContext, contact_number, person_name
from ml_connector.customers.planning import (
    agreed_contact,
    contact_content_agrees,
    plan_contact,
)
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import (
    Create,
    Decision,
    Link,
    Park,
    Unchanged,
    Update,
)
from ml_connector.domain.identifiers import Kind, State, folded
from ml_connector.errors import ConcurrentEdit, StaleClaim, TransientError
from ml_connector.exchange.collect import (
    content_digest,
    due_keys,
    mark_changed,
    poll_partners,
    poll_salesforce,
    shown_fields,
)
from ml_connector.exchange.customers import KEPT, agrees, company_contacts, note_kept
from ml_connector.exchange.decided import Decided, store_decided
from ml_connector.exchange.expressed import express, forget_unmapped
from ml_connector.exchange.lost_answers import settle_lost_writes
from ml_connector.exchange.merges import (
    absorb_merged,
    deleted_in_salesforce,
    merge_conflict,
    other_partner,
    taken_over,
)
from ml_connector.exchange.number_series import create_numbered, written_row
from ml_connector.exchange.outcome import Outcome, Planned, Prepared
from ml_connector.exchange.planned import planned_record, write_each
from ml_connector.exchange.reading import fields_of, read_models
from ml_connector.exchange.systems import Systems
from ml_connector.exchange.write_protocol import (
    Claims,
    Write,
    Written,
    fresh_record,
    store_decision,
    write_once,
)
from ml_connector.ledger.records import Intent, Record
from ml_connector.salesforce.models import Contact

log = logging.getLogger("ml_connector")


def collect_contacts(systems: Systems) -> list[str]:
    """Store changed Contacts in the inbox and return the Contact ids to decide now.

    Contacts that were left out because their Account was no customer come back when it is one.
    BC's contacts are polled where Salesforce shows something of them.
    """
    poll_salesforce(systems, "Contact", fields_of(systems, Contact), Kind.CONTACT)
    if shown_from(systems.policy.fields, "contacts"):
        poll_partners(systems, "contacts", "Contact", Kind.CONTACT)
    bring_back_left_out(systems)
    return due_keys(systems, "Contact", Kind.CONTACT)


def bring_back_left_out(systems: Systems) -> None:
    """Put Contacts into the inbox that were left out while their Account was no customer."""
    for page in systems.ledger.iterate(kind=Kind.CONTACT, states=(State.EXCLUDED,)):
        left_out = [record for record in page if record.cause == Cause.ACCOUNT_EXCLUDED]
        accounts = systems.ledger.records(
            Kind.CUSTOMER, [str(record.facts.get("account_id", "")) for record in left_out]
        )
        back = [
            record.key
            for record in left_out
            for account in [accounts.get(str(record.facts.get("account_id", "")))]
            if account is not None and account.bc_id
        ]
        mark_changed(systems, "Contact", back, "account")


@dataclass(slots=True)
class _Window:
    accounts: dict[str, Record] = field(default_factory=dict)
    companies: dict[str, str] = field(default_factory=dict)
    by_id: dict[str, BCContact] = field(default_factory=dict)
    by_number: dict[str, BCContact] = field(default_factory=dict)


def prepare_contacts(systems: Systems, keys: Sequence[str]) -> Prepared:
    """Decide about the Contacts of *keys*; what needs no BC write is stored at once."""
    up_to = systems.ledger.last_change_id()
    contacts, rows = read_models(systems, Contact, keys)
    absorb_merged(systems, Kind.CONTACT, [key for key in keys if key not in contacts])
    _settle_lost(systems, keys)
    known = systems.ledger.records(Kind.CONTACT, keys)
    records = {key: known.get(key) or fresh_record(systems, Kind.CONTACT, key) for key in keys}
    window = _read_window(systems, contacts, records)
    gone = {key: record for key, record in records.items() if key not in contacts}
    taken = taken_over(systems, Kind.CONTACT, gone)
    decided: list[Decided] = []
    plans: list[Planned] = []
    for key, record in records.items():
        contact = contacts.get(key)
        if contact is None:
            decided.append(Decided(record, deleted_in_salesforce(record, window.by_id, taken)))
            continue
        record.salesforce_number = person_name(contact)
        record.source_stamp = content_digest(rows[key])
        forget_unmapped(record, systems.policy.fields, "contacts")
        record.shown = shown_fields(rows[key], record.wanted)
        record.facts["account_id"] = contact.account_id or ""
        decision = _decide(systems, contact, record, window)
        if isinstance(decision, Create | Update) or (
            isinstance(decision, Link) and decision.changes
        ):
            company = window.companies[contact.account_id or ""]
            plans.append(
                Planned(
                    Kind.CONTACT,
                    key,
                    record.salesforce_number,
                    decision,
                    contact,
                    up_to,
                    rows[key],
                    context=company,
                )
            )
        else:
            agrees_now = isinstance(decision, Link | Unchanged)
            sent = _agreed(systems, contact, record, window) if agrees_now else None
            partner = window.by_id.get(getattr(decision, "bc_id", "").lower()) or (
                window.by_number.get(contact_number(contact))
            )
            if agrees_now and partner is not None:
                _take_over(systems, record, partner)
                if sent is not None:
                    note_kept(record, sent, partner, {})
            decided.append(Decided(record, decision, sent=sent))
    return Prepared(tuple(plans), store_decided(systems, "Contact", decided, up_to))


def _take_over(systems: Systems, record: Record, partner: BCContact) -> None:
    """Let the record show what its policy takes from BC's contact."""
    changed = partner.last_modified_date_time
    record.bc_stamp = changed.isoformat() if changed else ""
    record.wanted.update(incoming(systems.policy.fields, "contacts", partner))


def _settle_lost(systems: Systems, keys: Sequence[str]) -> None:
    """Link or rebase the Contacts whose partner was written although the answer was lost."""

    def look(intent: Intent, _: Mapping[str, Any] | None) -> Written | None:
        if intent.operation == "create":
            found = _look(systems, intent.natural_key, intent.payload)
            return found if isinstance(found, Written) else None
        row = systems.business_central.fetch("contacts", intent.natural_key)
        return written_row(row) if agrees(row, intent.payload) else None

    def complete(record: Record, _: Intent) -> None:
        record.facts.pop(KEPT, None)
        express(record)

    settle_lost_writes(systems, Kind.CONTACT, keys, look, complete)


def _read_window(
    systems: Systems, contacts: Mapping[str, Contact], records: Mapping[str, Record]
) -> _Window:
    window = _Window()
    accounts = sorted({each.account_id for each in contacts.values() if each.account_id})
    window.accounts = systems.ledger.records(Kind.CUSTOMER, accounts)
    window.companies = _companies(systems, window.accounts)
    ids = {record.bc_id.lower() for record in records.values() if record.bc_id}
    ids |= {each.bc_contact_id.lower() for each in contacts.values() if each.bc_contact_id}
    ids |= {other_partner(record) for record in records.values()} - {""}
    bc = systems.business_central
    for row in bc.find_by("contacts", "id", sorted(ids), quote=False):
        found = parse_bc(BCContact, row)
        window.by_id[found.id] = found
        window.by_number[folded(found.number)] = found
    numbers = [
        contact_number(each)
        for key, each in contacts.items()
        if not records[key].bc_id and (each.account_id or "") in window.companies
    ]
    for row in bc.find_by("contacts", "number", sorted(set(numbers) - window.by_number.keys())):
        found = parse_bc(BCContact, row)
        window.by_number[folded(found.number)] = found
    return window


def _companies(systems: Systems, accounts: Mapping[str, Record]) -> dict[str, str]:
    """Return each linked Account's company-contact number; read once, then remembered."""
    companies = {
        key: str(record.facts["company_contact"])
        for key, record in accounts.items()
        if record.bc_id and record.facts.get("company_contact")
    }
    missing = {
        record.bc_id.lower(): record
        for key, record in accounts.items()
        if record.bc_id and key not in companies
    }
    for bc_id, number in company_contacts(systems, missing).items():
        record = missing[bc_id]
        companies[record.key] = number
        record.facts["company_contact"] = number
        try:
            with systems.ledger.transaction() as tx:
                tx.save(record)
        except StaleClaim:
            log.debug("customer %s changed meanwhile; its contact is read again", record.key)
    return companies


def _decide(systems: Systems, contact: Contact, record: Record, window: _Window) -> Decision:
    account = window.accounts.get(contact.account_id or "")
    external = window.by_id.get((contact.bc_contact_id or "").lower())
    own = window.by_id.get(record.bc_id.lower()) if record.bc_id else None
    conflict = merge_conflict(record, own, window.by_id.get(other_partner(record)))
    if conflict is not None:
        return conflict
    linked = window.by_id.get(record.bc_id.lower()) if record.bc_id else external
    if record.bc_id and linked is None:
        return Park(
            Cause.DELETED_IN_BC,
            f"Contact {record.salesforce_number}: contact {record.bc_number} is gone from Business "
            f"Central.",
        )
    return plan_contact(
        contact,
        linked=linked,
        by_number=window.by_number.get(contact_number(contact)),
        company_contact_number=window.companies.get(contact.account_id or ""),
        account_state=account.state if account is not None else None,
        context=contact_context(systems, contact, record),
        policy=systems.policy.customers,
    )


def contact_context(systems: Systems, contact: Contact, record: Record) -> CustomerContext:
    """Return what mapping a Contact has to know; `base` is what was agreed last."""
    return CustomerContext(
        countries=systems.countries(),
        currencies=systems.currencies(),
        local_currency=systems.local_currency,
        org_currency=systems.org_currency(),
        base=record.sent,
        extra=outgoing(systems.policy.fields, "contacts", contact),
    )


def _agreed(
    systems: Systems, contact: Contact, record: Record, window: _Window
) -> Mapping[str, Any] | None:
    company = window.companies.get(contact.account_id or "")
    if not company:
        return None
    return agreed_contact(
        contact, company, contact_context(systems, contact, record), systems.policy.customers
    )


def write_contacts(systems: Systems, plans: Sequence[Planned]) -> list[Outcome]:
    """Create, link or update the planned contacts, each exactly once.

    Raises: TransientError after every other plan was dealt with.
    """

    def write(claims: Claims, plan: Planned) -> tuple[Outcome, TransientError | None]:
        return _write_contact(systems, claims, plan)

    return write_each(systems, Kind.CONTACT, plans, write)


def _write_contact(
    systems: Systems, claims: Claims, plan: Planned
) -> tuple[Outcome, TransientError | None]:
    record = planned_record(systems, plan)
    record.facts["account_id"] = plan.source.account_id or ""
    finish = _finisher(systems, plan)
    if isinstance(plan.decision, Create):
        if record.bc_id:
            return Outcome.of(record, is_final=False), None
        return write_once(systems, claims, record, _creation(systems, plan), finish)
    try:
        return write_once(systems, claims, record, _change(systems, plan), finish)
    except ConcurrentEdit:
        return _edited_meanwhile(systems, claims, record, plan)


def _edited_meanwhile(
    systems: Systems, claims: Claims, record: Record, plan: Planned
) -> tuple[Outcome, TransientError | None]:
    """Read both sides again and decide once more; a second conflict parks the Contact."""
    prepared = prepare_contacts(systems, [plan.key])
    if not prepared.plans:
        outcomes = prepared.outcomes or (Outcome.of(record, is_final=False),)
        return outcomes[0], None
    (again,) = prepared.plans
    record = planned_record(systems, again)
    try:
        write, finish = _change(systems, again), _finisher(systems, again)
        return write_once(systems, claims, record, write, finish)
    except ConcurrentEdit:
        message = f"Contact {plan.number} is being edited in Business Central."
        return store_decision(systems, record, Park(Cause.CONCURRENT_EDIT, message)), None


def _finisher(systems: Systems, plan: Planned) -> Callable[[Record, Written], None]:
    contact: Contact = plan.source
    company: str = plan.context
    changes = {} if isinstance(plan.decision, Create) else getattr(plan.decision, "changes", {})

    def finish(record: Record, written: Written) -> None:
        context = contact_context(systems, contact, record)
        sent = dict(agreed_contact(contact, company, context, systems.policy.customers))
        person = parse_bc(BCContact, written.answer)
        note_kept(record, sent, person, changes)
        record.sent = sent
        _take_over(systems, record, person)
        express(record)

    return finish


def _creation(systems: Systems, plan: Planned) -> Write:
    if not isinstance(plan.decision, Create):
        raise ValueError("only a creation creates")
    body = plan.decision.body
    number = str(body.get("number") or "")

    def send(on_send: Callable[[], None]) -> Written:
        return create_numbered(systems, "contacts", body, on_send)

    def look(intent: Intent) -> Written | Park | None:
        return _look(systems, number, intent.payload)

    return Write(
        "create",
        number,
        body,
        send,
        look,
        {},
        plan.decision.rule,
        agreed=_agreed_now(systems, plan),
    )


def _agreed_now(systems: Systems, plan: Planned) -> Mapping[str, Any]:
    record = fresh_record(systems, Kind.CONTACT, plan.key)
    context = contact_context(systems, plan.source, record)
    return agreed_contact(plan.source, plan.context, context, systems.policy.customers)


def _look(systems: Systems, number: str, payload: Mapping[str, Any]) -> Written | Park | None:
    """Look for the contact an earlier attempt wrote: by number, else by name under its company."""
    bc = systems.business_central
    rows = list(bc.find_by("contacts", "number", [number]))
    if rows:
        if contact_content_agrees(payload, parse_bc(BCContact, rows[0])):
            return Written(str(rows[0]["id"]).lower(), rows[0]["number"], rows[0], adopted=True)
        return Park(
            Cause.NUMBER_TAKEN,
            f"Contact number {number} belongs to {rows[0].get('displayName')} in Business Central.",
        )
    unnumbered = {name: value for name, value in payload.items() if name != "number"}
    company = folded(str(payload.get("companyNumber") or ""))
    alike = [
        row
        for row in bc.find_by("contacts", "displayName", [str(payload.get("displayName") or "")])
        if folded(row.get("companyNumber")) == company
        and contact_content_agrees(unnumbered, parse_bc(BCContact, row))
        and not systems.ledger.records_by_bc_id(Kind.CONTACT, [str(row["id"]).lower()])
    ]
    if len(alike) == 1:
        return Written(str(alike[0]["id"]).lower(), alike[0]["number"], alike[0], adopted=True)
    if alike:
        return Park(
            Cause.NUMBER_TAKEN,
            f"{len(alike)} contacts in Business Central equal what was written for {number}.",
        )
    return None


def _change(systems: Systems, plan: Planned) -> Write:
    decision = plan.decision
    if not isinstance(decision, Update | Link):
        raise ValueError("only an existing contact is changed")
    bc = systems.business_central

    def send(on_send: Callable[[], None]) -> Written:
        return written_row(
            bc.update("contacts", decision.bc_id, decision.etag, decision.changes, on_send=on_send)
        )

    def look(intent: Intent) -> Written | Park | None:
        row = bc.fetch("contacts", decision.bc_id)
        return written_row(row) if agrees(row, intent.payload) else None

    return Write(
        "update" if isinstance(decision, Update) else "link",
        decision.bc_id,
        decision.changes,
        send,
        look,
        decision.before,
        decision.rule,
        agreed=_agreed_now(systems, plan),
    )
