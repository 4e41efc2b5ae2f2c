"""Bulk 2.0 ingest jobs."""

import csv
import io
from typing import Any

import pytest


def _job(org: Any, operation: str, sobject: str, text: str, **more: str) -> str:
    """A job that was filled, closed and awaited; returns its id."""
    body = {"object": sobject, "operation": operation, "contentType": "CSV", **more}
    job = org.call("POST", "/jobs/ingest", body)
    assert (job.status_code, job.json()["state"]) == (200, "Open"), job.text
    path = f"/jobs/ingest/{job.json()['id']}"
    assert job.json()["contentUrl"] == f"services/data/v65.0{path}/batches"
    sent = org.call(
        "PUT", f"{path}/batches", headers={"content-type": "text/csv"}, content=text.encode()
    )
    assert sent.status_code == 201, sent.text
    assert org.call("PATCH", path, {"state": "UploadComplete"}).json()["state"] == "UploadComplete"
    for _ in range(5):
        state = org.call("GET", path).json()["state"]
        if state in ("JobComplete", "Failed"):
            return path
    raise AssertionError(state)


def _rows(org: Any, path: str, name: str) -> list[dict[str, str]]:
    answer = org.call("GET", f"{path}/{name}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def test_rows_are_upserted_and_each_failure_is_told(org: Any) -> None:
    """New and known keys, a missing name, a key that comes twice; empty says nothing, #N/A null."""
    known = org.create("Account", Name="Known", Phone="1", Website="w", BC_Customer_Id__c="k-1")
    text = (
        "BC_Customer_Id__c,Name,Phone,Website\n"
        'k-1,,#N/A,\nk-2,"New, one",2,\nk-3,,3,\nk-4,Twin,4,\nK-4,Twin,4,\n'
    )

    path = _job(org, "upsert", "Account", text, externalIdFieldName="BC_Customer_Id__c")

    done = {row["BC_Customer_Id__c"]: row for row in _rows(org, path, "successfulResults")}
    failed = {
        row["BC_Customer_Id__c"]: row["sf__Error"] for row in _rows(org, path, "failedResults")
    }
    assert (done["k-1"]["sf__Id"], done["k-1"]["sf__Created"]) == (known, "false")
    assert done["k-2"]["sf__Created"] == "true"
    assert failed["k-3"].startswith("REQUIRED_FIELD_MISSING:")
    assert failed["k-4"].startswith("DUPLICATE_VALUE:")
    assert failed["K-4"].startswith("DUPLICATE_VALUE:")
    record = org.read("Account", known)
    assert (record["Name"], record["Phone"], record["Website"]) == ("Known", None, "w")
    status = org.call("GET", path).json()
    assert (status["numberRecordsProcessed"], status["numberRecordsFailed"]) == (5, 3)
    assert _rows(org, path, "unprocessedrecords") == []


def test_insert_update_and_delete(org: Any) -> None:
    """Values get the types of their fields; parents are named by an external id."""
    org.create("Account", Name="Parent", BC_Customer_Id__c="p-1")
    insert = _job(
        org,
        "insert",
        "Contact",
        "LastName|HasOptedOutOfEmail|Account.BC_Customer_Id__c\r\nTownes|true|p-1\r\n",
        columnDelimiter="PIPE",
        lineEnding="CRLF",
    )
    contact = next(
        csv.DictReader(
            io.StringIO(org.call("GET", f"{insert}/successfulResults").content.decode()),
            delimiter="|",
        )
    )["sf__Id"]
    assert org.read("Contact", contact)["HasOptedOutOfEmail"] is True
    assert org.ids("SELECT Id FROM Contact WHERE Account.BC_Customer_Id__c = 'p-1'") == [contact]

    _job(org, "update", "Contact", f"Id,LastName\n{contact[:15]},Miller\n")
    assert org.read("Contact", contact)["LastName"] == "Miller"
    _job(org, "delete", "Contact", f"Id\n{contact}\n")
    assert org.ids("SELECT Id FROM Contact WHERE Account.BC_Customer_Id__c = 'p-1'") == []


def test_an_unknown_column_fails_the_whole_job(org: Any) -> None:
    """Nothing is written, every row is among the unprocessed ones."""
    path = _job(org, "insert", "Account", "Name,Nope\na,b\n")

    assert org.call("GET", path).json()["state"] == "Failed"
    assert _rows(org, path, "unprocessedrecords") == [{"Name": "a", "Nope": "b"}]
    assert org.ids("SELECT Id FROM Account") == []


def test_a_job_is_used_in_its_order(org: Any) -> None:
    """No results before the end, one upload, no closing without rows, no unknown operation."""
    body = {"object": "Account", "operation": "insert"}
    path = f"/jobs/ingest/{org.call('POST', '/jobs/ingest', body).json()['id']}"
    csv_type = {"content-type": "text/csv"}

    assert org.refusal("PATCH", path, {"state": "UploadComplete"}) == (400, "INVALIDJOBSTATE")
    assert org.refusal("GET", f"{path}/successfulResults") == (400, "INVALIDJOBSTATE")
    upload = {"headers": csv_type, "content": b"Name\na\n"}
    assert org.call("PUT", f"{path}/batches", **upload).status_code == 201
    assert org.refusal("PUT", f"{path}/batches", **upload) == (400, "INVALIDJOBSTATE")
    assert org.call("PATCH", path, {"state": "Aborted"}).json()["state"] == "Aborted"
    assert org.call("DELETE", path).status_code == 204
    assert org.refusal("GET", path) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "body",
    [
        {"object": "Account", "operation": "merge"},
        {"object": "Account", "operation": "upsert"},
        {"object": "Account", "operation": "insert", "contentType": "XML"},
    ],
)
def test_a_job_that_cannot_be_is_refused(org: Any, body: dict[str, str]) -> None:
    """Before anything is uploaded."""
    assert org.refusal("POST", "/jobs/ingest", body)[0] == 400
