"""Many records in one call."""

from typing import Any

PATH = "/composite/sobjects"


def _accounts(*records: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"attributes": {"type": "Account"}, **record} for record in records]


def _codes(results: list[dict[str, Any]]) -> list[str | None]:
    return [None if r["success"] else r["errors"][0]["statusCode"] for r in results]


def test_records_fail_one_by_one(org: Any) -> None:
    """The answer is 200, in order, with each record's own result."""
    body = {"records": _accounts({"Name": "a"}, {"Phone": "1"}, {"Name": "b"})}
    answer = org.call("POST", PATH, body)
    assert answer.status_code == 200
    assert _codes(answer.json()) == [None, "REQUIRED_FIELD_MISSING", None]
    failed = answer.json()[1]
    assert failed["errors"][0]["fields"] == ["Name"]
    assert "errorCode" not in failed["errors"][0] and "id" not in failed
    assert org.query("SELECT COUNT() FROM Account")["totalSize"] == 2


def test_all_or_none_undoes_everything(org: Any) -> None:
    """One failure rolls the innocent back, under their own code."""
    body = {"allOrNone": True, "records": _accounts({"Name": "a"}, {"Phone": "1"})}
    answer = org.call("POST", PATH, body)
    assert answer.status_code == 200
    assert _codes(answer.json()) == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "REQUIRED_FIELD_MISSING",
    ]
    assert org.query("SELECT COUNT() FROM Account")["totalSize"] == 0


def test_updates_name_their_records(org: Any) -> None:
    """A missing, a foreign and a repeated id each have their refusal."""
    one, two = (org.create("Account", Name=name) for name in "ab")
    gone = org.create("Account", Name="c")
    org.call("DELETE", f"/sobjects/Account/{gone}")
    records = _accounts(
        {"id": one, "Phone": "1"},
        {"id": two, "Phone": "1"},
        {"id": two, "Phone": "2"},
        {"Phone": "3"},
        {"id": gone, "Phone": "4"},
        {"id": "0015g00000zzzzzAAA", "Phone": "5"},
    )
    results = org.call("PATCH", PATH, {"records": records}).json()
    assert _codes(results) == [
        None,
        "DUPLICATE_VALUE",
        "DUPLICATE_VALUE",
        "MISSING_ARGUMENT",
        "ENTITY_IS_DELETED",
        "INVALID_CROSS_REFERENCE_KEY",
    ]


def test_upserts_tell_what_was_created(org: Any) -> None:
    """Rows that share a key are all refused; the others are written."""
    org.create("Account", Name="old", BC_Customer_Id__c="k1")
    records = _accounts(
        {"BC_Customer_Id__c": "K1", "Phone": "1"},
        {"BC_Customer_Id__c": "k2", "Name": "new"},
        {"BC_Customer_Id__c": "k3", "Name": "x"},
        {"BC_Customer_Id__c": "K3", "Name": "y"},
        {"BC_Customer_Id__c": "k4", "BC_Balance__c": 5},
        {"Name": "no key"},
    )
    path = f"{PATH}/Account/BC_Customer_Id__c"
    results = org.call("PATCH", path, {"records": records}).json()
    assert _codes(results) == [
        None,
        None,
        "DUPLICATE_VALUE",
        "DUPLICATE_VALUE",
        "REQUIRED_FIELD_MISSING",
        "MISSING_ARGUMENT",
    ]
    assert [results[0]["created"], results[1]["created"]] == [False, True]


def test_an_upsert_is_of_one_type(org: Any) -> None:
    """Another type in the list spoils the envelope."""
    records = [{"attributes": {"type": "Contact"}, "BC_Contact_Id__c": "x", "LastName": "y"}]
    path = f"{PATH}/Account/BC_Customer_Id__c"
    assert org.call("PATCH", path, {"records": records}).status_code == 400


def test_the_envelope_has_its_limits(org: Any) -> None:
    """201 records, or a record without a type, are refused as a whole."""
    many = _accounts(*({"Name": str(n)} for n in range(201)))
    assert org.call("POST", PATH, {"records": many}).status_code == 400
    assert org.call("POST", PATH, {"records": [{"Name": "x"}]}).status_code == 400
    assert org.query("SELECT COUNT() FROM Account")["totalSize"] == 0


def test_deletes_and_reads_keep_the_order(org: Any) -> None:
    """A missing record is null when read and refused when deleted."""
    ids = [org.create("Account", Name=name) for name in "abc"]
    results = org.call(
        "DELETE", PATH, params={"ids": f"{ids[1]},{ids[1][:-3]}", "allOrNone": "false"}
    ).json()
    assert _codes(results) == ["DUPLICATE_VALUE", "DUPLICATE_VALUE"]
    results = org.call("DELETE", PATH, params={"ids": f"{ids[1]},0015g00000zzzzzAAA"}).json()
    assert results[0] == {"id": ids[1], "success": True, "errors": []}
    params = {"ids": ",".join(ids), "fields": "Name"}
    found = org.call("GET", f"{PATH}/Account", params=params).json()
    assert [record and record["Name"] for record in found] == ["a", None, "c"]
    body = {"ids": list(reversed(ids)), "fields": ["Name"]}
    found = org.call("POST", f"{PATH}/Account", body).json()
    assert [record and record["Name"] for record in found] == ["c", None, "a"]


def test_one_call_is_one_transaction(org: Any) -> None:
    """All records of a call change together."""
    before = org.admin.get("/state").json()["transactions"]
    org.call("POST", PATH, {"records": _accounts({"Name": "a"}, {"Name": "b"}, {})})
    assert org.admin.get("/state").json()["transactions"] == before + 1
