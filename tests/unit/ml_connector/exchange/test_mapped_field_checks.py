"""What `check` says about the fields that the policy maps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ml_connector.configuration.fields import FieldMapping
from ml_connector.exchange.check_line import Level
from ml_connector.exchange.salesforce_record_checks import mapped_fields


def systems(owner: Any, *, updateable: bool | None) -> Any:
    """Return systems with one mapped field; *updateable* None: the org lacks it."""
    fields = {} if updateable is None else {"Region__c": SimpleNamespace(updateable=updateable)}
    describe = SimpleNamespace(has=fields.__contains__, fields=fields)
    mapping = FieldMapping(
        salesforce="Account.Region__c",
        business_central="customers.taxAreaDisplayName",
        owner=owner,
    )
    return SimpleNamespace(
        policy=SimpleNamespace(fields=(mapping,)),
        salesforce=SimpleNamespace(describe=lambda _: describe),
    )


@pytest.mark.parametrize("updateable", [None, False])
def test_a_mapped_field_that_cannot_work_blocks(updateable: bool | None) -> None:
    """It is named, before a sync stumbles over it."""
    (line,) = mapped_fields(systems("business_central", updateable=updateable))

    assert line.level is Level.BLOCKING
    assert "Account.Region__c" in line.message


def test_a_mapped_field_that_works_is_no_news() -> None:
    """Nothing is said."""
    assert list(mapped_fields(systems("business_central", updateable=True))) == []
