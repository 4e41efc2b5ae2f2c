"""Which customer an Account is, and what changes later."""

from __future__ import annotations

from typing import Any

import pytest

from ml_connector.business_central.models import Customer
from ml_connector.customers.matching import CustomerIndex
from ml_connector.customers.planning import (
    CustomerCandidates,
    agreed,
    content_agrees,
    exclusion,
    plan_customer,
    qualifies,
    target,
)
from ml_connector.customers.policy import CustomersPolicy
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Create, Link, Park, Unchanged, Update
from ml_connector.salesforce.models import Account
from tests.builders.business_central import CUSTOMER_ID, customer, guid
from tests.builders.contexts import customer_context
from tests.builders.salesforce import ACCOUNT_ID, account, salesforce_id

POLICY = CustomersPolicy()
TAX = CustomersPolicy(tax_id_field="Tax__c")
OTHER = salesforce_id("001", 2)
ADDRESS = {
    "BillingStreet": "1 Main Street",
    "BillingCity": "Boston",
    "BillingState": "MA",
    "BillingPostalCode": "02101",
    "BillingCountry": "USA",
}


def plan(
    an_account: Account | None = None,
    *,
    linked: Customer | None = None,
    shared_with: tuple[str, ...] = (),
    policy: CustomersPolicy = POLICY,
    base: Any = None,
    extra: Any = None,
    **candidates: Any,
) -> Any:
    """Plan an Account with these candidates."""
    return plan_customer(
        an_account or account(),
        linked=linked,
        candidates=CustomerCandidates(**candidates),
        shared_with=shared_with,
        context=customer_context(base=base, extra=extra or {}),
        policy=policy,
    )


def base_of(an_account: Account, policy: CustomersPolicy = POLICY) -> dict[str, Any]:
    """Return what was agreed when *an_account* was written."""
    return agreed(an_account, customer_context(), policy)


def assert_parked(decision: Any, cause: Cause, *parts: str) -> None:
    """The decision is a Park with that cause and these words."""
    assert isinstance(decision, Park), decision
    assert decision.cause is cause
    for part in ("Account", *parts):
        assert part in decision.message


@pytest.mark.parametrize(
    ("policy", "kind", "has_order", "expected"),
    [
        ("type_or_order", "Customer - Direct", False, True),
        ("type_or_order", "customer", False, True),
        ("type_or_order", "Prospect", False, False),
        ("type_or_order", "Prospect", True, True),
        ("type_or_order", None, False, False),
        ("order", "Customer", False, False),
        ("order", None, True, True),
        ("all", None, False, True),
        ("Type = 'X'", "Customer", True, False),
    ],
)
def test_which_accounts_qualify(
    policy: str, kind: str | None, has_order: bool, expected: bool
) -> None:
    """By type, by order, all, or by a condition that Salesforce evaluates."""
    assert qualifies(account(Type=kind), has_order, CustomersPolicy(qualify=policy)) is expected


def test_a_condition_that_holds_qualifies() -> None:
    """Salesforce said so."""
    policy = CustomersPolicy(qualify="Type = 'X'")

    assert qualifies(account(), False, policy, matches_condition=True)
    assert "Type = 'X'" in exclusion(account(), policy).message


def test_a_new_account_is_created_with_its_number_first() -> None:
    """The rule says where the number came from."""
    numbered = plan(account(AccountNumber="C-1"))
    by_id = plan()
    by_series = plan(policy=CustomersPolicy(number="bc_series"))

    assert isinstance(numbered, Create)
    assert next(iter(numbered.body.items())) == ("number", "C-1")
    assert numbered.rule == "account_number"
    assert by_id.body["number"] == ACCOUNT_ID.upper()
    assert by_id.rule == "account_id"
    assert "number" not in by_series.body


def test_an_account_that_cannot_be_mapped_is_parked() -> None:
    """Before anything is written."""
    assert_parked(plan(account(BillingCountry="Wonderland")), Cause.UNKNOWN_COUNTRY, "Wonderland")


def test_the_ladder_links_by_external_id_then_number_then_tax_id() -> None:
    """The first rung with a hit decides."""
    by_id, by_number, by_tax = (
        customer(id=guid(0xC0 + n), number=f"C{n}", taxRegistrationNumber="DE 1") for n in range(3)
    )
    found = account(AccountNumber="c1", Tax__c="de-1")

    first = plan(found, policy=TAX, by_external_id=by_id, by_number=[by_number], by_tax_id=[by_tax])
    second = plan(found, policy=TAX, by_number=[by_number], by_tax_id=[by_tax])
    third = plan(found, policy=TAX, by_tax_id=[by_tax])

    assert [first.rule, second.rule, third.rule] == ["external_id", "number", "tax_id"]
    assert [first.bc_number, second.bc_number, third.bc_number] == ["C0", "C1", "C2"]


def test_a_rung_left_out_of_the_policy_links_nothing() -> None:
    """A taken number then gives way to the id."""
    policy = CustomersPolicy(match=("external_id",))
    decision = plan(account(AccountNumber="10000"), by_number=[customer()], policy=policy)

    assert isinstance(decision, Create)
    assert decision.body["number"] == ACCOUNT_ID.upper()


def test_several_hits_are_ambiguous() -> None:
    """With the candidates to choose from."""
    twins = [customer(id=guid(n), number=f"C{n}", taxRegistrationNumber="1") for n in (1, 2)]
    decision = plan(account(Tax__c="1"), policy=TAX, by_tax_id=twins)

    assert_parked(decision, Cause.AMBIGUOUS_CUSTOMER, "2 BC customers by tax id: C1, C2")
    assert [each.bc_number for each in decision.candidates] == ["C1", "C2"]


def test_one_customer_found_twice_is_one_hit() -> None:
    """The same record from two look-ups."""
    assert isinstance(
        plan(account(AccountNumber="10000"), by_number=[customer(), customer()]), Link
    )


def test_hits_are_checked_again() -> None:
    """A look-up may have found more than was asked for."""
    decision = plan(
        account(AccountNumber="10001", Tax__c=""),
        policy=TAX,
        by_number=[customer()],
        by_tax_id=[customer()],
    )

    assert isinstance(decision, Create)


@pytest.mark.parametrize(
    ("fields", "properties", "reason"),
    [
        ({"BillingPostalCode": "021 01"}, {"postalCode": "02101"}, "name and postal code"),
        (
            {"Website": "https://www.adatum.example"},
            {"email": "info@adatum.example"},
            "name and mail domain",
        ),
        ({"Website": "adatum.example"}, {"website": "adatum.example"}, "name and mail domain"),
    ],
)
def test_the_same_name_at_the_same_place_is_a_possible_duplicate(
    fields: dict[str, Any], properties: dict[str, Any], reason: str
) -> None:
    """A person decides."""
    decision = plan(account(**fields), by_name=[customer(**properties)])

    assert_parked(decision, Cause.POSSIBLE_DUPLICATE, "10000", reason)


def test_mail_domains_of_contacts_count_as_well() -> None:
    """An Account has no mail address of its own."""
    decision = plan(
        by_mail_domain=[customer(email="info@adatum.example")],
        mail_domains=frozenset({"adatum.example"}),
    )

    assert_parked(decision, Cause.POSSIBLE_DUPLICATE)


def test_the_name_alone_is_no_duplicate() -> None:
    """Nor is a blank postal code on both sides, nor a provider's domain."""
    provider = customer(email="someone@gmail.com", postalCode="")

    assert isinstance(plan(account(Website="gmail.com"), by_name=[provider]), Create)
    assert isinstance(plan(account(Name="Other"), by_name=[customer()]), Create)


def test_two_accounts_of_one_customer_are_parked() -> None:
    """Whether it exists or would be created; the Account itself is no other."""
    existing = plan(
        account(AccountNumber="10000"), by_number=[customer()], shared_with=(ACCOUNT_ID, OTHER)
    )
    new = plan(account(AccountNumber="X"), shared_with=(OTHER,))

    assert_parked(existing, Cause.SHARED_CUSTOMER, OTHER, "BC customer 10000")
    assert_parked(new, Cause.SHARED_CUSTOMER, "one BC customer")
    assert isinstance(plan(shared_with=(ACCOUNT_ID,)), Create)


def test_targets_group_accounts_by_customer() -> None:
    """By the customer found, else by the number it would get."""
    numbered = account(AccountNumber=" c-1 ")
    none = CustomerCandidates()
    found = CustomerCandidates(by_number=[customer(number="C-1")])

    def of(**facts: Any) -> str:
        return target(numbered, **{"linked": None, "candidates": none, "policy": POLICY} | facts)

    assert of() == "number:C-1"
    assert of(candidates=found) == f"id:{CUSTOMER_ID}"
    assert of(linked=customer()) == f"id:{CUSTOMER_ID}"
    assert of(policy=CustomersPolicy(number="bc_series")) == ""


def test_a_first_link_fills_blanks_only() -> None:
    """What BC has stays; what Salesforce does not have is not cleared."""
    existing = customer(phoneNumber="1", email="x@y.z")
    decision = plan(
        account(AccountNumber="10000", Phone="2", Website="adatum.example", **ADDRESS),
        by_number=[existing],
    )

    assert decision.changes == {
        "country": "US",
        "addressLine1": "1 Main Street",
        "postalCode": "02101",
        "city": "Boston",
        "state": "MA",
        "website": "adatum.example",
    }
    assert set(decision.before.values()) == {""}


def test_half_an_address_is_not_mixed_with_another() -> None:
    """Another city in BC keeps the whole address of BC; an equal part lets the rest in."""
    in_paris = customer(city="Paris")
    in_boston = customer(city="Boston")
    found = account(AccountNumber="10000", **ADDRESS)

    assert plan(found, by_number=[in_paris]).changes == {}
    assert plan(found, by_number=[in_boston]).changes["addressLine1"] == "1 Main Street"


def test_a_first_link_may_change_nothing_or_everything() -> None:
    """By policy; type and currency are written at creation only."""
    found = account(AccountNumber="10000", Name="New name", Phone="2", CurrencyIsoCode="EUR")
    nothing = plan(found, by_number=[customer()], policy=CustomersPolicy(on_link="nothing"))
    everything = plan(
        found,
        by_number=[customer(phoneNumber="1", website="old.example")],
        policy=CustomersPolicy(on_link="overwrite"),
    )

    assert nothing.changes == {}
    assert everything.changes == {"displayName": "New name", "phoneNumber": "2"}


def test_what_was_not_read_is_never_blank() -> None:
    """A customer from the index was read in part."""
    partial = Customer.model_validate(
        {"id": CUSTOMER_ID, "number": "10000", "displayName": "Adatum Corporation"}
    )

    assert plan(account(AccountNumber="10000", Phone="2"), by_number=[partial]).changes == {}


def test_a_first_link_is_hindered_only_by_what_it_would_write() -> None:
    """An invalid phone matters where BC has none; later runs agree."""
    odd = account(AccountNumber="10000", Phone="call me")
    with_phone = customer(phoneNumber="1")

    assert_parked(plan(odd, by_number=[customer()]), Cause.INVALID_PHONE)
    assert isinstance(plan(odd, by_number=[with_phone]), Link)
    assert isinstance(plan(odd, linked=with_phone, base=base_of(odd)), Unchanged)


def test_custom_fields_of_salesforce_win_on_both_occasions() -> None:
    """Also over a value BC has, also to clear it."""
    found = account(AccountNumber="10000")
    existing = customer(salespersonCode="XX")
    first = plan(found, by_number=[existing], extra={"salespersonCode": "JO"})
    cleared = plan(found, by_number=[existing], extra={"salespersonCode": ""})
    later = plan(found, linked=existing, base=base_of(found), extra={"salespersonCode": "JO"})

    assert first.changes == {"salespersonCode": "JO"}
    assert cleared.changes == {"salespersonCode": ""}
    odd = plan(found, by_number=[existing], extra={"noSuchProperty": "x"})
    assert odd.before == {"noSuchProperty": None}
    assert later.changes == {"salespersonCode": "JO"}


def test_an_unchanged_account_is_unchanged() -> None:
    """Also when BC changed a value since: BC's edit stays."""
    before = account(Phone="1")
    edited_in_bc = customer(phoneNumber="999", city="Paris")

    assert plan(before, linked=edited_in_bc, base=base_of(before)) == Unchanged(
        CUSTOMER_ID, "10000"
    )


def test_a_change_in_salesforce_follows() -> None:
    """With the value before, the tag and only what differs."""
    decision = plan(
        account(Phone="2"), linked=customer(phoneNumber="1"), base=base_of(account(Phone="1"))
    )

    assert decision == Update(
        CUSTOMER_ID,
        "10000",
        'W/"customer"',
        {"phoneNumber": "2"},
        {"phoneNumber": "1"},
        "three_way",
    )


def test_a_change_that_bc_has_already_is_not_sent() -> None:
    """No idle write; codes compare folded."""
    before, after = account(BillingPostalCode="1"), account(BillingPostalCode=" ab 1")

    assert isinstance(
        plan(after, linked=customer(postalCode="AB 1"), base=base_of(before)), Unchanged
    )


def test_a_value_cleared_in_salesforce_clears_bc_unless_bc_changed_it() -> None:
    """Somebody in BC knew better."""
    base = base_of(account(Phone="1"))

    assert plan(linked=customer(phoneNumber="1"), base=base).changes == {"phoneNumber": ""}
    assert isinstance(plan(linked=customer(phoneNumber="2"), base=base), Unchanged)


def test_what_was_never_agreed_fills_blanks() -> None:
    """A link without base, or a property the policy added since."""
    with_phone = account(Phone="1")

    assert plan(with_phone, linked=customer()).changes == {"phoneNumber": "1"}
    assert plan(with_phone, linked=customer(), base={}).changes["phoneNumber"] == "1"
    assert isinstance(plan(with_phone, linked=customer(phoneNumber="2"), base={}), Unchanged)


def test_a_change_to_what_bc_does_not_take_is_parked() -> None:
    """The old value stays in BC."""
    decision = plan(
        account(Phone="call me"), linked=customer(phoneNumber="1"), base=base_of(account(Phone="1"))
    )

    assert_parked(decision, Cause.INVALID_PHONE)


def test_a_changed_currency_of_a_linked_customer_is_not_sent() -> None:
    """Its entries depend on it; neither is an unknown one a reason to park."""
    base = base_of(account())

    assert isinstance(plan(account(CurrencyIsoCode="EUR"), linked=customer(), base=base), Unchanged)
    assert isinstance(plan(account(CurrencyIsoCode="CHF"), linked=customer(), base=base), Unchanged)


def test_content_agrees_when_our_own_create_came_through() -> None:
    """Number, name and country; completed addresses are forgiven."""
    body = {"number": "10000", "displayName": "Adatum Corporation", "country": "US", "city": "x"}

    assert content_agrees(body, customer(country="US", city="Boston"))
    assert not content_agrees(body, customer(country="DE"))
    assert not content_agrees(body, customer(displayName="Other", country="US"))
    assert not content_agrees(body, customer(number="2", country="US"))


def test_the_index_finds_by_number_name_and_tax_id() -> None:
    """Folded, and customers can be added later."""
    index = CustomerIndex([customer(taxRegistrationNumber="DE 1")])
    index.add(customer(id=guid(2), number="2", displayName="Second"))
    found = index.candidates(
        account(AccountNumber="10000", Name="ADATUM corporation", Tax__c="de1"), TAX
    )
    second = index.candidates(account(Name="second", AccountNumber=None), POLICY)
    nothing = index.candidates(account(Name=None), POLICY, mail_domains=frozenset({"a.b"}))

    assert [len(each) for each in (found.by_number, found.by_name, found.by_tax_id)] == [1, 1, 1]
    assert [each.number for each in second.by_name] == ["2"]
    assert nothing.by_name == () == nothing.by_tax_id
    assert nothing.mail_domains == {"a.b"}
