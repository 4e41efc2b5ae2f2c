"""Bulk query jobs: polled, read page by page, typed, and never cut without notice."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.errors import ContractError, TransientError
from ml_connector.salesforce.bulk_query import bulk_pages, typed
from ml_connector.salesforce.describe import parse_describe
from ml_connector.salesforce.wire import Call

PAGES = {
    "": (b'"Id","Name"\n"1","A, ""quoted""\nline"\n"2",""\n', "next", "2"),
    "next": (b'"Id","Name"\n"3","\xc3\x9c"\n', "null", "1"),
}


class Wire:
    """A Salesforce that knows one job."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.calls: list[tuple[str, str]] = []
        self.pages: dict[str, tuple[bytes, str, str]] = dict(PAGES)

    def send(self, call: Call) -> Any:
        """Answer the calls about the job."""
        self.calls.append((call.method, call.path))
        if call.method == "GET":
            return {"id": "750A", "state": self.states.pop(0)}
        return {"id": "750A", "state": "UploadComplete"} if call.method == "POST" else None

    def download(self, call: Call) -> tuple[bytes, Mapping[str, str]]:
        """Answer a page of the result."""
        content, following, number = self.pages[(call.params or {}).get("locator", "")]
        return content, {"sforce-locator": following, "sforce-numberofrecords": number}


def rows_of(wire: Wire, slept: list[float] | None = None) -> list[dict[str, str | None]]:
    """Return every record of the job."""
    pause = (slept if slept is not None else []).append
    pages = bulk_pages(wire, "SELECT Id FROM Account", pause)  # type: ignore[arg-type]
    return [row for page in pages for row in page]


def test_a_job_is_awaited_read_and_deleted() -> None:
    """Quotes, line breaks and empty values come through; the pauses grow."""
    wire, slept = Wire("UploadComplete", "InProgress", "JobComplete"), list[float]()

    rows = rows_of(wire, slept)

    assert rows == [
        {"Id": "1", "Name": 'A, "quoted"\nline'},
        {"Id": "2", "Name": None},
        {"Id": "3", "Name": "Ü"},
    ]
    assert slept == [0.5, 1.0]
    assert wire.calls[0] == ("POST", "jobs/query")
    assert wire.calls[-1] == ("DELETE", "jobs/query/750A")


def test_a_job_that_cannot_be_deleted_was_read_all_the_same() -> None:
    """Salesforce drops jobs by itself; the records are there."""

    class Keeping(Wire):
        def send(self, call: Call) -> Any:
            if call.method == "DELETE":
                raise ContractError("no such method", status=405)
            assert call.method == "GET" or call.body == {
                "operation": "query",
                "query": "SELECT Id FROM Account",
            }
            return super().send(call)

    assert len(rows_of(Keeping("JobComplete"))) == 3


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_job_that_fails_is_transient(state: str) -> None:
    """The next run asks again."""
    with pytest.raises(TransientError):
        rows_of(Wire("InProgress", state))


def test_a_cut_page_is_no_short_page() -> None:
    """Fewer rows than the header tells are not taken for the whole."""
    wire = Wire("JobComplete")
    wire.pages["next"] = (PAGES["next"][0], "null", "2")

    with pytest.raises(TransientError):
        rows_of(wire)


def test_a_locator_that_repeats_ends_the_reading() -> None:
    """No endless loop over one page."""
    wire = Wire("JobComplete")
    wire.pages["next"] = (PAGES["next"][0], "next", "1")

    with pytest.raises(ContractError):
        rows_of(wire)


def test_values_get_the_types_a_query_gives_them() -> None:
    """Numbers are exact, booleans booleans, an empty number is none."""
    fields = [
        {"name": "Id", "type": "id"},
        {"name": "TotalAmount", "type": "currency"},
        {"name": "BC_Shipped_Percent__c", "type": "percent"},
        {"name": "IsReductionOrder", "type": "boolean"},
        {"name": "BC_Due_Date__c", "type": "date"},
    ]
    describe = parse_describe({"name": "Order", "fields": fields})

    row = typed(
        {
            "Id": "801",
            "TotalAmount": "12.10",
            "BC_Shipped_Percent__c": None,
            "IsReductionOrder": "false",
            "BC_Due_Date__c": "2026-03-01",
        },
        describe,
    )

    assert row == {
        "Id": "801",
        "TotalAmount": Decimal("12.10"),
        "BC_Shipped_Percent__c": None,
        "IsReductionOrder": False,
        "BC_Due_Date__c": "2026-03-01",
    }
    with pytest.raises(ContractError):
        typed({"TotalAmount": "twelve"}, describe)
