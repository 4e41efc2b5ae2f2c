"""`$batch`: stopping, going on, snapshots that lie, and its limit."""

from typing import Any

JSON = {"Content-Type": "application/json"}


def _batch(tenant: Any, operations: list[Any], **headers: str) -> Any:
    answer = tenant.call("POST", f"{tenant.root}/$batch", {"requests": operations}, **headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["responses"]


def _post(tenant: Any, number: str, **fields: Any) -> Any:
    return {
        "id": number,
        "method": "POST",
        "url": f"companies({tenant.line['company_id']})/customers",
        "headers": JSON,
        "body": {"displayName": f"B {number}", **fields},
    }


def _statuses(responses: Any) -> list[tuple[str, int]]:
    return [(response["id"], response["status"]) for response in responses]


def test_stops_at_the_first_failure(tenant: Any) -> None:
    """Earlier operations stay, later ones are not run and not mentioned."""
    operations = [_post(tenant, "1"), _post(tenant, "2", city="x" * 40), _post(tenant, "3")]
    assert _statuses(_batch(tenant, operations)) == [("1", 201), ("2", 400)]
    assert tenant.call("GET", "customers/$count").text == "4"
    going_on = _batch(tenant, operations, prefer="odata.continue-on-error")
    assert _statuses(going_on) == [("1", 201), ("2", 400), ("3", 201)]


def test_snapshot_reverts_and_lies(tenant: Any) -> None:
    """In a snapshot nothing stays after a failure, though earlier answers still say 201."""
    operations = [_post(tenant, "1"), _post(tenant, "2", city="x" * 40), _post(tenant, "3")]
    responses = _batch(tenant, operations, isolation="snapshot")
    assert _statuses(responses) == [("1", 201), ("2", 400)]
    lie = responses[0]["body"]["id"]
    assert tenant.refusal("GET", f"customers({lie})")[0] == 404
    assert tenant.call("GET", "customers/$count").text == "3"
    assert _statuses(_batch(tenant, operations[1:], isolation="snapshot")) == [("2", 400)]
    fine = _batch(tenant, [operations[0], operations[2]], isolation="snapshot")
    assert _statuses(fine) == [("1", 201), ("3", 201)]
    assert tenant.call("GET", "customers/$count").text == "5"


def test_snapshot_keeps_a_posting(tenant: Any) -> None:
    """A posting commits on its way; the snapshot does not undo it."""
    order = tenant.order()
    company = f"companies({tenant.line['company_id']})"
    action = {
        "id": "1",
        "method": "POST",
        "url": f"{company}/salesOrders({order['id']})/Microsoft.NAV.shipAndInvoice",
    }
    responses = _batch(tenant, [action, _post(tenant, "2", city="x" * 40)], isolation="snapshot")
    assert _statuses(responses) == [("1", 204), ("2", 400)]
    assert tenant.refusal("GET", f"salesOrders({order['id']})")[0] == 404
    assert len(tenant.values("salesInvoices")) == 1


def test_inner_tags_and_reads(tenant: Any) -> None:
    """Each operation carries its own tag; reads and queries work inside."""
    company = f"companies({tenant.line['company_id']})"
    url = f"{company}/customers({tenant.ids['C100']})"
    change = {"id": "a", "method": "PATCH", "url": url, "headers": JSON, "body": {"city": "Graz"}}
    (refused,) = _batch(tenant, [change])
    assert refused["body"]["error"]["code"] == "BadRequest_InvalidToken"
    change["headers"] = {**JSON, "If-Match": "*"}
    read = {"id": "b", "method": "GET", "url": f"/{company}/customers?$filter=number eq 'C100'"}
    responses = _batch(tenant, [change, read])
    assert responses[1]["body"]["value"][0]["city"] == "Graz"


def test_at_most_a_hundred(tenant: Any) -> None:
    """One hundred operations are taken, one more is a server error."""
    read = {"method": "GET", "url": f"companies({tenant.line['company_id']})/items/$count"}
    operations = [{"id": str(number), **read} for number in range(101)]
    assert len(_batch(tenant, operations[:100])) == 100
    answer = tenant.refusal("POST", f"{tenant.root}/$batch", {"requests": operations})
    assert answer[0] == 500
