"""Ingest customers: qualifying Accounts become BC customers, created, linked or updated."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ml_connector.business_central.client import BatchOperation
from ml_connector.business_central.models import CompanyContactInformation, Contact, Customer
from ml_connector.business_central.models import parse as parse_bc
from ml_connector.configuration.fields import outgoing
from ml_connector.customers.mapping import (
    CustomerContext,
    account_number,
    mail_domain,
    same_value,
)
from ml_connector.customers.matching import CustomerCandidates, CustomerIndex, target
from ml_connector.customers.planning import (
    agreed,
    content_agrees,
    exclusion,
    kept_values,
    plan_customer,
    qualifies,
)
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Create, Decision, Exclude, Link, Park, Update
from ml_connector.domain.identifiers import Kind, State, eighteen, folded
from ml_connector.errors import ConcurrentEdit, TransientError
from ml_connector.exchange.collect import (
    awaited,
    content_digest,
    due_keys,
    mark_changed,
    poll_salesforce,
    shown_fields,
)
from ml_connector.exchange.decided import Decided, store_decided
from ml_connector.exchange.expressed import express, forget_unmapped
from ml_connector.exchange.lost_answers import settle_lost_writes
from ml_connector.exchange.merges import (
    absorb_merged,
    deleted_in_salesforce,
    is_deleted_in_salesforce,
    merge_conflict,
    other_partner,
    taken_over,
)
from ml_connector.exchange.number_series import create_numbered, written_row
from ml_connector.exchange.order_filter import qualifying_order_condition
from ml_connector.exchange.order_lines import poll_order_lines
from ml_connector.exchange.outcome import Outcome, Planned, Prepared
from ml_connector.exchange.planned import planned_record, write_each
from ml_connector.exchange.reading import fields_of, ids_where, read_models
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
from ml_connector.salesforce.models import Account, Order
from ml_connector.salesforce.soql import among, in_list, select

log = logging.getLogger("ml_connector")

_INDEX_FIELDS = (
    "id", "number", "displayName", "postalCode", "email", "website", "taxRegistrationNumber",
)  # fmt: skip
_ORDERS_POLLED = "orders_polled"

KEPT = "kept"
"""Fact of a linked record: what BC holds otherwise than agreed; see `kept_values`."""

POLL_AGAIN_AFTER = timedelta(seconds=30)
"""How old the poll of Orders for the customers may be to serve the orders of the same run too."""


def collect_accounts(systems: Systems) -> list[str]:
    """Store what changed and return the Account ids to decide now.

    Orders are polled as well: a qualifying Order makes its Account a customer although the Account
    itself did not change. Effect: inbox and checkpoints in the ledger.
    """
    poll_orders(systems)
    poll_salesforce(systems, "Account", fields_of(systems, Account), Kind.CUSTOMER)
    due = due_keys(systems, "Account", Kind.CUSTOMER)
    return list(dict.fromkeys([*due, *awaited(systems, Kind.CUSTOMER)]))


def poll_orders(systems: Systems) -> None:
    """Store changed Orders in the inbox, and with them the Accounts that are no customers yet.

    An Order has changed as well when one of its lines has.
    A run that has polled a moment ago does not poll again.
    """
    polled: list[datetime] = systems.remembered.get(_ORDERS_POLLED, list)
    now = systems.clock.now()
    if polled and now - polled[-1] < POLL_AGAIN_AFTER:
        return

    def on_page(page: list[dict[str, Any]], _: dict[str, Record]) -> None:
        accounts = [str(row["AccountId"]) for row in page if row.get("AccountId")]
        known = systems.ledger.records(Kind.CUSTOMER, list(dict.fromkeys(accounts)))
        unlinked = [key for key in accounts if key not in known or not known[key].bc_id]
        mark_changed(systems, "Account", unlinked, "order")

    poll_order_lines(systems)
    poll_salesforce(systems, "Order", fields_of(systems, Order), Kind.ORDER, on_page)
    polled.append(now)


@dataclass(slots=True)
class _Window:
    """What deciding about one window of Accounts needs from both systems."""

    by_id: dict[str, Customer] = field(default_factory=dict)
    index: CustomerIndex = field(default_factory=lambda: CustomerIndex(()))
    qualifying: set[str] = field(default_factory=set)
    candidates: dict[str, CustomerCandidates] = field(default_factory=dict)
    shared_with: dict[str, list[str]] = field(default_factory=dict)

    def partner(self, decision: Decision) -> Customer | None:
        """Return the customer a decision links to, as it was read; None when it was not."""
        return self.by_id.get(str(getattr(decision, "bc_id", "")).lower())


def note_kept(
    record: Record,
    sent: Mapping[str, Any],
    partner: Customer | Contact,
    written: Mapping[str, Any],
) -> None:
    """Note in *record* what BC holds otherwise than what both sides are about to agree on.

    Called before `record.sent` takes the new agreement.
    """
    record.facts[KEPT] = kept_values(
        sent, partner, base=record.sent, kept=record.facts.get(KEPT), written=written
    )


def prepare_customers(systems: Systems, keys: Sequence[str]) -> Prepared:
    """Decide about the Accounts of *keys*; what needs no BC write is stored at once."""
    up_to = systems.ledger.last_change_id()
    accounts, rows = read_models(systems, Account, keys)
    absorb_merged(systems, Kind.CUSTOMER, [key for key in keys if key not in accounts])
    _settle_lost(systems, keys)
    known = systems.ledger.records(Kind.CUSTOMER, keys)
    records = {key: known.get(key) or fresh_record(systems, Kind.CUSTOMER, key) for key in keys}
    window = _read_window(systems, accounts, records)
    gone = {key: record for key, record in records.items() if key not in accounts}
    taken = taken_over(systems, Kind.CUSTOMER, gone)
    decided: list[Decided] = []
    plans: list[Planned] = []
    for key, record in records.items():
        account = accounts.get(key)
        if account is None:
            decided.append(Decided(record, deleted_in_salesforce(record, window.by_id, taken)))
            continue
        _note_source(systems, record, account, rows[key])
        decision = _decide(systems, account, record, window)
        if isinstance(decision, Create | Update) or (
            isinstance(decision, Link) and decision.changes
        ):
            plans.append(
                Planned(
                    Kind.CUSTOMER,
                    key,
                    record.salesforce_number,
                    decision,
                    account,
                    up_to,
                    rows[key],
                )
            )
        else:
            partner = window.partner(decision)
            sent: Mapping[str, Any] | None = None
            if not isinstance(decision, Park | Exclude):
                context = customer_context(systems, account, record)
                sent = agreed(account, context, systems.policy.customers)
            if sent is not None and partner is not None:
                note_kept(record, sent, partner, {})
            decided.append(Decided(record, decision, sent=sent))
    return Prepared(tuple(plans), store_decided(systems, "Account", decided, up_to))


def _settle_lost(systems: Systems, keys: Sequence[str]) -> None:
    """Link or rebase the Accounts whose customer was written although the answer was lost."""

    def look(intent: Intent, _: Mapping[str, Any] | None) -> Written | None:
        if intent.operation == "create":
            found = look_for_customer(systems, intent.natural_key, intent.payload)
            return found if isinstance(found, Written) else None
        row = systems.business_central.fetch("customers", intent.natural_key)
        return written_row(row) if agrees(row, intent.payload) else None

    def complete(record: Record, _: Intent) -> None:
        record.facts.pop(KEPT, None)
        express(record)

    settle_lost_writes(systems, Kind.CUSTOMER, keys, look, complete)


def _note_source(
    systems: Systems, record: Record, account: Account, row: Mapping[str, Any]
) -> None:
    record.salesforce_number = account.account_number or account.name or ""
    record.source_stamp = content_digest(row)
    forget_unmapped(record, systems.policy.fields, "customers")
    record.shown = shown_fields(row, record.wanted)
    record.facts["currency"] = account.currency_iso_code or systems.org_currency()


def _decide(systems: Systems, account: Account, record: Record, window: _Window) -> Decision:
    linked = window.by_id.get(record.bc_id.lower()) if record.bc_id else None
    conflict = merge_conflict(record, linked, window.by_id.get(other_partner(record)))
    if conflict is not None:
        return conflict
    linked = window.by_id.get(record.bc_id.lower()) if record.bc_id else None
    if record.bc_id and linked is None:
        return Park(
            Cause.DELETED_IN_BC,
            f"Account {record.salesforce_number}: customer {record.bc_number} is gone from "
            f"Business Central.",
        )
    if linked is None and account.id not in window.qualifying:
        return exclusion(account, systems.policy.customers)
    return plan_customer(
        account,
        linked=linked,
        candidates=window.candidates.get(account.id, CustomerCandidates()),
        shared_with=window.shared_with.get(account.id, ()),
        context=customer_context(systems, account, record),
        policy=systems.policy.customers,
    )


def customer_context(systems: Systems, account: Account, record: Record) -> CustomerContext:
    """Return what mapping an Account has to know; `base` is what was agreed last."""
    return CustomerContext(
        countries=systems.countries(),
        currencies=systems.currencies(),
        local_currency=systems.local_currency,
        org_currency=systems.org_currency(),
        base=record.sent,
        extra=outgoing(systems.policy.fields, "customers", account),
    )


def _read_window(
    systems: Systems, accounts: Mapping[str, Account], records: Mapping[str, Record]
) -> _Window:
    """Read what the decisions need: linked customers, the match index, orders, shared customers."""
    window = _Window()
    ids = {record.bc_id.lower() for record in records.values() if record.bc_id}
    ids |= {each.bc_customer_id.lower() for each in accounts.values() if each.bc_customer_id}
    ids |= {other_partner(record) for record in records.values()} - {""}
    window.by_id = read_customers(systems, ids)
    unlinked = {key: account for key, account in accounts.items() if not records[key].bc_id}
    if not unlinked:
        return window
    window.qualifying = _qualifying(systems, unlinked)
    matching = {key: each for key, each in unlinked.items() if key in window.qualifying}
    if matching:
        window.index = customer_index(systems)
        _read_candidates(systems, matching, window)
        _find_shared(systems, matching, window)
    return window


def _qualifying(systems: Systems, accounts: Mapping[str, Account]) -> set[str]:
    policy = systems.policy.customers
    conditioned: set[str] = set()
    ordering: set[str] = set()
    if policy.condition:
        conditioned = ids_where(systems, "Account", list(accounts), policy.condition)
    elif policy.qualify != "all":
        asked = [
            key for key, each in accounts.items() if not qualifies(each, False, policy)
        ]  # the area's fact
        ordering = ids_where(
            systems, "Order", asked, qualifying_order_condition(systems), field="AccountId"
        )
    return {
        key
        for key, account in accounts.items()
        if qualifies(account, key in ordering, policy, matches_condition=key in conditioned)
    }


def _read_candidates(systems: Systems, accounts: Mapping[str, Account], window: _Window) -> None:
    """Look every Account up in the index, and read the hits that could be linked in full."""
    policy = systems.policy.customers
    partial = {key: window.index.candidates(each, policy) for key, each in accounts.items()}
    ids = {hit.id for found in partial.values() for hit in (*found.by_number, *found.by_tax_id)}
    full = window.by_id = {**window.by_id, **read_customers(systems, ids - window.by_id.keys())}
    domains = _contact_domains(systems, [key for key, found in partial.items() if found.by_name])
    for key, account in accounts.items():
        found = partial[key]
        window.candidates[key] = CustomerCandidates(
            by_external_id=full.get((account.bc_customer_id or "").lower()),
            by_number=tuple(full[each.id] for each in found.by_number if each.id in full),
            by_tax_id=tuple(full[each.id] for each in found.by_tax_id if each.id in full),
            by_name=found.by_name,
            mail_domains=frozenset(domains.get(key, ())),
        )


def _contact_domains(systems: Systems, keys: Sequence[str]) -> dict[str, set[str]]:
    """Return the mail domains of the Contacts of *keys*: Accounts that share a customer's name."""
    domains: dict[str, set[str]] = defaultdict(set)
    for chunk in in_list(keys):
        soql = select("Contact", ["AccountId", "Email"], where=among("AccountId", chunk))
        for page in systems.salesforce.query(soql):
            for row in page:
                domains[eighteen(row["AccountId"])].add(mail_domain(row.get("Email")))
    return domains


def _find_shared(systems: Systems, accounts: Mapping[str, Account], window: _Window) -> None:
    """Find the other Accounts of the same customer: here, linked already, or still unseen."""
    policy = systems.policy.customers
    targets = {
        key: target(account, linked=None, candidates=window.candidates[key], policy=policy)
        for key, account in accounts.items()
    }
    together: dict[str, list[str]] = defaultdict(list)
    for key, where in targets.items():
        together[where].append(key)
    ids = [where.removeprefix("id:") for where in together if where.startswith("id:")]
    linked = systems.ledger.records_by_bc_id(Kind.CUSTOMER, ids)
    numbered = _same_account_number(systems, accounts.values())
    for key, where in targets.items():
        others = [*together[where]] if where else []
        others += [
            record.key
            for record in linked.get(where.removeprefix("id:"), ())
            if not is_deleted_in_salesforce(record)
        ]
        others += numbered.get(account_number(accounts[key]), ())
        window.shared_with[key] = [other for other in dict.fromkeys(others) if other != key]


def _same_account_number(systems: Systems, accounts: Iterable[Account]) -> dict[str, list[str]]:
    """Return, per folded Account Number, the Accounts of the org that have it and may qualify."""
    numbers = [account.account_number for account in accounts if account.account_number]
    found: dict[str, list[str]] = defaultdict(list)
    for chunk in in_list(numbers):
        soql = select("Account", ["Id", "AccountNumber"], where=among("AccountNumber", chunk))
        for page in systems.salesforce.query(soql):
            for row in page:
                found[folded(row["AccountNumber"])].append(eighteen(row["Id"]))
    keys = [key for group in found.values() if len(group) > 1 for key in group]
    excluded = {
        key
        for key, record in systems.ledger.records(Kind.CUSTOMER, keys).items()
        if record.state is State.EXCLUDED
    }
    return {
        number: [key for key in group if key not in excluded] for number, group in found.items()
    }


def read_customers(systems: Systems, ids: Iterable[str]) -> dict[str, Customer]:
    """Return BC customers by lower-case id."""
    found: dict[str, Customer] = {}
    for row in systems.business_central.find_by("customers", "id", sorted(ids), quote=False):
        customer = parse_bc(Customer, row)
        found[customer.id] = customer
    return found


def customer_index(systems: Systems) -> CustomerIndex:
    """Return what matching needs of every BC customer; read once per run, one call per 20,000."""
    return systems.remembered.get(
        "customer_index",
        lambda: CustomerIndex(
            parse_bc(Customer, row)
            for row in systems.business_central.rows("customers", select=_INDEX_FIELDS)
        ),
    )


def write_customers(systems: Systems, plans: Sequence[Planned]) -> list[Outcome]:
    """Create, link or update the planned customers, each exactly once.

    Raises: TransientError after every other plan was dealt with.
    """

    def write(claims: Claims, plan: Planned) -> tuple[Outcome, TransientError | None]:
        return _write_customer(systems, claims, plan)

    return write_each(systems, Kind.CUSTOMER, plans, write)


def _write_customer(
    systems: Systems, claims: Claims, plan: Planned
) -> tuple[Outcome, TransientError | None]:
    record = planned_record(systems, plan)
    record.facts["currency"] = plan.source.currency_iso_code or systems.org_currency()
    finish = _finisher(systems, plan)
    if isinstance(plan.decision, Create):
        if record.bc_id:
            return Outcome.of(record, is_final=False), None
        return write_once(systems, claims, record, _creation(systems, plan), finish)
    write = customer_change(systems, plan)
    try:
        return write_once(systems, claims, record, write, finish)
    except ConcurrentEdit:
        return _edited_meanwhile(systems, claims, plan)


def _edited_meanwhile(
    systems: Systems, claims: Claims, plan: Planned
) -> tuple[Outcome, TransientError | None]:
    """Read the customer again and decide once more; a second conflict parks the record."""
    prepared = prepare_customers(systems, [plan.key])
    if not prepared.plans:
        record = planned_record(systems, plan)
        outcomes = prepared.outcomes or (Outcome.of(record, is_final=False),)
        return outcomes[0], None
    again = prepared.plans[0]
    record = planned_record(systems, again)
    try:
        return write_once(
            systems, claims, record, customer_change(systems, again), _finisher(systems, again)
        )
    except ConcurrentEdit:
        return (
            store_decision(
                systems,
                record,
                Park(
                    Cause.CONCURRENT_EDIT,
                    f"Account {plan.number}: the customer is being edited in Business Central.",
                ),
            ),
            None,
        )


def _finisher(systems: Systems, plan: Planned) -> Callable[[Record, Written], None]:
    account: Account = plan.source
    changes = {} if isinstance(plan.decision, Create) else getattr(plan.decision, "changes", {})

    def finish(record: Record, written: Written) -> None:
        context = customer_context(systems, account, record)
        sent = agreed(account, context, systems.policy.customers)
        if "displayName" in written.answer:
            customer = parse_bc(Customer, written.answer)
            customer_index(systems).add(customer)
            note_kept(record, sent, customer, changes)
        record.sent = sent
        if isinstance(plan.decision, Create):
            record.facts["created"] = True
        express(record)

    return finish


def _creation(systems: Systems, plan: Planned) -> Write:
    if not isinstance(plan.decision, Create):
        raise ValueError("only a creation creates")
    body = plan.decision.body
    number = str(body.get("number") or "")

    def send(on_send: Callable[[], None]) -> Written:
        return create_numbered(systems, "customers", body, on_send)

    def look(intent: Intent) -> Written | Park | None:
        return look_for_customer(systems, number, intent.payload)

    return Write(
        "create", number, body, send, look, {}, plan.decision.rule, agreed=_agreed(systems, plan)
    )


def _agreed(systems: Systems, plan: Planned) -> Mapping[str, Any]:
    record = fresh_record(systems, Kind.CUSTOMER, plan.key)
    return agreed(
        plan.source, customer_context(systems, plan.source, record), systems.policy.customers
    )


def look_for_customer(
    systems: Systems, number: str, payload: Mapping[str, Any]
) -> Written | Park | None:
    """Look for the customer an earlier attempt wrote: by its number, else by all that was sent.

    Found with equal content it is ours; found with other content the number is somebody else's.
    """
    bc = systems.business_central
    if number:
        rows = list(bc.find_by("customers", "number", [number]))
        if rows:
            if content_agrees(payload, parse_bc(Customer, rows[0])):
                return Written(str(rows[0]["id"]).lower(), rows[0]["number"], rows[0], adopted=True)
            return Park(
                Cause.NUMBER_TAKEN,
                f"Customer number {number} belongs to {rows[0].get('displayName')} in Business "
                f"Central.",
            )
    name = str(payload.get("displayName") or "")
    alike = [
        row
        for row in bc.find_by("customers", "displayName", [name])
        if agrees(row, payload) and not _is_linked(systems, str(row["id"]))
    ]
    if len(alike) == 1:
        return Written(str(alike[0]["id"]).lower(), alike[0]["number"], alike[0], adopted=True)
    if alike:
        return Park(
            Cause.AMBIGUOUS_CUSTOMER,
            f"{len(alike)} customers in Business Central equal what was written for {name}.",
        )
    return None


def _is_linked(systems: Systems, bc_id: str) -> bool:
    return bool(systems.ledger.records_by_bc_id(Kind.CUSTOMER, [bc_id.lower()]))


def agrees(row: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    """Tell whether a BC row holds what *payload* wrote; the number may come from the series."""
    return all(
        same_value(name, row.get(name), value)
        for name, value in payload.items()
        if name != "number" and value not in ("", None)
    )


def customer_change(systems: Systems, plan: Planned) -> Write:
    """Return the update (or first link with changes) of an existing customer."""
    decision = plan.decision
    if not isinstance(decision, Update | Link):
        raise ValueError("only an existing customer is changed")
    bc = systems.business_central

    def send(on_send: Callable[[], None]) -> Written:
        row = bc.update(
            "customers", decision.bc_id, decision.etag, decision.changes, on_send=on_send
        )
        return written_row(row)

    def look(intent: Intent) -> Written | Park | None:
        row = bc.fetch("customers", decision.bc_id)
        return (
            Written(decision.bc_id, str(row["number"]), row, adopted=True)
            if agrees(row, intent.payload)
            else None
        )

    return Write(
        "update" if isinstance(decision, Update) else "link",
        decision.bc_id,
        decision.changes,
        send,
        look,
        decision.before,
        decision.rule,
        agreed=_agreed(systems, plan),
    )


def company_contacts(systems: Systems, bc_ids: Iterable[str]) -> dict[str, str]:
    """Return the number of each customer's company contact; customers without one are absent.

    Cost: one `$batch` of reads per 100 customers.
    """
    ids = sorted(set(bc_ids))
    operations = [
        BatchOperation(
            id=bc_id,
            method="GET",
            url=systems.business_central.batch_url("customers", bc_id) + "/contactsInformation",
        )
        for bc_id in ids
    ]
    found: dict[str, str] = {}
    if not operations:
        return found
    for bc_id, result in systems.business_central.batch(operations).items():
        if result.status != 200:
            continue
        for row in result.body.get("value", []):
            information = parse_bc(CompanyContactInformation, row)
            if information.contact_type == "Company":
                found[bc_id] = information.contact_number
    return found
