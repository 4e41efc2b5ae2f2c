"""Several requests in one."""

from typing import Any

DATA = "/services/data/v65.0"


def _part(name: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    part = {"referenceId": name, "method": method, "url": DATA + path}
    return part if body is None else {**part, "body": body}


def test_parts_refer_to_earlier_ones(org: Any) -> None:
    """An id, and a field of a query's first record, flow into later parts."""
    parts = [
        _part("account", "POST", "/sobjects/Account", {"Name": "Acme & Söhne"}),
        _part(
            "contact", "POST", "/sobjects/Contact", {"LastName": "x", "AccountId": "@{account.id}"}
        ),
        _part("find", "GET", "/query?q=SELECT+Id,Name+FROM+Account+WHERE+Id='@{account.id}'"),
        _part(
            "rename",
            "PATCH",
            "/sobjects/Account/@{find.records[0].Id}",
            {"Site": "@{find.records[0].Name}"},
        ),
    ]
    answers = org.call("POST", "/composite", {"compositeRequest": parts}).json()[
        "compositeResponse"
    ]
    assert [answer["httpStatusCode"] for answer in answers] == [201, 201, 200, 204]
    account = answers[0]["body"]["id"]
    assert org.read("Contact", answers[1]["body"]["id"])["AccountId"] == account
    assert org.read("Account", account)["Site"] == "Acme & Söhne"


def test_without_all_or_none_only_dependants_fail(org: Any) -> None:
    """A reference to a failed part is halted, the rest goes on."""
    parts = [
        _part("bad", "POST", "/sobjects/Account", {}),
        _part("dependant", "GET", "/sobjects/Account/@{bad.id}"),
        _part("good", "POST", "/sobjects/Account", {"Name": "x"}),
    ]
    answers = org.call("POST", "/composite", {"compositeRequest": parts}).json()[
        "compositeResponse"
    ]
    assert [answer["httpStatusCode"] for answer in answers] == [400, 400, 201]
    assert answers[0]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert answers[1]["body"][0]["errorCode"] == "PROCESSING_HALTED"


def test_all_or_none_undoes_all_parts(org: Any) -> None:
    """Every other part is halted and nothing stays."""
    parts = [
        _part("good", "POST", "/sobjects/Account", {"Name": "x"}),
        _part("bad", "POST", "/sobjects/Account", {}),
        _part("late", "POST", "/sobjects/Account", {"Name": "y"}),
    ]
    body = {"allOrNone": True, "compositeRequest": parts}
    answers = org.call("POST", "/composite", body).json()["compositeResponse"]
    codes = [answer["body"][0]["errorCode"] for answer in answers]
    assert codes == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING", "PROCESSING_HALTED"]
    assert org.query("SELECT COUNT() FROM Account")["totalSize"] == 0


def test_there_are_at_most_25_parts(org: Any) -> None:
    """One more is refused as a whole."""
    parts = [_part(f"p{n}", "GET", "/limits") for n in range(26)]
    assert org.call("POST", "/composite", {"compositeRequest": parts}).status_code == 400
    assert org.call("POST", "/composite", {"compositeRequest": parts[:25]}).status_code == 200


def test_a_batch_runs_parts_on_their_own(org: Any) -> None:
    """Each part has its status; haltOnError stops after a failure."""
    parts = [
        {"method": "GET", "url": "v65.0/sobjects/Account/001"},
        {"method": "POST", "url": "v65.0/sobjects/Account", "richInput": {"Name": "x"}},
    ]
    found = org.call("POST", "/composite/batch", {"batchRequests": parts}).json()
    assert (found["hasErrors"], [r["statusCode"] for r in found["results"]]) == (True, [404, 201])
    body = {"batchRequests": parts, "haltOnError": True}
    found = org.call("POST", "/composite/batch", body).json()
    assert [r["statusCode"] for r in found["results"]] == [404, 412]


def test_a_tree_is_planted_whole_or_not_at_all(org: Any, shop: Any) -> None:
    """An order and its lines come with one call; one bad line spoils it."""

    def order(quantity: int) -> dict[str, Any]:
        line = {
            "attributes": {"type": "OrderItem", "referenceId": "line"},
            "PricebookEntryId": shop.entry,
            "Quantity": quantity,
            "UnitPrice": 2,
        }
        return {
            "attributes": {"type": "Order", "referenceId": "order"},
            "AccountId": shop.account,
            "EffectiveDate": "2026-01-01",
            "Status": "Draft",
            "Pricebook2Id": shop.book,
            "OrderItems": {"records": [line]},
        }

    answer = org.call("POST", "/composite/tree/Order/", {"records": [order(3)]})
    assert (answer.status_code, answer.json()["hasErrors"]) == (201, False)
    placed = {result["referenceId"]: result["id"] for result in answer.json()["results"]}
    assert org.read("Order", placed["order"])["TotalAmount"] == 6
    answer = org.call("POST", "/composite/tree/Order", {"records": [order(0)]})
    assert (answer.status_code, answer.json()["hasErrors"]) == (400, True)
    assert org.query("SELECT COUNT() FROM Order")["totalSize"] == 1


def test_each_graph_stands_or_falls_alone(org: Any) -> None:
    """A failed graph leaves the other as it is."""
    graphs = [
        {
            "graphId": "1",
            "compositeRequest": [_part("a", "POST", "/sobjects/Account", {"Name": "x"})],
        },
        {"graphId": "2", "compositeRequest": [_part("a", "POST", "/sobjects/Account", {})]},
    ]
    found = org.call("POST", "/composite/graph", {"graphs": graphs}).json()["graphs"]
    assert [graph["isSuccessful"] for graph in found] == [True, False]
    assert org.query("SELECT COUNT() FROM Account")["totalSize"] == 1
