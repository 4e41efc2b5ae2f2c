"""Bulk 2.0 query jobs."""

import csv
import io
from typing import Any


def _finished(org: Any, soql: str, **more: str) -> str:
    body = {"operation": "query", "query": soql, **more}
    job = org.call("POST", "/jobs/query", body).json()
    for _ in range(5):
        state = org.call("GET", f"/jobs/query/{job['id']}").json()["state"]
        if state == "JobComplete":
            return str(job["id"])
    raise AssertionError(state)


def test_results_come_as_csv_page_by_page(org: Any) -> None:
    """The locator leads on and ends with the word null."""
    for number in range(5):
        org.create("Account", Name=f'"{number}", ü', AnnualRevenue=number)
    job = _finished(org, "SELECT Id, Name, AnnualRevenue, Owner.Username FROM Account")
    rows, locator = [], ""
    while locator != "null":
        params = {"maxRecords": "2", **({"locator": locator} if locator else {})}
        page = org.call("GET", f"/jobs/query/{job}/results", params=params)
        assert page.headers["content-type"].startswith("text/csv")
        part = list(csv.DictReader(io.StringIO(page.content.decode())))
        assert page.headers["sforce-numberofrecords"] == str(len(part))
        rows += part
        locator = page.headers["sforce-locator"]
    assert [row["Name"] for row in rows] == [f'"{number}", ü' for number in range(5)]
    assert rows[1]["AnnualRevenue"] == "1.0"
    assert rows[1]["Owner.Username"] == "integration@acme.example"


def test_what_bulk_does_not_take_is_refused(org: Any) -> None:
    """Child queries, aggregates, compound fields and OFFSET are for the query resource."""
    for soql in (
        "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
        "SELECT COUNT() FROM Account",
        "SELECT BillingAddress FROM Account",
        "SELECT Id FROM Account OFFSET 1",
    ):
        body = {"operation": "query", "query": soql}
        assert org.call("POST", "/jobs/query", body).status_code == 400
    body = {"operation": "query", "query": "SELECT Nope FROM Account"}
    assert org.refusal("POST", "/jobs/query", body) == (400, "INVALID_FIELD")


def test_results_wait_for_the_job(org: Any) -> None:
    """A fresh job has no results; an aborted one never will."""
    body = {"operation": "queryAll", "query": "SELECT Id FROM Account"}
    job = org.call("POST", "/jobs/query", body).json()
    assert job["state"] == "UploadComplete"
    assert org.call("GET", f"/jobs/query/{job['id']}/results").status_code == 400
    path = f"/jobs/query/{job['id']}"
    assert org.call("PATCH", path, {"state": "Aborted"}).json()["state"] == "Aborted"
    assert org.call("DELETE", path).status_code == 204
