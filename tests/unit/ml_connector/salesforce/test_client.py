"""The Salesforce client: what leaves for the org, and what its answers become."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from ml_connector.errors import (
    ConfigurationError,
    ContractError,
    FeedError,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from ml_connector.salesforce.client import RecordResult, ResultError, SalesforceClient
from ml_connector.salesforce.models import Product2

BASE = "https://instance.example/services/data/v65.0/"


def query_of(request: requests.PreparedRequest) -> dict[str, list[str]]:
    """Return the query parameters of a request."""
    return parse_qs(urlsplit(str(request.url)).query)


def test_every_call_names_the_connector(client: SalesforceClient, org: Any) -> None:
    """The client name is how our own changes are told from others' in the change feed."""
    org.answers = [(200, {}, {})]

    client.limits()

    for request in [*org.sign_ins, *org.requests]:
        assert request.headers["Sforce-Call-Options"] == "client=ml-connector"
    assert org.requests[0].url == f"{BASE}limits"


def test_a_query_follows_its_pages(client: SalesforceClient, org: Any) -> None:
    """Pages come one by one, by a relative or an absolute link, with exact amounts."""
    org.answers = [
        (
            200,
            b'{"totalSize":3,"done":false,"nextRecordsUrl":"/services/data/v65.0/query/01g-2",'
            b'"records":[{"Id":"1","X":1.10}]}',
            {},
        ),
        (
            200,
            {
                "done": False,
                "nextRecordsUrl": f"{BASE}query/01g-4",
                "records": [{"Id": "2"}],
            },
            {},
        ),
        (200, {"done": True, "records": [{"Id": "3"}]}, {}),
    ]

    pages = list(client.query("SELECT Id FROM Account WHERE Name = 'A+B & C'", batch_size=200))

    assert [[row["Id"] for row in page] for page in pages] == [["1"], ["2"], ["3"]]
    assert str(pages[0][0]["X"]) == "1.10"
    assert query_of(org.requests[0]) == {"q": ["SELECT Id FROM Account WHERE Name = 'A+B & C'"]}
    assert [r.url for r in org.requests[1:]] == [f"{BASE}query/01g-2", f"{BASE}query/01g-4"]
    assert {r.headers["Sforce-Query-Options"] for r in org.requests} == {"batchSize=200"}
    assert client.calls == {("POST", "sign_in"): 1, ("GET", "query"): 3}
    assert client.requests_made == 4


def test_a_child_result_is_complete(client: SalesforceClient, org: Any) -> None:
    """An order with more lines than fit a page still comes with all of them."""
    lines = {
        "done": False,
        "nextRecordsUrl": "/services/data/v65.0/query/child",
        "records": [{"Id": "a"}],
    }
    org.answers = [
        (200, {"done": True, "records": [{"Id": "1", "OrderItems": lines}, {"Id": "2"}]}, {}),
        (200, {"done": True, "records": [{"Id": "b"}]}, {}),
    ]

    (page,) = client.query("SELECT Id, (SELECT Id FROM OrderItems) FROM Order")

    assert [line["Id"] for line in page[0]["OrderItems"]["records"]] == ["a", "b"]


@pytest.mark.parametrize(
    "answer",
    [
        (400, [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "x"}], {}),
        (404, [{"errorCode": "NOT_FOUND", "message": "x"}], {}),
    ],
)
def test_a_dead_cursor_is_told_apart(client: SalesforceClient, org: Any, answer: Any) -> None:
    """The caller has to start the query again, which is no fault of the query."""
    page = {"done": False, "nextRecordsUrl": "/services/data/v65.0/query/x", "records": []}
    org.answers = [(200, page, {}), answer]

    with pytest.raises(FeedError) as caught:
        list(client.query("SELECT Id FROM Account"))

    assert caught.value.code == "query_locator"


@pytest.mark.parametrize(
    "page",
    [
        [],
        {"done": True},
        {"done": True, "records": ["x"]},
        {"done": False, "records": []},
    ],
)
def test_a_page_of_another_shape_is_refused(client: SalesforceClient, org: Any, page: Any) -> None:
    """Nothing is guessed: missing records could be lost records."""
    org.answers = [(200, page, {})]

    with pytest.raises(ContractError):
        list(client.query("SELECT Id FROM Account"))


def test_pages_that_turn_in_circles_end(client: SalesforceClient, org: Any) -> None:
    """The same link twice is an error, not an endless read."""
    page = {"done": False, "nextRecordsUrl": "/services/data/v65.0/query/x", "records": []}
    org.answers = [(200, page, {})] * 3

    with pytest.raises(ContractError):
        list(client.query("SELECT Id FROM Account"))


def test_deleted_rows_are_asked_for(client: SalesforceClient, org: Any) -> None:
    """`all_rows` goes to queryAll; rows come one by one when asked."""
    org.answers = [(200, {"done": True, "records": [{"Id": "1"}]}, {})]

    assert list(client.query_rows("SELECT Id FROM Account", all_rows=True)) == [{"Id": "1"}]
    assert str(org.requests[0].url).startswith(f"{BASE}queryAll?")


def test_a_count_is_read(client: SalesforceClient, org: Any) -> None:
    """COUNT() answers in totalSize."""
    org.answers = [(200, {"totalSize": 7, "done": True, "records": []}, {}), (200, {}, {})]

    assert client.count("SELECT COUNT() FROM Account") == 7
    with pytest.raises(ContractError):
        client.count("SELECT COUNT() FROM Account")


def test_retrieved_records_keep_the_order_of_the_ids(client: SalesforceClient, org: Any) -> None:
    """2,000 ids a call, None where one is gone, whichever form of the id was given."""
    ids = [f"001{n:012d}" for n in range(2201)]
    from_org = [{"Id": f"{i}AAA"} for i in ids if i != ids[1]]
    org.answers = [(200, [*from_org[:1999], None], {}), (200, from_org[1999:], {})]

    records = client.retrieve("Account", ids, ["Name"])

    assert [len(json.loads(r.body)["ids"]) for r in org.requests] == [2000, 201]
    assert json.loads(org.requests[0].body)["fields"] == ["Id", "Name"]
    assert records[1] is None
    assert records[2] == {"Id": f"{ids[2]}AAA"}
    assert records[2000] == {"Id": f"{ids[2000]}AAA"}
    assert client.retrieve("Account", [], ["Name"]) == []


@pytest.mark.parametrize(("ids", "field", "method"), [
    (200, "Name", "GET"), (201, "Name", "POST"), (1, "Name" * 2_000, "POST"),
])  # fmt: skip
def test_few_records_are_read_with_a_get(
    client: SalesforceClient, org: Any, ids: int, field: str, method: str
) -> None:
    """What fits an address is a GET, which changes nothing for everybody who counts."""
    wanted = [f"001{n:015d}" for n in range(ids)]
    org.answers = [(200, [{"Id": each} for each in wanted], {})]

    client.retrieve("Account", wanted, [field])

    assert [request.method for request in org.requests] == [method]
    if method == "GET":
        assert query_of(org.requests[0]) == {"ids": [",".join(wanted)], "fields": [f"Id,{field}"]}


def test_a_retrieve_of_another_shape_is_refused(client: SalesforceClient, org: Any) -> None:
    """An object where a list belongs is no answer."""
    org.answers = [(200, {}, {})]

    with pytest.raises(ContractError):
        client.retrieve("Account", ["001000000000001"], ["Name"])


def test_records_are_updated_200_at_a_time(client: SalesforceClient, org: Any) -> None:
    """Each record is named by its id, all fail or succeed by themselves, amounts stay exact."""
    ok = {"id": "801", "success": True, "errors": []}
    org.answers = [(200, [ok] * 200, {}), (200, [ok], {})]
    records = [{"Id": f"801{n}", "BC_Open_Amount__c": Decimal("1.10")} for n in range(201)]

    results = client.update_records("Order", records)

    assert len(results) == 201
    assert results[0] == RecordResult("801", True, None, ())
    first = org.requests[0]
    assert (first.method, first.url) == ("PATCH", f"{BASE}composite/sobjects")
    assert first.body.startswith(
        b'{"allOrNone":false,"records":[{"attributes":{"type":"Order"},"id":"8010",'
        b'"BC_Open_Amount__c":1.10}'
    )
    assert first.headers["Sforce-Duplicate-Rule-Header"] == "allowSave=true"
    assert client.calls[("PATCH", "update")] == 2


def test_failures_are_told_per_record(client: SalesforceClient, org: Any) -> None:
    """A 200 hides failures; each record says its own, in the order sent."""
    lock = {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "locked", "fields": []}
    missing = {"statusCode": "REQUIRED_FIELD_MISSING", "message": "m", "fields": ["Name"]}
    org.answers = [
        (
            200,
            [
                {"id": "801", "success": True, "created": False, "errors": []},
                {"success": False, "errors": [missing]},
                {"id": None, "success": False, "errors": [lock]},
            ],
            {},
        )
    ]

    results = client.upsert_records(
        "Order", "BC_Order_Id__c", [{"BC_Order_Id__c": f"{n}"} for n in range(3)]
    )

    assert org.requests[0].url == f"{BASE}composite/sobjects/Order/BC_Order_Id__c"
    assert results[0].created is False
    assert results[1].errors == (ResultError("REQUIRED_FIELD_MISSING", "m", ("Name",)),)
    assert [r.is_retryable for r in results] == [False, False, True]


def test_an_unknown_external_id_field_is_a_matter_of_configuration(
    client: SalesforceClient, org: Any
) -> None:
    """404 on an upsert means the field is not there or not visible, not a missing record."""
    org.answers = [(404, [{"errorCode": "NOT_FOUND", "message": "x"}], {})]

    with pytest.raises(ConfigurationError) as caught:
        client.upsert_records("Order", "BC_Order_Id__c", [{"BC_Order_Id__c": "1"}])

    assert caught.value.code == "unknown_external_id"


def test_records_are_created_and_deleted(client: SalesforceClient, org: Any) -> None:
    """Creation is a POST, deletion names its ids in the address."""
    org.answers = [
        (200, [{"id": "01t", "success": True, "errors": []}], {}),
        (200, [{"id": "01t", "success": True, "errors": []}], {}),
    ]

    client.create_records("Product2", [{"Name": "Desk"}])
    client.delete_records(["01t"])

    assert org.requests[0].method == "POST"
    assert org.requests[1].method == "DELETE"
    assert query_of(org.requests[1]) == {"ids": ["01t"], "allOrNone": ["false"]}


@pytest.mark.parametrize(
    "answer",
    [
        (200, b'[{"id":"801","success":tr', {}),
        (200, [], {}),
        (200, [{"id": "801"}], {}),
        (200, {}, {}),
        (204, b"", {}),
        (502, b"<html>", {}),
        (503, b"", {}),
        requests.ReadTimeout(),
    ],
)
def test_a_write_without_readable_answer_has_an_unknown_outcome(
    client: SalesforceClient, org: Any, answer: Any
) -> None:
    """Cut, short or missing answers never count as done or as refused."""
    org.answers = [answer]

    with pytest.raises(OutcomeUnknown):
        client.update_records("Order", [{"Id": "801"}])


@pytest.mark.parametrize(
    "answer", [(200, b"{", {}), (200, b"", {}), (503, b"<html>", {}), (420, b"", {})]
)
def test_a_read_without_readable_answer_may_be_repeated(
    client: SalesforceClient, org: Any, answer: Any
) -> None:
    """A cut read decided nothing."""
    org.answers = [answer]

    with pytest.raises(TransientError):
        client.limits()


def test_retry_after_is_obeyed(client: SalesforceClient, org: Any) -> None:
    """A call that Salesforce asks to repeat later is repeated then."""
    org.answers = [
        (429, b"", {"Retry-After": "3"}),
        (503, [{"errorCode": "SERVER_UNAVAILABLE", "message": "x"}], {"Retry-After": "0"}),
        (200, {}, {}),
    ]

    assert client.limits() == {}
    assert org.pauses == [3.0, 1.0]


def test_a_session_may_die_during_a_wait(client: SalesforceClient, org: Any) -> None:
    """It is renewed once, before a wait or after it."""
    expired = [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}]
    org.answers = [(429, b"", {"Retry-After": "3"}), (401, expired, {}), (200, {}, {})]

    client.limits()

    assert len(org.sign_ins) == 2


@pytest.mark.parametrize("headers", [{"Retry-After": "61"}, {}])
def test_patience_has_an_end(client: SalesforceClient, org: Any, headers: dict[str, str]) -> None:
    """Too long or no time named: the run decides, not the client."""
    org.answers = [(429, b"", headers)]

    with pytest.raises(RateLimited) as caught:
        client.limits()

    assert caught.value.retry_after == (61.0 if headers else None)
    assert org.pauses == []


def test_describe_is_asked_once(client: SalesforceClient, org: Any) -> None:
    """What the user sees of an object is kept; fields are selected by it."""
    org.answers = [
        (
            200,
            {
                "name": "Product2",
                "replicateable": True,
                "keyPrefix": "01t",
                "fields": [
                    {"name": "Id", "type": "id", "updateable": False, "length": 18},
                    {
                        "name": "QuantityUnitOfMeasure",
                        "type": "picklist",
                        "picklistValues": [{"value": "A"}],
                    },
                    {"name": "BC_Item_Id__c", "externalId": True, "unique": True, "scale": None},
                ],
            },
            {},
        )
    ]

    described = client.describe("Product2")

    assert client.describe("Product2") is described
    assert described.has("QuantityUnitOfMeasure")
    assert not described.has("Nothing__c")
    assert described.fields["BC_Item_Id__c"].external_id
    assert "QuantityUnitOfMeasure" in client.fields_for(Product2)
    assert "CurrencyIsoCode" not in client.fields_for(Product2)
    assert len(org.requests) == 1


def test_an_object_the_org_lacks_is_a_matter_of_configuration(
    client: SalesforceClient, org: Any
) -> None:
    """Orders are a setting of the org; the remedy says so."""
    org.answers = [(404, [{"errorCode": "NOT_FOUND", "message": "x"}], {})]

    with pytest.raises(ConfigurationError) as caught:
        client.describe("Order")

    assert caught.value.code == "unknown_object"


@pytest.mark.parametrize("answer", [[], {"name": "X"}, {"fields": [{"label": "no name"}]}])
def test_a_describe_of_another_shape_is_refused(
    client: SalesforceClient, org: Any, answer: Any
) -> None:
    """Fields that cannot be read are not taken for absent."""
    org.answers = [(200, answer, {})]

    with pytest.raises(ContractError):
        client.describe("X")


def test_replication_windows_are_cut_to_the_minute(client: SalesforceClient, org: Any) -> None:
    """A window is at least one minute, in UTC with an explicit offset."""
    org.answers = [
        (200, {"ids": ["801"], "latestDateCovered": "2026-01-01T01:00:00.000+0000"}, {}),
        (
            200,
            {
                "deletedRecords": [{"id": "801", "deletedDate": "2026-01-01T00:30:00.000+0000"}],
                "earliestDateAvailable": "2025-12-01T00:00:00.000+0000",
                "latestDateCovered": "2026-01-01T01:00:00.000+0000",
            },
            {},
        ),
    ]
    start = datetime(2026, 1, 1, 0, 0, 15, tzinfo=UTC)

    ids, covered = client.updated("Order", start, start.replace(second=50))
    gone, until, earliest = client.deleted("Order", start, datetime(2026, 1, 1, 1, tzinfo=UTC))

    assert (ids, covered) == (["801"], datetime(2026, 1, 1, 1, tzinfo=UTC))
    assert gone == [("801", datetime(2026, 1, 1, 0, 30, tzinfo=UTC))]
    assert until == covered
    assert earliest == datetime(2025, 12, 1, tzinfo=UTC)
    assert str(org.requests[0].url) == (
        f"{BASE}sobjects/Order/updated/?start=2026-01-01T00%3A00%3A00%2B00%3A00"
        "&end=2026-01-01T00%3A01%3A00%2B00%3A00"
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((400, [{"errorCode": "INVALID_REPLICATION_DATE", "message": "x"}], {}), FeedError),
        ((400, [{"errorCode": "EXCEEDED_ID_LIMIT", "message": "x"}], {}), FeedError),
        ((200, {"latestDateCovered": "2026-01-01T01:00:00Z"}, {}), ContractError),
        ((200, {"ids": []}, {}), ContractError),
    ],
)
def test_a_window_that_cannot_be_read_is_said(
    client: SalesforceClient, org: Any, answer: Any, expected: type[Exception]
) -> None:
    """Too old, too wide or misshapen windows never look empty."""
    org.answers = [answer, answer]
    at = datetime(2026, 1, 1, tzinfo=UTC)

    with pytest.raises(expected):
        client.updated("Order", at, at)
    with pytest.raises(expected):
        client.deleted("Order", at, at)


def test_the_orgs_usage_is_remembered(client: SalesforceClient, org: Any) -> None:
    """Each answer tells how much of the allocation is used."""
    header = {"Sforce-Limit-Info": "api-usage=18/5000; per-app-api-usage=17/250(appName=x)"}
    org.answers = [(200, {}, header), (200, {}, {"Sforce-Limit-Info": "nonsense"})]

    assert client.api_usage is None
    client.limits()
    client.limits()

    assert client.api_usage == (18, 5000)


def test_other_addresses_can_be_read(client: SalesforceClient, org: Any) -> None:
    """Versions, the user and anything else below the org's address."""
    org.answers = [
        (200, [{"version": "65.0"}], {}),
        (200, {}, {}),
        (200, {"user_id": "005"}, {}),
        (200, {"x": 1}, {}),
    ]

    assert client.versions() == [{"version": "65.0"}]
    with pytest.raises(ContractError):
        client.versions()
    assert client.userinfo() == {"user_id": "005"}
    assert client.get("sobjects") == {"x": 1}
    assert org.requests[0].url == "https://instance.example/services/data/"
    with client:
        pass


def test_limits_of_another_shape_are_refused(client: SalesforceClient, org: Any) -> None:
    """A list is no map of limits."""
    org.answers = [(200, [], {})]

    with pytest.raises(ContractError):
        client.limits()
