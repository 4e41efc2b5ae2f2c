"""Accounts as customers and Contacts as person contacts."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.customers.mapping import (
    MappedCustomer,
    account_currency,
    contact_body,
    contact_number,
    customer_body,
    customer_number,
    folded_name,
    mail_domain,
    normal,
    phone_number,
    same_value,
    tax_id,
    tax_key,
)
from ml_connector.customers.policy import CustomersPolicy
from ml_connector.domain.causes import Cause
from ml_connector.domain.identifiers import BLANK_ID
from tests.builders.contexts import customer_context
from tests.builders.salesforce import ACCOUNT_ID, account, contact

POLICY = CustomersPolicy()
TRUNCATING = CustomersPolicy(overflow="truncate")


def mapped(policy: CustomersPolicy = POLICY, **fields: Any) -> MappedCustomer:
    """Map an Account with *fields*."""
    return customer_body(account(**fields), customer_context(), policy)


def test_a_bare_account_is_a_blank_customer() -> None:
    """Missing values are blank text, never null, in validation order."""
    result = mapped()

    assert list(result.body.items()) == [
        ("displayName", "Adatum Corporation"),
        ("type", "Company"),
        ("country", ""),
        ("addressLine1", ""),
        ("addressLine2", ""),
        ("postalCode", ""),
        ("city", ""),
        ("state", ""),
        ("phoneNumber", ""),
        ("website", ""),
        ("currencyCode", "USD"),
    ]
    assert result.problems == () == result.warnings


def test_every_field_is_mapped() -> None:
    """Trimmed, codes in upper case, country by its code."""
    body = mapped(
        CustomersPolicy(tax_id_field="Tax_Id__c"),
        Name="  Møller & Søn  ",
        BillingStreet="Haupt-\r\nstraße 1",
        BillingCity=" Köln ",
        BillingState="NRW",
        BillingPostalCode=" sw1a 1aa ",
        BillingCountry="Deutschland",
        Phone="+49 221 1",
        Website="https://example.com ",
        CurrencyIsoCode="eur",
        Tax_Id__c=" DE 123 ",
    ).body

    assert body["displayName"] == "Møller & Søn"
    assert (body["addressLine1"], body["addressLine2"]) == ("Haupt-", "straße 1")
    assert body["postalCode"] == "SW1A 1AA"
    assert body["city"] == "Köln"
    assert body["country"] == "DE"
    assert body["taxRegistrationNumber"] == "DE 123"
    assert body["currencyCode"] == "EUR"
    assert list(body)[-1] == "currencyCode"


def test_a_person_account_is_a_person() -> None:
    """BC knows the difference."""
    assert mapped(IsPersonAccount=True).body["type"] == "Person"


@pytest.mark.parametrize(
    ("fields", "prop", "cause"),
    [
        ({"Name": "n" * 101}, "displayName", Cause.TEXT_TOO_LONG),
        ({"Name": None}, "displayName", Cause.MISSING_VALUE),
        ({"BillingCity": "c" * 31}, "city", Cause.TEXT_TOO_LONG),
        ({"BillingState": "s" * 31}, "state", Cause.TEXT_TOO_LONG),
        ({"BillingStreet": "s" * 151}, "addressLine1", Cause.TEXT_TOO_LONG),
        ({"Phone": "1" * 31}, "phoneNumber", Cause.TEXT_TOO_LONG),
        ({"Phone": "1-800-FLOWERS"}, "phoneNumber", Cause.INVALID_PHONE),
        ({"BillingCountry": "Wonderland"}, "country", Cause.UNKNOWN_COUNTRY),
        ({"BillingCountryCode": "AQ"}, "country", Cause.UNKNOWN_COUNTRY),
        ({"CurrencyIsoCode": "CHF"}, "currencyCode", Cause.UNKNOWN_CURRENCY),
    ],
)
def test_what_bc_does_not_take_is_a_problem(
    fields: dict[str, Any], prop: str, cause: Cause
) -> None:
    """The property is left out, the message names the Account and the value."""
    result = mapped(**fields)

    assert prop not in result.body
    assert result.unmapped[prop].cause is cause
    assert result.unmapped[prop].message.startswith('Account "')
    assert result.unmapped[prop].fields


def test_emoji_count_twice() -> None:
    """BC counts UTF-16 units."""
    assert mapped(Name="🚚" * 50).problems == ()
    assert mapped(Name="🚚" * 51).problems[0].cause is Cause.TEXT_TOO_LONG


def test_truncating_is_said() -> None:
    """At a word's end, with a warning each; a phone number is left out and not cut."""
    result = mapped(
        TRUNCATING,
        Name="word " * 30,
        BillingCity="Llanfairpwllgwyngyllgogerychwyrndrobwll",
        BillingStreet="street " * 40,
        Phone="1" * 31,
    )

    assert result.problems == ()
    assert result.body["displayName"] == ("word " * 20).strip()
    assert result.body["city"] == "Llanfairpwllgwyngyllgogerychwy"
    assert result.body["phoneNumber"] == ""
    assert len(result.warnings) == 4


def test_a_long_state_falls_back_to_its_code() -> None:
    """Orgs with state picklists have both."""
    long_name = "South Georgia and the South Sandwich Islands"

    assert mapped(BillingState=long_name, BillingStateCode="SG").body["state"] == "SG"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (None, ""),
        ("  ", ""),
        ("+49 (0)30 / 123-45 ext. 6", "+49 (0)30 / 123-45 #6"),
        ("030 123 x7", "030 123 #7"),
        ("030 123x7", "030 123 #7"),
        ("030 123 Durchwahl 7", "030 123 #7"),
        ("Tel.: 030 123", "030 123"),
        ("０３０ １２３", "030 123"),
        ("+1 (555) 010-0000 / +1 (555) 010-0001", "+1555010-0000+1555010-0001"),
        ("call me", None),
        ("030 n/a", None),
        ("-", "-"),
    ],
)
def test_phone_numbers(text: str | None, number: str | None) -> None:
    """Labels go, extensions are marked, letters are refused, long ones lose their blanks."""
    assert phone_number(text) == number


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (" c-100 ", "C-100"),
        (None, ACCOUNT_ID.upper()),
        ("", ACCOUNT_ID.upper()),
        ("9" * 21, ACCOUNT_ID.upper()),
    ],
)
def test_customer_numbers(number: str | None, expected: str) -> None:
    """The Account number when it fits, else the id."""
    assert customer_number(account(AccountNumber=number), POLICY) == expected


def test_a_taken_account_number_gives_way_to_the_id() -> None:
    """And a series of BC's own gives no number at all."""
    numbered = account(AccountNumber="C-1")

    assert customer_number(numbered, POLICY, taken=True) == ACCOUNT_ID.upper()
    assert customer_number(numbered, CustomersPolicy(number="bc_series")) == ""


def test_names_domains_and_tax_ids_are_compared_folded() -> None:
    """Case, blanks, punctuation and full-width letters do not matter."""
    assert folded_name(" ＡＣＭＥ, Inc. ") == folded_name("acme inc")
    assert folded_name(None) == ""
    assert tax_key("de 123.456-x") == "DE123456X"
    assert tax_key(None) == ""


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("https://www.Example.com/path?x=1", "example.com"),
        ("info@example.com", "example.com"),
        ("example.com:8080", "example.com"),
        ("someone@gmail.com", ""),
        ("localhost", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_mail_domains(text: str | None, domain: str) -> None:
    """Of mail and web addresses alike; providers say nothing."""
    assert mail_domain(text) == domain


def test_the_tax_id_comes_from_the_field_of_the_policy() -> None:
    """Without a field there is none; numbers become text."""
    policy = CustomersPolicy(tax_id_field="Tax__c")

    assert tax_id(account(Tax__c=Decimal(5)), policy) == "5"
    assert tax_id(account(Tax__c=None), policy) == ""
    assert tax_id(account(Tax__c="x"), POLICY) == ""


def test_an_org_without_currency_sends_none() -> None:
    """Then BC decides."""
    context = customer_context(org_currency="")

    assert account_currency(account(), context) == ""
    assert "currencyCode" not in customer_body(account(), context, POLICY).body


def test_custom_fields_override_what_could_not_be_mapped() -> None:
    """The owner of a mapped field decides."""
    context = customer_context(extra={"displayName": "Short", "salespersonCode": "JO"})
    result = customer_body(account(Name="n" * 101), context, POLICY)

    assert result.body["displayName"] == "Short"
    assert result.problems == ()


def test_a_contact_is_a_person_of_its_company() -> None:
    """Number, name, company, job, addresses and numbers."""
    body = contact_body(
        contact(
            Title="CEO",
            Email="r@example.com",
            Phone="1",
            MobilePhone="2",
            MailingCity="Paris",
            MailingCountry="Frankreich",
        ),
        "ct000001",
        customer_context(),
        POLICY,
    ).body

    assert body["displayName"] == "Robert Townes"
    assert body["companyNumber"] == "CT000001"
    assert body["country"] == "FR"
    assert body["jobTitle"] == "CEO"
    assert body["email"] == "r@example.com"
    assert contact_number(contact()) == "003000000000001AAA"


def test_a_contact_without_first_name_or_parts() -> None:
    """The compound name is the last resort."""
    only_last = contact(FirstName=None)
    compound = contact(FirstName=None, LastName=None, Name="R. Townes")
    context = customer_context(extra={"searchName": "X"})

    assert contact_body(only_last, "C", customer_context(), POLICY).body["displayName"] == "Townes"
    named = contact_body(compound, "C", context, POLICY).body
    assert named["displayName"] == "R. Townes"
    assert named["searchName"] == "X"


def test_values_are_compared_as_bc_stores_them() -> None:
    """Codes folded, texts trimmed, None is blank, dates as text."""
    assert same_value("country", "de", " DE ")
    assert same_value("city", " Köln", "Köln ")
    assert not same_value("city", "köln", "Köln")
    assert same_value("phoneNumber", None, "")
    assert normal("x", Decimal("1.0")) == 1
    assert same_value("x", date(2026, 3, 1), "2026-03-01")
    assert same_value("x", "0001-01-01", None)
    assert same_value("blocked", "_x0020_", "")
    assert same_value("taxAreaId", BLANK_ID, "")
    assert not same_value("blocked", "Ship", "")
