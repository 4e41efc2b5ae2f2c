"""Reading notifications: what is understood, and what is taken for none of ours."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ml_connector.business_central.notifications import (
    ChangeType,
    Resource,
    read_instant,
    read_notification,
    read_resource,
)
from ml_connector.errors import ContractError

COMPANY = "b18aed47-c385-49d2-b954-dbdf8ad71780"
RECORD = "26814998-936a-401c-81c1-0e848a64971d"
BASE = f"api/v2.0/companies({COMPANY})/items"


@pytest.mark.parametrize(
    "text",
    [
        f"{BASE}({RECORD})",
        f"/{BASE}({RECORD})",
        f"companies({COMPANY})/items({RECORD})",
        f"https://api.example/v2.0/tenant/Production/{BASE}({RECORD.upper()})",
    ],
)
def test_a_record_is_found_in_every_documented_form(text: str) -> None:
    """Leading slash, host and case make no difference."""
    assert read_resource(text) == Resource(COMPANY, "items", RECORD)


def test_a_collection_says_since_when() -> None:
    """The filter of a collection is understood, encoded or not; without one there is no time."""
    since = datetime(2026, 11, 20, 9, 59, 59, 950_000, tzinfo=UTC)
    encoded = f"{BASE}?$filter=lastModifiedDateTime%20gt%202026-11-20T09:59:59.95Z"

    assert read_resource(encoded).since == since
    assert read_resource(encoded.replace("%20", " ")).since == since
    assert read_resource(encoded.replace(":", "%3A")).since == since
    assert read_resource(BASE) == Resource(COMPANY, "items")


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        7,
        "items",
        f"{BASE}('{RECORD}')",
        f"{BASE}({RECORD})/picture",
        f"{BASE}({RECORD})?$filter=lastModifiedDateTime gt 2026-11-20T09:59:59Z",
        f"{BASE}?$filter=number eq '1'",
        f"{BASE}?$expand=x",
        f"http://api.example/{BASE}({RECORD})",
        f"https://api.example/../{BASE}({RECORD})",
        f"https://api.example/%2e%2e/{BASE}({RECORD})",
        f"{BASE}%28{RECORD}%29",
        f"{BASE}({RECORD})\n",
        f"api/v1.0/companies({COMPANY})/items({RECORD})",
        f"api/v2.0/companies(x)/items({RECORD})",
        "x" * 100_000,
    ],
)
def test_anything_else_is_none_of_ours(text: Any) -> None:
    """What does not fit is refused with a code, and nothing of it is used."""
    with pytest.raises(ContractError) as caught:
        read_resource(text)

    assert caught.value.code == "resource"


@pytest.mark.parametrize("kind", ["renamed", "", None, "Created", "collection"])
def test_an_unknown_kind_of_change_is_refused(kind: Any) -> None:
    """Only the four documented kinds count, and a record is no collection."""
    with pytest.raises(ContractError) as caught:
        read_notification({"resource": f"{BASE}({RECORD})", "changeType": kind})

    assert caught.value.code == "change_type"


def test_a_notification_carries_its_time() -> None:
    """Time and kind come out typed."""
    found = read_notification(
        {
            "subscriptionId": "s1",
            "resource": f"{BASE}({RECORD})",
            "changeType": "deleted",
            "lastModifiedDateTime": "2018-10-26T12:54:20.467Z",
        }
    )

    assert found.change_type is ChangeType.DELETED
    assert found.changed_at == datetime(2018, 10, 26, 12, 54, 20, 467_000, tzinfo=UTC)


@pytest.mark.parametrize("text", [None, "", "0001-01-01T00:00:00Z", "yesterday", "2026-13-01T"])
def test_a_blank_time_is_none(text: Any) -> None:
    """BC's blank time says nothing."""
    assert read_instant(text) is None
