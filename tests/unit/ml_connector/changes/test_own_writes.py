"""Own writes are told by user and content: neither alone is enough."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ml_connector.changes.own_writes import OwnWrites
from ml_connector.configuration.settings import Policies
from ml_connector.salesforce.change_event import ChangeEvent

US = "0055g0000000001AAA"


def change(**facts: Any) -> ChangeEvent:
    """Return an event of our own write-back, but for *facts*."""
    values: dict[str, Any] = {
        "entity": "Account",
        "record_ids": ("0015g0000000001AAA",),
        "change_type": "UPDATE",
        "client": "ml-connector",
        "transaction_key": "1",
        "sequence_number": 1,
        "committed_at": datetime(2026, 3, 1, tzinfo=UTC),
        "user_id": US,
        "changed_fields": ("BC_Customer_Number__c", "LastModifiedDate"),
    }
    return ChangeEvent(**{**values, **facts})


def test_a_write_back_is_our_own() -> None:
    """Our user, our client name, our fields only."""
    assert OwnWrites(US, Policies()).made(change())


@pytest.mark.parametrize(
    "facts",
    [
        {"user_id": "0055g0000000002AAA"},
        {"client": ""},
        {"changed_fields": ("BC_Customer_Number__c", "Phone")},
        {"changed_fields": ("BillingAddress.City",)},
        {"changed_fields": ()},
        {"change_type": "CREATE"},
        {"change_type": "DELETE"},
        {"change_type": "GAP_UPDATE"},
    ],
)
def test_anything_else_is_a_change(facts: dict[str, Any]) -> None:
    """Another user or program, another field, or more than an update is never taken for ours."""
    assert not OwnWrites(US, Policies()).made(change(**facts))
