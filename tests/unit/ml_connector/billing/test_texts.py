"""Texts and account fields as Salesforce takes them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ml_connector.billing.status import (
    account_fields,
    account_notice,
    invoice_numbers,
    message_text,
    sync_fields,
    sync_status,
)
from ml_connector.domain.identifiers import State
from tests.builders.business_central import customer, financial_detail


def test_no_invoice_numbers_is_null() -> None:
    """An empty list is no text."""
    assert invoice_numbers([]) is None


def test_invoice_numbers_overflow_ends_in_a_count() -> None:
    """As many as fit, then how many more there are; never longer than the field."""
    numbers = [f"PS-INV{number:06d}" for number in range(40)]
    text = invoice_numbers(numbers) or ""

    assert len(text) <= 255
    assert text.startswith("PS-INV000000, PS-INV000001")
    kept = text.rpartition(" +")[0].count(",") + 1
    assert text.endswith(f" +{40 - kept}")


def test_invoice_numbers_that_just_fit_are_all_listed() -> None:
    """255 characters are allowed."""
    numbers = ["N" * 20] * 11 + ["N" * 13]

    assert len(", ".join(numbers)) == 255
    assert invoice_numbers(numbers) == ", ".join(numbers)


def test_one_endless_number_becomes_a_count() -> None:
    """Even that never breaks the field."""
    assert invoice_numbers(["N" * 300]) == "+1"


def test_a_long_message_is_cut_at_a_word() -> None:
    """And says so with an ellipsis."""
    text = message_text("word " * 80) or ""

    assert len(text) <= 255
    assert text.endswith("word…")


def test_messages_without_text_are_null() -> None:
    """Blank, empty and None alike."""
    assert message_text(None) is message_text("") is message_text("  \n ") is None


def test_a_message_keeps_emoji_whole() -> None:
    """The limit counts UTF-16 units and never halves a character."""
    text = message_text("🚚" * 300) or ""

    assert len(text.encode("utf-16-le")) // 2 <= 255
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (State.WRITTEN, "Synced"),
        (State.UNCHANGED, "Synced"),
        (State.WAITING, "Waiting"),
        (State.PARKED, "Parked"),
        (State.EXCLUDED, "Excluded"),
    ],
)
def test_states_have_the_names_of_the_contract(state: State, shown: str) -> None:
    """Each ledger state is one of four words."""
    assert sync_status(state) == shown
    assert sync_fields(state, "why") == {
        "BC_Sync_Status__c": shown,
        "BC_Sync_Message__c": "why",
    }


def test_account_money_in_local_currency() -> None:
    """Balance, overdue and limit are written when the Account is in BC's currency."""
    fields = account_fields(
        customer(creditLimit=Decimal(500), blocked="Ship"), financial_detail(), "usd", "USD"
    )

    assert fields == {
        "BC_Balance__c": Decimal("100.00"),
        "BC_Overdue__c": Decimal("40.00"),
        "BC_Credit_Limit__c": Decimal("500.00"),
        "BC_Blocked__c": "Ship",
    }
    assert account_notice("USD", "usd") == ""


def test_account_money_in_another_currency_is_null_and_said() -> None:
    """The block is shown all the same."""
    fields = account_fields(customer(), financial_detail(), "EUR", "USD")

    assert fields == dict.fromkeys(
        ("BC_Balance__c", "BC_Overdue__c", "BC_Credit_Limit__c", "BC_Blocked__c")
    )
    assert "EUR" in account_notice("EUR", "USD")
    assert "no currency" in account_notice("", "USD")


def test_account_without_financial_details_has_no_amounts() -> None:
    """Nothing is invented when BC gave no details."""
    fields = account_fields(customer(), None, "USD", "USD")

    assert fields["BC_Balance__c"] is None
    assert fields["BC_Credit_Limit__c"] is None
