"""Accounts as customers and Contacts as person contacts, field by field."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ml_connector.business_central.models import without_blanks
from ml_connector.customers.policy import CustomersPolicy
from ml_connector.domain.address import country_code, split_street
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Body, Park
from ml_connector.domain.fitting import abridged, cleaned, cut_at_word, width
from ml_connector.domain.identifiers import eighteen, folded
from ml_connector.salesforce.models import Account, Contact

NUMBER_LIMIT = 20

_CODES = frozenset({"country", "postalCode", "currencyCode", "number", "companyNumber"})
"""Properties that BC stores trimmed and in upper case."""

_FREE_MAIL = frozenset(
    {
        "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com",
        "yahoo.com", "yahoo.co.uk", "yahoo.de", "icloud.com", "me.com", "aol.com", "gmx.de",
        "gmx.net", "gmx.com", "web.de", "t-online.de", "freenet.de", "proton.me",
        "protonmail.com", "mail.com", "orange.fr", "free.fr", "wanadoo.fr", "libero.it",
        "qq.com", "163.com", "126.com",
    }
)  # fmt: skip
"""Domains of providers: sharing one says nothing about two companies."""


@dataclass(frozen=True, slots=True)
class CustomerContext:
    """What the mapping has to know about BC and about the last agreement.

    `countries`: BC's code → name; `currencies`: BC's foreign currency code → id; `org_currency`: of
    a single-currency org; `base`: the values last agreed, None before the first link; `extra`:
    custom fields that Salesforce owns, by BC property.
    """

    countries: Mapping[str, str]
    currencies: Mapping[str, str]
    local_currency: str
    org_currency: str = ""
    base: Body | None = None
    extra: Body = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MappedCustomer:
    """A mapped record: what BC should hold, and what could not be mapped.

    `unmapped` holds the reason for each property that is missing from `body`; `warnings` are
    sentences about text that the policy shortened.
    """

    body: dict[str, Any]
    unmapped: dict[str, Park]
    warnings: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[Park, ...]:
        """What keeps the record from being created."""
        return tuple(self.unmapped.values())


class _Mapping:
    """Collects the properties of one record; every text passes the overflow policy."""

    def __init__(self, record: str, policy: CustomersPolicy) -> None:
        self.record = record
        self.policy = policy
        self.body: dict[str, Any] = {}
        self.unmapped: dict[str, Park] = {}
        self.warnings: list[str] = []

    def result(self) -> MappedCustomer:
        return MappedCustomer(self.body, self.unmapped, tuple(self.warnings))

    def park(self, name: str, cause: Cause, message: str, source: str) -> None:
        self.body.pop(name, None)
        self.unmapped[name] = Park(cause, f"{self.record}: {message}", fields=(source,))

    def text(self, name: str, value: str | None, limit: int, source: str, label: str) -> None:
        text = cleaned(value)
        if width(text) <= limit:
            self.body[name] = text
        elif self.policy.overflow == "truncate":
            self.body[name] = cut_at_word(text, limit)
            self.warnings.append(
                f'{self.record}: {label} was shortened to "{self.body[name]}" for BC.'
            )
        else:
            self.park(
                name,
                Cause.TEXT_TOO_LONG,
                f'{label} "{abridged(text)}" has {width(text)} characters; BC takes {limit}.',
                source,
            )

    def code(self, name: str, value: str | None, limit: int, source: str, label: str) -> None:
        self.text(name, folded(cleaned(value)), limit, source, label)

    def street(self, value: str | None, source: str, label: str) -> None:
        line1, line2, left = split_street(value)
        self.body["addressLine1"], self.body["addressLine2"] = line1, line2
        if not left:
            return
        if self.policy.overflow == "truncate":
            self.warnings.append(f'{self.record}: {label} was shortened for BC by "{left}".')
            return
        message = (
            f'{label} does not fit on BC\'s two address lines; "{abridged(left)}" is left over.'
        )
        del self.body["addressLine1"], self.body["addressLine2"]
        self.park("addressLine1", Cause.TEXT_TOO_LONG, message, source)

    def state(self, name: str | None, code: str | None, source: str, label: str) -> None:
        fits = width(cleaned(name)) <= 30
        self.text("state", name if fits or not code else code, 30, source, label)

    def country(
        self, code: str | None, name: str | None, countries: Mapping[str, str], source: str
    ) -> None:
        found = country_code((code, name), countries)
        if found is None:
            value = abridged(cleaned(code) or cleaned(name))
            self.park(
                "country",
                Cause.UNKNOWN_COUNTRY,
                f'country "{value}" is not in BC\'s list of countries.',
                source,
            )
        else:
            self.body["country"] = found

    def phone(self, name: str, value: str | None, source: str, label: str) -> None:
        number = phone_number(value)
        if number is None:
            self.park(
                name,
                Cause.INVALID_PHONE,
                f'{label} "{abridged(cleaned(value))}" has letters, which BC does not take.',
                source,
            )
        elif width(number) <= 30:
            self.body[name] = number
        elif self.policy.overflow == "truncate":
            self.body[name] = ""
            self.warnings.append(f'{self.record}: {label} "{number}" is too long and left out.')
        else:
            self.text(name, number, 30, source, label)


_EXTENSION = re.compile(
    r"[\s,;/.-]*(?<![a-z])(?:extension|durchwahl|extn|ext|dw|app|poste|x)(?![a-z])[\s.:#]*(?=\d)",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?:telephone|telefon|tel|phone|fon|mobile|mobil|cell)(?![a-z])[\s.:]*", re.IGNORECASE
)
_FILLING = re.compile(r"[\s()/.]")


def phone_number(value: str | None) -> str | None:
    """Return a phone number as BC takes it, without letters; None when letters are left.

    A leading label ("Tel.") goes, the mark of an extension becomes "#". A number longer than 30
    characters loses its blanks and brackets.
    """
    text = cleaned(unicodedata.normalize("NFKC", value or ""))
    text = _EXTENSION.sub(" #", _LABEL.sub("", text)).strip()
    if any(c.isalpha() for c in text):
        return None
    return text if width(text) <= 30 else _FILLING.sub("", text)


def described(account: Account) -> str:
    """Return how messages name an Account."""
    name = cut_at_word(cleaned(account.name) or account.id, 60, "…")
    number = cleaned(account.account_number)
    return f'Account "{name}" ({number})' if number else f'Account "{name}"'


def described_contact(contact: Contact) -> str:
    """Return how messages name a Contact."""
    return f'Contact "{cut_at_word(person_name(contact) or contact.id, 60, "…")}"'


def customer_number(account: Account, policy: CustomersPolicy, *, taken: bool = False) -> str:
    """Return the number a new customer gets; "" when BC's number series gives it.

    *taken*: another customer has the Account number, so the Account's id is used.
    """
    if policy.number == "bc_series":
        return ""
    number = account_number(account)
    return number if number and not taken else eighteen(account.id).upper()


def account_number(account: Account) -> str:
    """Return the Account number as BC would store it; "" when there is none or it does not fit."""
    number = folded(cleaned(account.account_number))
    return number if width(number) <= NUMBER_LIMIT else ""


def tax_id(account: Account, policy: CustomersPolicy) -> str:
    """Return the Account's tax registration number; "" when the policy names no field."""
    value = account.value(policy.tax_id_field) if policy.tax_id_field else None
    return cleaned(str(value)) if value is not None else ""


def tax_key(text: str | None) -> str:
    """Return a tax registration number as two of them are compared: letters and digits only."""
    return "".join(c for c in (text or "").upper() if c.isalnum())


def folded_name(text: str | None) -> str:
    """Return a company name as two of them are compared."""
    plain = unicodedata.normalize("NFKC", text or "").casefold()
    return " ".join("".join(c if c.isalnum() else " " for c in plain).split())


def mail_domain(text: str | None) -> str:
    """Return the domain of an e-mail or web address; "" for none and for providers of mail."""
    address = cleaned(text).lower()
    address = re.sub(r"^[a-z][a-z0-9+.-]*://", "", address)
    domain = re.split(r"[/?#:]", address.rpartition("@")[2], maxsplit=1)[0]
    domain = domain.removeprefix("www.").strip(".")
    return "" if "." not in domain or domain in _FREE_MAIL else domain


def account_currency(account: Account, context: CustomerContext) -> str:
    """Return the ISO code of the Account's currency; "" when the org does not tell."""
    return folded(account.currency_iso_code or context.org_currency)


def customer_body(
    account: Account, context: CustomerContext, policy: CustomersPolicy
) -> MappedCustomer:
    """Return the customer an Account stands for, without its number, in validation order."""
    mapped = _Mapping(described(account), policy)
    _put_name(mapped, account.name)
    mapped.body["type"] = "Person" if account.is_person_account else "Company"
    mapped.country(
        account.billing_country_code, account.billing_country, context.countries, "BillingCountry"
    )
    mapped.street(account.billing_street, "BillingStreet", "billing street")
    mapped.code(
        "postalCode", account.billing_postal_code, 20, "BillingPostalCode", "billing postal code"
    )
    mapped.text("city", account.billing_city, 30, "BillingCity", "billing city")
    mapped.state(account.billing_state, account.billing_state_code, "BillingState", "billing state")
    mapped.phone("phoneNumber", account.phone, "Phone", "phone")
    mapped.text("website", account.website, 255, "Website", "website")
    if policy.tax_id_field:
        mapped.text(
            "taxRegistrationNumber", tax_id(account, policy), 50, policy.tax_id_field, "tax id"
        )
    _put_currency(mapped, account_currency(account, context), context)
    mapped.body.update(context.extra)
    for name in context.extra:
        mapped.unmapped.pop(name, None)
    return mapped.result()


def _put_name(mapped: _Mapping, name: str | None) -> None:
    if cleaned(name):
        mapped.text("displayName", name, 100, "Name", "name")
    else:
        mapped.park("displayName", Cause.MISSING_VALUE, "it has no name.", "Name")


def _put_currency(mapped: _Mapping, currency: str, context: CustomerContext) -> None:
    if not currency:
        return
    if currency == folded(context.local_currency) or currency in context.currencies:
        mapped.body["currencyCode"] = currency
    else:
        mapped.park(
            "currencyCode",
            Cause.UNKNOWN_CURRENCY,
            f"currency {currency} is not set up in BC.",
            "CurrencyIsoCode",
        )


def contact_number(contact: Contact) -> str:
    """Return the number of a Contact's partner: its id in 18 characters, upper case."""
    return eighteen(contact.id).upper()


def person_name(contact: Contact) -> str:
    """Return a person's name, first name first."""
    parts = cleaned(f"{contact.first_name or ''} {contact.last_name or ''}")
    return parts or cleaned(contact.name)


def contact_body(
    contact: Contact,
    company_contact_number: str,
    context: CustomerContext,
    policy: CustomersPolicy,
) -> MappedCustomer:
    """Return the person contact a Contact stands for, without its number, in validation order."""
    mapped = _Mapping(described_contact(contact), policy)
    mapped.body["type"] = "Person"
    _put_name(mapped, person_name(contact))
    mapped.body["companyNumber"] = folded(company_contact_number)
    mapped.text("jobTitle", contact.title, 30, "Title", "title")
    mapped.country(
        contact.mailing_country_code, contact.mailing_country, context.countries, "MailingCountry"
    )
    mapped.street(contact.mailing_street, "MailingStreet", "mailing street")
    mapped.code(
        "postalCode", contact.mailing_postal_code, 20, "MailingPostalCode", "mailing postal code"
    )
    mapped.text("city", contact.mailing_city, 30, "MailingCity", "mailing city")
    mapped.state(contact.mailing_state, contact.mailing_state_code, "MailingState", "mailing state")
    mapped.phone("phoneNumber", contact.phone, "Phone", "phone")
    mapped.phone("mobilePhoneNumber", contact.mobile_phone, "MobilePhone", "mobile phone")
    mapped.text("email", contact.email, 80, "Email", "e-mail")
    mapped.body.update(context.extra)
    for name in context.extra:
        mapped.unmapped.pop(name, None)
    return mapped.result()


def same_value(name: str, left: Any, right: Any) -> bool:
    """Tell whether two values of a BC property are equal, as BC compares them."""
    return bool(normal(name, left) == normal(name, right))


def normal(name: str, value: Any) -> Any:
    """Return a property's value as two of them are compared: trimmed, codes folded, None is ""."""
    if value is None:
        return ""
    if isinstance(value, date):
        value = value.isoformat()
    if isinstance(value, str):
        return folded(value) if name in _CODES else without_blanks(value)
    return value
