"""The Business Central client: what leaves for BC, and what its answers become."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from ml_connector.business_central.client import (
    BatchOperation,
    BatchResult,
    BusinessCentralClient,
)
from ml_connector.business_central.settings import BusinessCentralSettings
from ml_connector.errors import (
    ConcurrentEdit,
    ConfigurationError,
    ContractError,
    DuplicateKey,
    OutcomeUnknown,
    RateLimited,
    RecordNotFound,
    RecordRejected,
    TransientError,
)

COMPANY = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
ROOT = "https://bc.example/v2.0/11111111-2222-3333-4444-555555555555/Production/api/v2.0"
SET = f"{ROOT}/companies({COMPANY})"
ClientOf = Callable[[BusinessCentralSettings], BusinessCentralClient]


def said(code: str) -> dict[str, Any]:
    """Return an error body of BC."""
    return {"error": {"code": code, "message": "no"}}


@pytest.mark.parametrize(
    "update",
    [
        {"company_id": COMPANY.upper()},
        {"company_id": "", "company_name": "cronus us"},
        {"company_id": "", "company_name": "Cronus, Inc."},
    ],
)
def test_the_company_is_found(
    settings: BusinessCentralSettings, client_of: ClientOf, update: dict[str, str]
) -> None:
    """By id or by either name, whatever the case; asked once."""
    client = client_of(BusinessCentralSettings(**settings.model_dump() | update))

    assert client.company().id == COMPANY
    assert client.company() is client.company()
    assert client.calls[("GET", "companies")] == 1


@pytest.mark.parametrize(
    "update",
    [{"company_id": "0" * 8}, {"company_id": "", "company_name": "No"}, {"company_id": ""}],
)
def test_a_wrong_company_is_named(
    settings: BusinessCentralSettings, client_of: ClientOf, update: dict[str, str]
) -> None:
    """The error lists the companies there are."""
    client = client_of(BusinessCentralSettings(**settings.model_dump() | update))

    with pytest.raises(ConfigurationError) as caught:
        client.company()

    assert caught.value.code == "wrong_company"
    assert "CRONUS US, Other" in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", json.dumps(said("BadRequest_NotFound")).encode()])
def test_a_wrong_environment_is_named(
    client: BusinessCentralClient, tenant: Any, body: bytes
) -> None:
    """Any 404 on the company list means the environment is not there."""
    tenant.companies = (404, body, {})

    with pytest.raises(ConfigurationError) as caught:
        client.company()

    assert caught.value.code == "wrong_environment"


def test_pages_follow_bcs_links(client: BusinessCentralClient, tenant: Any) -> None:
    """Verbatim, absolute or relative, with the page size sent each time and amounts exact."""
    tenant.answers = [
        (
            200,
            b'{"value":[{"id":"1","x":1.10}],"@odata.nextLink":"'
            + f'{SET}/items?$skiptoken=a%2Bb"}}'.encode(),
            {},
        ),
        (200, {"value": [{"id": "2"}], "@odata.nextLink": f"companies({COMPANY})/items?t=3"}, {}),
        (200, {"value": [{"id": "3"}]}, {}),
    ]

    pages = list(
        client.pages(
            "items",
            filter="number eq 'A'",
            select=("id", "number"),
            expand="unitOfMeasure",
            orderby="number",
            page_size=100,
        )
    )

    assert [[row["id"] for row in page] for page in pages] == [["1"], ["2"], ["3"]]
    assert str(pages[0][0]["x"]) == "1.10"
    assert str(tenant.requests[0].url) == (
        f"{SET}/items?$filter=number%20eq%20%27A%27&$select=id%2Cnumber".replace("%2C", ",")
        + "&$expand=unitOfMeasure&$orderby=number"
    )
    assert str(tenant.requests[1].url) == f"{SET}/items?$skiptoken=a%2Bb"
    assert tenant.requests[2].url.query == b"t=3"
    for request in tenant.requests:
        assert request.headers["Prefer"] == "odata.maxpagesize=100"
        assert request.headers["Accept-Language"] == "en-US"


@pytest.mark.parametrize(
    "link",
    [
        f"https://behind.gateway:7048/BC/tenant/x/api/v2.0/companies({COMPANY})/items?$skiptoken=2",
        f"http{SET[5:]}/items?$skiptoken=2",
        f"https://bc.example:8443/api/v2.0/companies({COMPANY})/items?$skiptoken=2",
    ],
)
def test_a_link_to_another_host_is_asked_for_at_ours(
    client: BusinessCentralClient, tenant: Any, link: str
) -> None:
    """Behind a gateway BC names a host of its own; the token goes to the configured one only."""
    tenant.answers = [
        (200, {"value": [{"id": "1"}], "@odata.nextLink": link}, {}),
        (200, {"value": [{"id": "2"}]}, {}),
    ]

    assert [row["id"] for row in client.rows("items")] == ["1", "2"]
    assert str(tenant.requests[1].url) == f"{SET}/items?$skiptoken=2"


@pytest.mark.parametrize("link", ["https://evil.example/items", "https://bc.example.evil/x"])
def test_a_link_out_of_the_api_is_refused(
    client: BusinessCentralClient, tenant: Any, link: str
) -> None:
    """Rows that cannot be asked for at the configured host are not skipped in silence."""
    tenant.answers = [(200, {"value": [], "@odata.nextLink": link}, {})]

    with pytest.raises(ContractError):
        list(client.pages("items"))

    assert len(tenant.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"value": "x"},
        {"value": ["x"]},
        [],
        {"value": [], "@odata.nextLink": f"{SET}/items"},
    ],
)
def test_a_page_of_another_shape_is_refused(
    client: BusinessCentralClient, tenant: Any, answer: Any
) -> None:
    """Missing rows could be lost rows; a link in a circle would never end."""
    tenant.answers = [(200, answer, {})]

    with pytest.raises(ContractError):
        list(client.pages("items"))


def test_an_unknown_set_is_a_matter_of_configuration(
    client: BusinessCentralClient, tenant: Any
) -> None:
    """404 on a list is no missing record; on a part of a record it is."""
    tenant.answers = [(404, said("BadRequest_NotFound"), {})] * 2

    with pytest.raises(ConfigurationError):
        list(client.pages("items"))
    with pytest.raises(RecordNotFound):
        list(client.rows("customers(x)/contactsInformation"))


def test_rows_are_found_by_values(
    client_of: ClientOf, settings: BusinessCentralSettings, tenant: Any
) -> None:
    """Fifty values a call, each row once, and only rows that carry a value asked for."""
    client = client_of(settings.model_copy(update={"max_in_flight": 1}))
    tenant.answers = [
        (
            200,
            {
                "value": [
                    {"id": "1", "number": "N1"},
                    {"id": "1", "number": "N1"},
                    {"id": "2", "number": "OTHER"},
                ]
            },
            {},
        ),
        (200, {"value": [{"id": "3", "number": "N50"}]}, {}),
    ]
    values = [f"n{n}" for n in range(51)] + ["n1", "", "  "]

    rows = list(client.find_by("items", "number", values, select=("id",)))

    assert [row["id"] for row in rows] == ["1", "3"]
    assert tenant.requests[0].url.params["$filter"].count(" or ") == 49
    assert tenant.requests[0].url.params["$select"] == "id,number"


def test_look_ups_of_many_values_go_at_once_and_keep_their_order(
    settings: BusinessCentralSettings, tenant: Any
) -> None:
    """Two calls are under way together; the rows come in the order of the values all the same."""
    together = threading.Barrier(2, timeout=10)

    def answer(request: httpx.Request) -> httpx.Response:
        if "items" not in request.url.path:
            response: httpx.Response = tenant(request)
            return response
        together.wait()
        asked = re.findall(r"'(N\d+)'", request.url.params["$filter"])
        return httpx.Response(200, json={"value": [{"id": n, "number": n} for n in asked]})

    values = [f"N{number}" for number in range(200)]
    with BusinessCentralClient(settings, transport=httpx.MockTransport(answer)) as client:
        rows = list(client.find_by("items", "number", values))

    assert [row["number"] for row in rows] == values


def test_ids_are_found_unquoted_with_a_further_condition(
    client: BusinessCentralClient, tenant: Any
) -> None:
    """Ids have no quotes and no case; a further condition is joined with `and`."""
    one, two = COMPANY, COMPANY.replace("a", "b")
    tenant.answers = [(200, {"value": [{"orderId": one, "id": "1"}]}, {})]

    rows = list(
        client.find_by(
            "salesInvoices",
            "orderId",
            [one.upper(), two, "no id at all", ""],
            quote=False,
            expand="salesInvoiceLines",
            extra_filter="status ne 'Draft'",
        )
    )

    assert len(rows) == 1
    params = tenant.requests[0].url.params
    assert params["$filter"] == (f"(orderId eq {one} or orderId eq {two}) and (status ne 'Draft')")
    assert params["$expand"] == "salesInvoiceLines"


def test_nothing_is_called_without_values(client: BusinessCentralClient, tenant: Any) -> None:
    """No values, no request."""
    assert list(client.find_by("items", "number", ["", " "])) == []
    assert tenant.requests == []


def test_a_value_the_field_cannot_hold_spoils_no_other(
    client: BusinessCentralClient, tenant: Any
) -> None:
    """BC refuses the whole filter; the others are still found."""
    refused: tuple[int, Any, dict[str, str]] = (400, said("Application_FilterErrorException"), {})
    tenant.answers = [
        refused,
        (200, {"value": [{"id": "1", "number": "A"}]}, {}),
        refused,
        refused,
        (200, {"value": [{"id": "2", "number": "C"}]}, {}),
    ]

    rows = list(client.find_by("items", "number", ["A", "B" * 99, "C"]))

    assert [row["id"] for row in rows] == ["1", "2"]
    assert len(tenant.requests) == 5


def test_another_refusal_of_a_filter_is_told(client: BusinessCentralClient, tenant: Any) -> None:
    """Only a value too long is known to find nothing."""
    tenant.answers = [(400, said("BadRequest"), {})]

    with pytest.raises(RecordRejected):
        list(client.find_by("items", "number", ["A"]))


def test_addresses_stay_short(client: BusinessCentralClient, tenant: Any) -> None:
    """Long values are asked for in several calls."""
    tenant.answers = [(200, {"value": []}, {})] * 20

    list(client.find_by("items", "displayName", [f"{n}{'ø' * 90}" for n in range(50)]))

    assert len(tenant.requests) > 1
    assert all(len(str(r.url)) <= 8_200 for r in tenant.requests)


def test_one_record_is_fetched(client: BusinessCentralClient, tenant: Any) -> None:
    """By its id, with parts; a missing one is named."""
    tenant.answers = [
        (200, {"id": "x"}, {}),
        (404, said("Internal_RecordNotFound"), {}),
        (200, [], {}),
    ]

    assert client.fetch("salesOrders", "x", expand="salesOrderLines") == {"id": "x"}
    with pytest.raises(RecordNotFound) as caught:
        client.fetch("salesOrders", "y")
    with pytest.raises(ContractError):
        client.fetch("salesOrders", "z")

    assert caught.value.record_id == "y"
    assert str(tenant.requests[0].url) == f"{SET}/salesOrders(x)?$expand=salesOrderLines"


def test_a_record_is_created(client: BusinessCentralClient, tenant: Any) -> None:
    """One POST with the body in its order, amounts exact; the mark comes before the bytes."""
    tenant.answers = [(201, {"id": "x", "number": "1"}, {})]
    seen: list[int] = []

    created = client.create(
        "salesOrders",
        {"customerId": "c", "salesOrderLines": [{"unitPrice": Decimal("1.10")}]},
        expand="salesOrderLines",
        on_send=lambda: seen.append(len(tenant.requests)),
    )

    assert created == {"id": "x", "number": "1"}
    assert seen == [0]
    (request,) = tenant.requests
    assert str(request.url) == f"{SET}/salesOrders?$expand=salesOrderLines"
    assert request.content == b'{"customerId":"c","salesOrderLines":[{"unitPrice":1.10}]}'
    assert request.headers["Content-Type"] == "application/json"
    assert client.calls[("POST", "salesOrders")] == 1


def test_a_mark_that_fails_keeps_the_call_back(client: BusinessCentralClient, tenant: Any) -> None:
    """If the intent cannot be marked as sent, nothing is sent, and the place is given back."""

    def fail() -> None:
        raise ValueError("ledger is gone")

    for _ in range(6):
        with pytest.raises(ValueError, match="ledger"):
            client.create("salesOrders", {}, on_send=fail)

    assert tenant.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        (201, b'{"id":"x","numb', {}),
        (201, b"", {}),
        (204, b"", {}),
        (201, {"number": "1"}, {}),
        (200, b"<html>", {}),
        (500, b"", {}),
        (500, said("Internal_ServerError"), {}),
        (502, b"<html>", {}),
        (503, b"<html>", {}),
        (504, b"", {}),
        (408, said("Unknown"), {}),
        httpx.ReadTimeout("x"),
        httpx.RemoteProtocolError("x"),
    ],
)
def test_a_write_without_readable_answer_has_an_unknown_outcome(
    client: BusinessCentralClient, tenant: Any, answer: Any
) -> None:
    """Cut, short or missing answers never count as done or as refused, and are not repeated."""
    tenant.answers = [answer]

    with pytest.raises(OutcomeUnknown):
        client.create("salesOrders", {})

    assert len(tenant.requests) == 1


def test_a_write_that_never_left_may_be_repeated(
    client: BusinessCentralClient, tenant: Any
) -> None:
    """A refused connection wrote nothing."""
    tenant.answers = [httpx.ConnectError("x")]

    with pytest.raises(TransientError) as caught:
        client.create("salesOrders", {})

    assert not isinstance(caught.value, OutcomeUnknown)


@pytest.mark.parametrize("status", [400, 409])
def test_a_taken_key_is_told_by_its_code(
    client: BusinessCentralClient, tenant: Any, status: int
) -> None:
    """Both statuses in use are survived."""
    tenant.answers = [(status, said("Internal_EntityWithSameKeyExists"), {})]

    with pytest.raises(DuplicateKey):
        client.create("customers", {"number": "C1"})


def test_a_record_is_changed(client: BusinessCentralClient, tenant: Any) -> None:
    """With its version tag verbatim, "*" without one."""
    tenant.answers = [(200, {"id": "x"}, {}), (200, {"id": "x"}, {})]

    assert client.update("customers", "x", 'W/"JzE5"', {"city": "Oslo"}) == {"id": "x"}
    assert client.update("customers", "x", "", {"city": "Oslo"}) == {"id": "x"}
    assert [r.headers["If-Match"] for r in tenant.requests] == ['W/"JzE5"', "*"]
    assert tenant.requests[0].method == "PATCH"
    assert str(tenant.requests[0].url) == f"{SET}/customers(x)"


def test_a_change_answered_without_the_record_is_read_back(
    client: BusinessCentralClient, tenant: Any
) -> None:
    """Whoever wrote it needs what BC made of it; when that cannot be read, nothing is known."""
    row = {"id": "x", "city": "OSLO"}
    tenant.answers = [(204, b"", {}), (200, row, {}), (204, b"", {}), (500, b"", {})]

    assert client.update("customers", "x", 'W/"1"', {"city": "Oslo"}) == row
    with pytest.raises(OutcomeUnknown):
        client.update("customers", "x", 'W/"1"', {"city": "Oslo"})
    assert [r.method for r in tenant.requests] == ["PATCH", "GET", "PATCH", "GET"]


@pytest.mark.parametrize("answer", [(409, said("Request_EntityChanged"), {}), (412, b"", {})])
def test_a_record_changed_meanwhile_is_told(
    client: BusinessCentralClient, tenant: Any, answer: Any
) -> None:
    """The caller reads and decides again."""
    tenant.answers = [answer]

    with pytest.raises(ConcurrentEdit):
        client.update("customers", "x", "old", {})


def test_a_record_is_deleted(client: BusinessCentralClient, tenant: Any) -> None:
    """With its version tag."""
    tenant.answers = [(204, b"", {})]

    client.delete("items", "x", 'W/"1"')

    assert tenant.requests[0].method == "DELETE"
    assert tenant.requests[0].headers["If-Match"] == 'W/"1"'


def test_an_action_has_no_body_and_no_answer(client: BusinessCentralClient, tenant: Any) -> None:
    """POST to the bound action; whatever a 2xx carries is not read."""
    tenant.answers = [(204, b"", {}), (200, b"ok", {})]

    client.act("salesInvoices", "x", "post", etag='W/"1"')
    client.act("salesOrders", "x", "shipAndInvoice")

    assert str(tenant.requests[0].url) == f"{SET}/salesInvoices(x)/Microsoft.NAV.post"
    assert tenant.requests[0].content == b""
    assert tenant.requests[0].headers["If-Match"] == 'W/"1"'
    assert "If-Match" not in tenant.requests[1].headers
    assert client.calls[("POST", "salesInvoices.post")] == 1


def test_an_action_whose_answer_is_lost_has_an_unknown_outcome(
    client: BusinessCentralClient, tenant: Any
) -> None:
    """It may have posted."""
    tenant.answers = [httpx.ReadTimeout("x")]

    with pytest.raises(OutcomeUnknown):
        client.act("salesInvoices", "x", "post")


def test_a_batch_is_matched_by_id(client: BusinessCentralClient, tenant: Any) -> None:
    """Answers in any order; one that is missing is absent, never assumed."""
    tenant.answers = [
        (
            200,
            {
                "responses": [
                    {"id": "b", "status": 400, "headers": {}, "body": said("BadRequest")},
                    {"id": "a", "status": 201, "headers": {"Location": "x"}, "body": {"id": "1"}},
                    {"id": "stranger", "status": 200},
                    {"id": "c"},
                    "nonsense",
                ]
            },
            {},
        )
    ]
    url = client.batch_url("customers", query="?$select=id")

    results = client.batch(
        [
            BatchOperation("a", "POST", url, {"number": Decimal("1.10")}),
            BatchOperation("b", "PATCH", client.batch_url("customers", "x"), {}, {"If-Match": "*"}),
            BatchOperation("c", "GET", url),
        ]
    )

    assert set(results) == {"a", "b"}
    assert results["a"] == BatchResult(201, {"id": "1"}, {"location": "x"})
    assert results["a"].error("POST customers") is None
    assert results["b"].error("PATCH customers") is not None
    (request,) = tenant.requests
    assert str(request.url) == f"{ROOT}/$batch"
    assert request.headers["Prefer"] == "odata.continue-on-error"
    assert json.loads(request.content)["requests"] == [
        {
            "id": "a",
            "method": "POST",
            "url": f"companies({COMPANY})/customers?$select=id",
            "body": {"number": 1.1},
            "headers": {"Content-Type": "application/json"},
        },
        {
            "id": "b",
            "method": "PATCH",
            "url": f"companies({COMPANY})/customers(x)",
            "body": {},
            "headers": {"If-Match": "*", "Content-Type": "application/json"},
        },
        {"id": "c", "method": "GET", "url": f"companies({COMPANY})/customers?$select=id"},
    ]


def test_a_batch_is_cut_at_a_hundred(client: BusinessCentralClient, tenant: Any) -> None:
    """BC refuses 101; without the wish to continue the header is not sent."""
    tenant.answers = [(200, {"responses": []}, {})] * 2

    assert (
        client.batch(
            [BatchOperation(str(n), "GET", "x") for n in range(101)], continue_on_error=False
        )
        == {}
    )
    assert [len(json.loads(r.content)["requests"]) for r in tenant.requests] == [100, 1]
    assert "Prefer" not in tenant.requests[0].headers


@pytest.mark.parametrize(("method", "expected"), [("GET", ContractError), ("POST", OutcomeUnknown)])
def test_a_batch_without_answers_depends_on_what_it_did(
    client: BusinessCentralClient, tenant: Any, method: str, expected: type[Exception]
) -> None:
    """Reads are merely unreadable, writes are unknown."""
    tenant.answers = [(200, {}, {})]

    with pytest.raises(expected):
        client.batch([BatchOperation("a", method, "x")])


def test_retry_after_is_obeyed(client: BusinessCentralClient, tenant: Any) -> None:
    """A write that BC turned away before doing anything is sent again at the time it named."""
    client.company()
    tenant.answers = [
        (429, b"", {"Retry-After": "3"}),
        (503, said("Internal_TenantUnavailable"), {"Retry-After": "0"}),
        (201, {"id": "x"}, {}),
    ]

    assert client.create("salesOrders", {}) == {"id": "x"}
    assert tenant.stopwatch.pauses == [3.0, 0.5]


def test_a_token_may_die_during_a_wait(client: BusinessCentralClient, tenant: Any) -> None:
    """It is renewed once, before a wait or after it."""
    client.company()
    refused = said("Authentication_InvalidCredentials")
    tenant.answers = [(429, b"", {"Retry-After": "3"}), (401, refused, {}), (201, {"id": "x"}, {})]

    assert client.create("salesOrders", {}) == {"id": "x"}
    assert len(tenant.sign_ins) == 2


def test_without_a_time_the_waits_grow(client: BusinessCentralClient, tenant: Any) -> None:
    """A few tries with growing, spread waits, then the run decides."""
    client.company()
    tenant.answers = [(429, b"", {})] * 5

    with pytest.raises(RateLimited) as caught:
        client.create("salesOrders", {})

    waits = tenant.stopwatch.pauses
    assert len(waits) == 4
    assert all(0.75 * 2**n <= wait <= 1.25 * 2**n for n, wait in enumerate(waits))
    assert caught.value.retry_after is None


def test_patience_has_an_end(client: BusinessCentralClient, tenant: Any) -> None:
    """More than a minute in all is for the run to wait."""
    client.company()
    tenant.answers = [(429, b"", {"Retry-After": "40"})] * 2

    with pytest.raises(RateLimited) as caught:
        list(client.pages("items"))

    assert tenant.stopwatch.pauses == [40.0]
    assert caught.value.retry_after == 40.0


def test_a_busy_service_without_a_time_is_the_runs_to_repeat(
    client: BusinessCentralClient, tenant: Any
) -> None:
    """503 with BC's code and no time is transient at once."""
    tenant.answers = [(503, said("Internal_TenantUnavailable"), {})]

    with pytest.raises(TransientError):
        client.create("salesOrders", {})

    assert tenant.stopwatch.pauses == []


def test_other_addresses_can_be_read(client: BusinessCentralClient, tenant: Any) -> None:
    """Anything below the API root."""
    tenant.answers = [(200, {"value": []}, {})]

    with client:
        assert client.get("subscriptions") == {"value": []}

    assert str(tenant.requests[0].url) == f"{ROOT}/subscriptions"
    assert client.requests_made == 3
