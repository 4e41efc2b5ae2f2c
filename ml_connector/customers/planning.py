"""What becomes of an Account or a Contact: first link, creation, later changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Literal

from ml_connector.business_central.models import Contact as BCContact
from ml_connector.business_central.models import Customer
from ml_connector.customers.mapping import (
    CustomerContext,
    MappedCustomer,
    account_number,
    contact_body,
    contact_number,
    customer_body,
    customer_number,
    described,
    described_contact,
    normal,
    same_value,
)
from ml_connector.customers.matching import (
    RUNGS,
    CustomerCandidates,
    candidate,
    matches,
    number_taken,
    possible_duplicate,
    shared,
    target,
)
from ml_connector.customers.policy import CustomersPolicy
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import (
    Body,
    Create,
    Decision,
    Exclude,
    Link,
    Need,
    Park,
    Unchanged,
    Update,
    Wait,
)
from ml_connector.domain.identifiers import Kind, State, folded
from ml_connector.salesforce.models import Account, Contact

__all__ = [
    "CustomerCandidates",
    "CustomerContext",
    "Difference",
    "agreed",
    "agreed_contact",
    "contact_content_agrees",
    "content_agrees",
    "differences",
    "exclusion",
    "kept_values",
    "plan_contact",
    "plan_customer",
    "qualifies",
    "target",
]

CREATE_ONLY = frozenset({"type", "currencyCode"})
"""Properties that are written once: ledger entries depend on them."""

_ADDRESS = frozenset({"addressLine1", "addressLine2", "city", "state", "postalCode", "country"})


def qualifies(
    account: Account,
    has_qualifying_order: bool,
    policy: CustomersPolicy,
    *,
    matches_condition: bool = False,
) -> bool:
    """Tell whether an Account becomes a customer.

    *matches_condition*: Salesforce found it with the policy's SOQL condition.
    """
    if policy.condition:
        return matches_condition
    if policy.qualify == "all" or has_qualifying_order:
        return True
    is_customer = (account.type or "").strip().casefold().startswith("customer")
    return policy.qualify == "type_or_order" and is_customer


def exclusion(account: Account, policy: CustomersPolicy) -> Exclude:
    """Return the decision about an Account that does not qualify."""
    return Exclude(
        Cause.NOT_QUALIFYING,
        f'{described(account)} is no customer by the rule "{policy.qualify}".',
    )


def plan_customer(
    account: Account,
    *,
    linked: Customer | None,
    candidates: CustomerCandidates,
    shared_with: Sequence[str],
    context: CustomerContext,
    policy: CustomersPolicy,
) -> Decision:
    """Decide about one Account that qualifies.

    *linked* is the customer of the ledger's link as BC has it now; *shared_with* are the ids of
    Accounts with the same `target` (the Account itself may be among them). A customer that is
    linked must have been read in full.
    """
    mapped = customer_body(account, context, policy)
    if linked is not None:
        return _plan_linked(linked, mapped, context, policy)
    hits, rung = matches(account, candidates, policy)
    others = sorted({other for other in shared_with if other != account.id})
    if others:
        return shared(account, others, hits)
    if len(hits) > 1:
        return Park(
            Cause.AMBIGUOUS_CUSTOMER,
            f"{described(account)} matches {len(hits)} BC customers by {RUNGS[rung]}: "
            f"{', '.join(hit.number for hit in hits[:5])}.",
            candidates=tuple(map(candidate, hits)),
            fields=("AccountNumber",),
        )
    if hits:
        return _link(hits[0], rung, mapped, context, policy.on_link)
    duplicate = possible_duplicate(account, candidates)
    return duplicate or _create(account, candidates, mapped, policy)


def _create(
    account: Account,
    candidates: CustomerCandidates,
    mapped: MappedCustomer,
    policy: CustomersPolicy,
) -> Decision:
    if mapped.problems:
        return mapped.problems[0]
    number = customer_number(account, policy, taken=number_taken(account, candidates))
    if not number:
        return Create(mapped.body, "bc_series")
    is_own = number == account_number(account)
    return Create({"number": number, **mapped.body}, "account_number" if is_own else "account_id")


def _link(
    partner: Customer | BCContact,
    rule: str,
    mapped: MappedCustomer,
    context: CustomerContext,
    on_link: str,
) -> Decision:
    changes, hindrance = _first_changes(partner, mapped, context, on_link)
    if hindrance is not None:
        return hindrance
    return Link(partner.id, partner.number, partner.etag, rule, changes, _before(partner, changes))


def _plan_linked(
    partner: Customer | BCContact,
    mapped: MappedCustomer,
    context: CustomerContext,
    policy: CustomersPolicy,
) -> Decision:
    if context.base is None:
        changes, hindrance = _first_changes(partner, mapped, context, policy.on_link)
    else:
        changes, hindrance = _later_changes(partner, mapped, context)
    if hindrance is not None:
        return hindrance
    if not changes:
        return Unchanged(partner.id, partner.number)
    before = _before(partner, changes)
    return Update(partner.id, partner.number, partner.etag, changes, before, "three_way")


def _before(partner: Customer | BCContact, changes: Body) -> dict[str, Any]:
    return {name: _json(current(partner, name)) for name in changes}


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def current(partner: Customer | BCContact, name: str) -> Any:
    """Return the value of the BC property *name*; None for one that was not read."""
    field = _attributes(type(partner)).get(name)
    return getattr(partner, field) if field in partner.model_fields_set else None


@cache
def _attributes(model: type[Customer | BCContact]) -> dict[str, str]:
    """Return the attribute of each BC property, by its name on the wire."""
    return {info.alias: field for field, info in model.model_fields.items() if info.alias}


def _is_blank(partner: Customer | BCContact, name: str) -> bool:
    value = current(partner, name)
    return value is not None and normal(name, value) == ""


def _first_changes(
    partner: Customer | BCContact,
    mapped: MappedCustomer,
    context: CustomerContext,
    on_link: str,
) -> tuple[dict[str, Any], Park | None]:
    """Return what a first link writes, and the first unmapped property it would have written.

    Custom fields that Salesforce owns are written whatever BC holds.
    """
    kept = _kept_address(partner, mapped.body) if on_link == "fill_blanks" else frozenset()

    def wanted(name: str) -> bool:
        if name in context.extra:
            return True
        if name in CREATE_ONLY or name in kept or on_link == "nothing":
            return False
        return on_link == "overwrite" or _is_blank(partner, name)

    for name, park in mapped.unmapped.items():
        if wanted(name):
            return {}, park
    changes = {
        name: value
        for name, value in mapped.body.items()
        if wanted(name)
        and (normal(name, value) != "" or name in context.extra)
        and not same_value(name, value, current(partner, name))
    }
    return changes, None


def _kept_address(partner: Customer | BCContact, body: Body) -> frozenset[str]:
    # Half of one address behind half of another makes a third, so blanks of an address are filled
    # only where what BC has of it is the same.
    for name in _ADDRESS & body.keys():
        now = current(partner, name)
        if normal(name, now) != "" and not same_value(name, now, body[name]):
            return _ADDRESS
    return frozenset()


def _later_changes(
    partner: Customer | BCContact, mapped: MappedCustomer, context: CustomerContext
) -> tuple[dict[str, Any], Park | None]:
    """Return what changed in Salesforce since the last agreement and is not in BC yet.

    A value cleared in Salesforce clears BC only where BC still has the agreed one. What was never
    agreed fills a blank and nothing else.
    """
    base = context.base or {}
    kept = _kept_address(partner, mapped.body)
    for name, park in mapped.unmapped.items():
        fills = name not in kept and _is_blank(partner, name)
        if name not in CREATE_ONLY and (name in base or fills):
            return {}, park
    changes: dict[str, Any] = {}
    for name, value in mapped.body.items():
        now = current(partner, name)
        if name in CREATE_ONLY or same_value(name, value, now):
            continue
        is_new = name not in base
        fills = is_new and name not in kept and _is_blank(partner, name)
        if name in context.extra or fills or (not is_new and _moved(name, value, now, base)):
            changes[name] = value
    return changes, None


def _moved(name: str, value: Any, now: Any, base: Body) -> bool:
    if same_value(name, value, base[name]):
        return False
    return normal(name, value) != "" or same_value(name, now, base[name])


def agreed(account: Account, context: CustomerContext, policy: CustomersPolicy) -> dict[str, Any]:
    """Return the values both sides agree on once a decision about *account* was carried out.

    It is kept in the ledger and is the `base` of the next comparison.
    """
    return customer_body(account, context, policy).body


def kept_values(
    body: Body,
    partner: Customer | BCContact,
    *,
    base: Body | None,
    kept: Body | None,
    written: Body,
) -> dict[str, Any]:
    """Return what BC holds otherwise than *body* although both sides agree: BC's value by property.

    It is what BC had at the first link and the policy left alone, and what BC made of a value it
    was sent. What BC changed since is not among it. *base* and *kept* are what was agreed before
    (None before the first link), *written* is what was just sent. A property that was not read
    stays out.
    """

    def is_kept(name: str, now: Any) -> bool:
        if kept is None or name not in (base or {}) or name in written:
            return True
        return name in kept and same_value(name, now, kept[name])

    return {
        name: _json(now)
        for name, value in body.items()
        for now in [current(partner, name)]
        if now is not None and not same_value(name, value, now) and is_kept(name, now)
    }


@dataclass(frozen=True, slots=True)
class Difference:
    """A mapped property on which Salesforce and BC differ, and why.

    `whose`: "follows" when Salesforce's change was not carried over yet, "edited" when BC changed
    it since both sides agreed, "kept" when the policy left BC's own value at the first link or BC
    completed it, "once" for what is written at creation only.
    """

    name: str
    salesforce: Any
    business_central: Any
    whose: Literal["follows", "edited", "kept", "once"]


def differences(
    body: Body, partner: Customer | BCContact, decision: Decision, kept: Body | None
) -> tuple[Difference, ...]:
    """Return each mapped property that differs; *decision* is what planning makes of the pair."""
    follows = decision.changes if isinstance(decision, Update) else {}

    def whose(name: str, now: Any) -> Literal["follows", "edited", "kept", "once"]:
        if name in follows:
            return "follows"
        if kept is None or (name in kept and same_value(name, now, kept[name])):
            return "kept"
        return "once" if name in CREATE_ONLY else "edited"

    return tuple(
        Difference(name, value, now, whose(name, now))
        for name, value in body.items()
        for now in [current(partner, name)]
        if now is not None and not same_value(name, value, now)
    )


def content_agrees(body: Body, customer: Customer) -> bool:
    """Tell whether *customer* holds what *body* would have written: our own create came through.

    BC completes cities, states and postal codes from each other, so number, name and country are
    what counts.
    """
    return _holds(body, customer, ("number", "displayName", "country"))


def _holds(body: Body, partner: Customer | BCContact, names: Sequence[str]) -> bool:
    return all(
        same_value(name, body[name], current(partner, name))
        for name in names
        if normal(name, body.get(name)) != ""
    )


def plan_contact(
    contact: Contact,
    *,
    linked: BCContact | None,
    by_number: BCContact | None,
    company_contact_number: str | None,
    account_state: State | None,
    context: CustomerContext,
    policy: CustomersPolicy,
) -> Decision:
    """Decide about one Contact.

    *company_contact_number* is the number of its customer's company contact, None while the Account
    has no customer; *account_state* is where that Account stands, None when it was never decided.
    """
    if not policy.contacts:
        return Exclude(
            Cause.NOT_QUALIFYING,
            f"{described_contact(contact)} is left out: the policy writes no contacts.",
        )
    if contact.is_person_account:
        return Exclude(
            Cause.NOT_QUALIFYING,
            f"{described_contact(contact)} is the person of a person Account, who is the customer.",
        )
    if not contact.account_id:
        return Exclude(Cause.NO_ACCOUNT, f"{described_contact(contact)} belongs to no Account.")
    if not company_contact_number:
        return _without_company(contact, account_state)
    mapped = contact_body(contact, company_contact_number, context, policy)
    if linked is not None:
        return _plan_linked(linked, mapped, context, policy)
    if by_number is not None and folded(by_number.number) == contact_number(contact):
        return _link(by_number, "number", mapped, context, "fill_blanks")
    if mapped.problems:
        return mapped.problems[0]
    return Create({"number": contact_number(contact), **mapped.body}, "contact_id")


def _without_company(contact: Contact, account_state: State | None) -> Decision:
    account_id = contact.account_id or ""
    if account_state is State.EXCLUDED:
        return Exclude(
            Cause.ACCOUNT_EXCLUDED,
            f"{described_contact(contact)} belongs to Account {account_id}, which is no customer.",
        )
    if account_state in (State.WRITTEN, State.UNCHANGED):
        return Wait(
            Cause.MISSING_COMPANY_CONTACT,
            f"{described_contact(contact)} waits until the customer of Account {account_id} has a "
            "company contact in BC.",
        )
    return Wait(
        Cause.MISSING_CUSTOMER,
        f"{described_contact(contact)} waits until Account {account_id} is a customer in BC.",
        (Need(Kind.CUSTOMER, account_id),),
    )


def agreed_contact(
    contact: Contact,
    company_contact_number: str,
    context: CustomerContext,
    policy: CustomersPolicy,
) -> Mapping[str, Any]:
    """Return the values both sides agree on once a decision about *contact* was carried out."""
    return contact_body(contact, company_contact_number, context, policy).body


def contact_content_agrees(body: Body, contact: BCContact) -> bool:
    """Tell whether *contact* holds what *body* would have written: our own create came through."""
    return _holds(body, contact, ("number", "displayName", "companyNumber"))
