"""Addressing records, and their parents, by external id."""

from typing import Any

PATH = "/sobjects/Account/BC_Customer_Id__c"


def test_upsert_creates_then_changes_whatever_the_case(org: Any) -> None:
    """No match creates with 201, a match changes with 200; case does not matter."""
    first = org.call("PATCH", f"{PATH}/ab-1", {"Name": "One"})
    second = org.call("PATCH", f"{PATH}/AB-1", {"Phone": "1"})
    assert (first.status_code, first.json()["created"]) == (201, True)
    assert (second.status_code, second.json()["created"]) == (200, False)
    assert first.json()["id"] == second.json()["id"]
    assert org.call("GET", f"{PATH}/Ab-1").json()["Phone"] == "1"


def test_old_versions_answer_a_change_without_a_body(org: Any) -> None:
    """Before version 46 an update by upsert was a 204."""
    org.call("PATCH", f"{PATH}/x", {"Name": "One"})
    old = f"/services/data/v45.0{PATH}/x"
    assert org.call("PATCH", old, {"Phone": "1"}).status_code == 204


def test_a_value_may_hold_a_slash(org: Any) -> None:
    """The encoded slash belongs to the value."""
    org.call("PATCH", f"{PATH}/a%2Fb%20c", {"Name": "One"})
    found = org.query("SELECT BC_Customer_Id__c FROM Account")["records"][0]
    assert found["BC_Customer_Id__c"] == "a/b c"


def test_the_external_id_is_not_repeated_in_the_body(org: Any) -> None:
    """It belongs into the address only, and so does the id."""
    body = {"Name": "x", "BC_Customer_Id__c": "a"}
    assert org.refusal("PATCH", f"{PATH}/a", body) == (400, "INVALID_FIELD")
    body = {"Name": "x", "Id": "0015g0000000001AAA"}
    assert org.refusal("PATCH", f"{PATH}/a", body) == (400, "INVALID_FIELD")


def test_update_only_never_creates(org: Any) -> None:
    """Without a match it is a 404."""
    params = {"updateOnly": "true"}
    assert org.refusal("PATCH", f"{PATH}/a", {"Name": "x"}, params=params) == (404, "NOT_FOUND")
    org.call("PATCH", f"{PATH}/a", {"Name": "x"})
    assert org.call("PATCH", f"{PATH}/a", {"Name": "y"}, params=params).status_code == 200


def test_an_update_of_a_lost_record_cannot_create_a_hollow_one(org: Any) -> None:
    """Without the fields that creation needs, nothing comes to be."""
    body = {"BC_Balance__c": 1}
    assert org.refusal("PATCH", f"{PATH}/gone", body) == (400, "REQUIRED_FIELD_MISSING")
    assert org.query("SELECT COUNT() FROM Account")["totalSize"] == 0


def test_several_matches_write_nothing_and_are_listed(org: Any) -> None:
    """300 with the addresses, for reading as for writing."""
    org.act("make_not_unique", field="Account.BC_Customer_Id__c")
    ids = {org.create("Account", Name="x", BC_Customer_Id__c="same") for _ in range(2)}
    answer = org.call("PATCH", f"{PATH}/same", {"Name": "changed"})
    assert answer.status_code == 300
    assert {url.rsplit("/", 1)[1] for url in answer.json()} == ids
    assert org.call("GET", f"{PATH}/same").status_code == 300
    assert org.query("SELECT COUNT() FROM Account WHERE Name = 'x'")["totalSize"] == 2
    items = [{"attributes": {"type": "Account"}, "BC_Customer_Id__c": "same", "Phone": "1"}]
    path = "/composite/sobjects/Account/BC_Customer_Id__c"
    (result,) = org.call("PATCH", path, {"records": items}).json()
    assert result["errors"][0]["statusCode"] == "DUPLICATE_EXTERNAL_ID"


def test_a_unique_field_takes_a_value_once(org: Any) -> None:
    """A second record with the value, in any case, is refused."""
    org.create("Account", Name="x", BC_Customer_Id__c="a")
    body = {"Name": "y", "BC_Customer_Id__c": "A"}
    assert org.refusal("POST", "/sobjects/Account", body) == (400, "DUPLICATE_VALUE")


def test_a_deleted_record_does_not_match_and_collides_when_restored(org: Any) -> None:
    """An upsert makes a new record beside the one in the bin."""
    old = org.call("PATCH", f"{PATH}/a", {"Name": "x"}).json()["id"]
    org.call("DELETE", f"/sobjects/Account/{old}")
    new = org.call("PATCH", f"{PATH}/a", {"Name": "y"}).json()
    assert new["created"] is True and new["id"] != old
    answer = org.admin.post("/act", json={"act": "undelete", "record": old})
    assert answer.status_code == 400 and "DUPLICATE_VALUE" in answer.text


def test_an_unknown_external_id_field_is_not_found(org: Any) -> None:
    """Neither a missing field nor one that is no external id works as an address."""
    for name in ("Nope__c", "Phone"):
        path = f"/sobjects/Account/{name}/1"
        assert org.refusal("PATCH", path, {"Name": "x"}) == (404, "NOT_FOUND")


def test_a_parent_can_be_named_by_its_external_id(org: Any) -> None:
    """The relationship's name with the external id sets the lookup; none found is refused."""
    account = org.create("Account", Name="x", BC_Customer_Id__c="c-1")
    contact = org.create("Contact", LastName="y", Account={"BC_Customer_Id__c": "C-1"})
    assert org.read("Contact", contact)["AccountId"] == account
    body = {"LastName": "y", "Account": {"BC_Customer_Id__c": "none"}}
    assert org.refusal("POST", "/sobjects/Contact", body) == (400, "INVALID_FIELD")
