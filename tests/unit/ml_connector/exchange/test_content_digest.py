"""What counts as a change of a Salesforce record."""

from __future__ import annotations

from typing import Any

from ml_connector.exchange.collect import content_digest

ROW: dict[str, Any] = {"Id": "001", "Name": "Adatum", "Phone": None, "SystemModstamp": "a"}


def test_an_empty_field_is_no_content_however_it_is_told() -> None:
    """Two resources of Salesforce may tell the same record with and without its nulls."""
    assert content_digest({"Name": "Adatum", "Id": "001"}) == content_digest(ROW)
    assert content_digest(ROW | {"Phone": "1"}) != content_digest(ROW)


def test_stamps_and_our_own_fields_are_no_content() -> None:
    """Our write-back must not look like somebody's edit."""
    touched = ROW | {"SystemModstamp": "b", "BC_Balance__c": 5, "attributes": {}}
    assert content_digest(touched) == content_digest(ROW)
