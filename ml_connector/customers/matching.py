"""Which customers of BC an Account could be: the match ladder and what it searches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ml_connector.business_central.models import Customer
from ml_connector.customers.mapping import (
    account_number,
    customer_number,
    described,
    folded_name,
    mail_domain,
    tax_id,
    tax_key,
)
from ml_connector.customers.policy import CustomersPolicy
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Candidate, Park
from ml_connector.domain.identifiers import folded
from ml_connector.salesforce.models import Account


@dataclass(frozen=True, slots=True)
class CustomerCandidates:
    """Customers of BC that an Account could be, by how they were found.

    `mail_domains` are the domains of the Account's Contacts, besides that of its website.
    """

    by_external_id: Customer | None = None
    by_number: Sequence[Customer] = ()
    by_tax_id: Sequence[Customer] = ()
    by_name: Sequence[Customer] = ()
    by_mail_domain: Sequence[Customer] = ()
    mail_domains: frozenset[str] = frozenset()


class CustomerIndex:
    """Every customer of BC, found by what the ladder compares.

    The customers may have been read in part (id, number, name, postal code, e-mail, website, tax
    id): before one is linked it has to be read in full, since a property that was not read is
    never taken for blank.
    """

    def __init__(self, customers: Iterable[Customer]) -> None:
        self._by_number: dict[str, list[Customer]] = defaultdict(list)
        self._by_tax_id: dict[str, list[Customer]] = defaultdict(list)
        self._by_name: dict[str, list[Customer]] = defaultdict(list)
        for customer in customers:
            self.add(customer)

    def add(self, customer: Customer) -> None:
        """Let *customer* be found as well, for example one just created."""
        self._by_number[folded(customer.number)].append(customer)
        self._by_name[folded_name(customer.display_name)].append(customer)
        tax = tax_key(customer.tax_registration_number)
        if tax:
            self._by_tax_id[tax].append(customer)

    def candidates(
        self,
        account: Account,
        policy: CustomersPolicy,
        *,
        by_external_id: Customer | None = None,
        mail_domains: frozenset[str] = frozenset(),
    ) -> CustomerCandidates:
        """Return the customers that *account* could be."""
        tax = tax_key(tax_id(account, policy))
        name = folded_name(account.name)
        return CustomerCandidates(
            by_external_id=by_external_id,
            by_number=tuple(self._by_number.get(account_number(account), ())),
            by_tax_id=tuple(self._by_tax_id.get(tax, ())) if tax else (),
            by_name=tuple(self._by_name.get(name, ())) if name else (),
            mail_domains=mail_domains,
        )


def candidate(customer: Customer) -> Candidate:
    """Return a customer for a person to choose."""
    return Candidate(customer.id, customer.number, customer.display_name)


def target(
    account: Account,
    *,
    linked: Customer | None,
    candidates: CustomerCandidates,
    policy: CustomersPolicy,
) -> str:
    """Return a key for the customer an Account leads to; Accounts with one key share a customer.

    Shape: "id:<bc id>" of an existing one, "number:<number>" of one to be created, "" when neither
    is known.
    """
    if linked is not None:
        return f"id:{linked.id}"
    hits, _ = matches(account, candidates, policy)
    if len(hits) == 1:
        return f"id:{hits[0].id}"
    number = customer_number(account, policy, taken=number_taken(account, candidates))
    return f"number:{number}" if number else ""


RUNGS: Mapping[str, str] = {
    "external_id": "BC Customer Id",
    "number": "Account number",
    "tax_id": "tax id",
    "": "",
}


def matches(
    account: Account, candidates: CustomerCandidates, policy: CustomersPolicy
) -> tuple[list[Customer], str]:
    """Return the hits of the first rung that has any, and the rung; [] and "" for none."""
    number, tax = account_number(account), tax_key(tax_id(account, policy))
    by_external_id = candidates.by_external_id
    rungs: Mapping[str, Iterable[Customer]] = {
        "external_id": (by_external_id,) if by_external_id is not None else (),
        "number": (c for c in candidates.by_number if number and folded(c.number) == number),
        "tax_id": (
            c for c in candidates.by_tax_id if tax and tax_key(c.tax_registration_number) == tax
        ),
    }
    for rung in policy.match:
        hits = _distinct(rungs[rung])
        if hits:
            return hits, rung
    return [], ""


def _distinct(customers: Iterable[Customer]) -> list[Customer]:
    return list({customer.id: customer for customer in customers}.values())


def _numbers(customers: Sequence[Customer]) -> str:
    return ", ".join(customer.number for customer in customers[:5])


def number_taken(account: Account, candidates: CustomerCandidates) -> bool:
    """Tell whether a customer has the Account's number already."""
    number = account_number(account)
    return any(number and folded(customer.number) == number for customer in candidates.by_number)


def shared(account: Account, others: Sequence[str], hits: Sequence[Customer]) -> Park:
    """Return the decision about an Account whose customer other Accounts lead to as well."""
    noun = "Account" if len(others) == 1 else "Accounts"
    listed = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    which = f"BC customer {_numbers(hits)}" if hits else "one BC customer"
    return Park(
        Cause.SHARED_CUSTOMER,
        f"{described(account)} and {noun} {listed} lead to {which}.",
        candidates=tuple(map(candidate, hits)),
        fields=("AccountNumber",),
    )


def possible_duplicate(account: Account, candidates: CustomerCandidates) -> Park | None:
    """Return what keeps an Account without partner from being created, None when nothing does."""
    name = folded_name(account.name)
    same_name = _distinct(
        customer
        for customer in (*candidates.by_name, *candidates.by_mail_domain)
        if name and folded_name(customer.display_name) == name
    )
    code = postal_key(account.billing_postal_code)
    at_place = [c for c in same_name if code and postal_key(c.postal_code) == code]
    domains = {mail_domain(account.website), *candidates.mail_domains} - {""}
    by_mail = [c for c in same_name if domains & {mail_domain(c.email), mail_domain(c.website)}]
    hits = _distinct((*at_place, *by_mail))
    if not hits:
        return None
    reason = "name and postal code" if at_place else "name and mail domain"
    return Park(
        Cause.POSSIBLE_DUPLICATE,
        f"{described(account)} may be BC customer {_numbers(hits)} already: {reason} are the same.",
        candidates=tuple(map(candidate, hits)),
        fields=("AccountNumber",),
    )


def postal_key(text: str | None) -> str:
    """Return a postal code as two of them are compared."""
    return tax_key(text)
