"""What becomes of a Contact."""

from __future__ import annotations

from typing import Any

from ml_connector.customers.planning import (
    agreed_contact,
    contact_content_agrees,
    plan_contact,
)
from ml_connector.customers.policy import CustomersPolicy
from ml_connector.domain.causes import Cause
from ml_connector.domain.decision import Create, Exclude, Link, Need, Park, Unchanged, Update, Wait
from ml_connector.domain.identifiers import Kind, State
from tests.builders import business_central as bc
from tests.builders.contexts import customer_context
from tests.builders.salesforce import ACCOUNT_ID, contact

POLICY = CustomersPolicy()


def plan(a_contact: Any = None, *, base: Any = None, policy: Any = POLICY, **facts: Any) -> Any:
    """Plan a Contact of a written customer."""
    defaults: dict[str, Any] = {
        "linked": None,
        "by_number": None,
        "company_contact_number": "CT1",
        "account_state": State.WRITTEN,
    }
    return plan_contact(
        a_contact or contact(),
        **defaults | facts,
        context=customer_context(base=base),
        policy=policy,
    )


def test_a_contact_of_a_customer_is_created_under_its_company() -> None:
    """Its number is its id."""
    decision = plan()

    assert isinstance(decision, Create)
    assert decision.body["number"] == "003000000000001AAA"
    assert decision.body["companyNumber"] == "CT1"


def test_a_private_contact_is_excluded() -> None:
    """It belongs to no customer."""
    decision = plan(contact(AccountId=None))

    assert isinstance(decision, Exclude)
    assert decision.cause is Cause.NO_ACCOUNT


def test_the_person_of_a_person_account_is_left_out() -> None:
    """The customer is that person; BC has no company to put the person under."""
    decision = plan(contact(IsPersonAccount=True), company_contact_number=None)

    assert isinstance(decision, Exclude)
    assert decision.cause is Cause.NOT_QUALIFYING


def test_a_contact_follows_its_accounts_fate() -> None:
    """Excluded with it, waiting for it."""
    excluded = plan(company_contact_number=None, account_state=State.EXCLUDED)
    waiting = plan(company_contact_number=None, account_state=State.PARKED)
    unseen = plan(company_contact_number="", account_state=None)

    assert excluded.cause is Cause.ACCOUNT_EXCLUDED
    assert isinstance(waiting, Wait)
    assert waiting.needs == (Need(Kind.CUSTOMER, ACCOUNT_ID),)
    assert unseen.cause is Cause.MISSING_CUSTOMER


def test_a_contact_waits_for_the_company_contact_of_a_written_customer() -> None:
    """The Account is a customer already: finance lacks a setting, sales has nothing to cure."""
    decision = plan(company_contact_number=None, account_state=State.UNCHANGED)

    assert isinstance(decision, Wait)
    assert decision.cause is Cause.MISSING_COMPANY_CONTACT
    assert decision.needs == ()


def test_contacts_may_be_left_out() -> None:
    """By policy."""
    assert isinstance(plan(policy=CustomersPolicy(contacts=False)), Exclude)


def test_a_contact_with_our_number_is_ours() -> None:
    """Another number is not."""
    assert isinstance(plan(by_number=bc.contact(companyNumber="CT1")), Link)
    assert isinstance(plan(by_number=bc.contact(number="CT9")), Create)


def test_a_linked_contact_follows_its_changes() -> None:
    """Three-way, company included."""
    base = agreed_contact(contact(), "CT1", customer_context(), POLICY)
    same = bc.contact(companyNumber="CT1")
    moved = plan(linked=same, base=base, company_contact_number="CT2")

    assert isinstance(plan(linked=same, base=base), Unchanged)
    assert isinstance(moved, Update)
    assert moved.changes == {"companyNumber": "CT2"}


def test_a_contact_bc_would_refuse_is_parked() -> None:
    """With the Contact's name in the message."""
    decision = plan(contact(Phone="call me"))

    assert isinstance(decision, Park)
    assert decision.message.startswith('Contact "Robert Townes": phone "call me"')


def test_content_agrees_when_our_own_create_came_through() -> None:
    """Number, name and company."""
    body = plan().body

    assert contact_content_agrees(body, bc.contact(companyNumber="CT1"))
    assert not contact_content_agrees(body, bc.contact(companyNumber="CT2"))
