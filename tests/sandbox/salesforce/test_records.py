"""Single records: what the platform takes, keeps and refuses."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

NAMELESS_ID = "0015g00000zzzzzAAA"


def test_a_record_is_created_read_changed_and_deleted(org: Any) -> None:
    """The life of a record has the documented statuses and bodies."""
    made = org.call("POST", "/sobjects/Account", {"Name": "Acme"})
    record_id = made.json()["id"]
    assert made.status_code == 201
    assert made.json() == {"id": record_id, "success": True, "errors": []}
    assert made.headers["location"].endswith(f"/sobjects/Account/{record_id}")
    path = f"/sobjects/Account/{record_id}"
    changed = org.call("PATCH", path, {"Phone": "1"})
    assert (changed.status_code, changed.content) == (204, b"")
    found = org.call("GET", path, params={"fields": "Name,Phone,Fax"}).json()
    assert found["attributes"]["url"] == f"/services/data/v65.0{path}"
    assert (found["Name"], found["Phone"], found["Fax"]) == ("Acme", "1", None)
    assert org.call("GET", f"/sobjects/Account/{record_id[:15]}").json()["Id"] == record_id
    assert org.call("DELETE", path).status_code == 204
    assert org.refusal("GET", path) == (404, "ENTITY_IS_DELETED")
    assert org.refusal("PATCH", path, {"Phone": "2"}) == (404, "ENTITY_IS_DELETED")
    assert org.refusal("GET", f"/sobjects/Account/{NAMELESS_ID}") == (404, "NOT_FOUND")


def test_ids_carry_their_check_suffix(org: Any) -> None:
    """Eighteen characters, the last three from the case of the others."""
    record_id = org.create("Account", Name="x")
    assert len(record_id) == 18 and record_id.startswith("001")
    broken = record_id[:15] + "ZZZ"
    assert org.refusal("GET", f"/sobjects/Account/{broken}") == (404, "NOT_FOUND")


def test_text_is_kept_trimmed_and_empty_text_as_null(org: Any) -> None:
    """What is read back is normalised."""
    record_id = org.create("Account", Name="  Café \n", Phone="  ", Site="")
    found = org.read("Account", record_id)
    assert (found["Name"], found["Phone"], found["Site"]) == ("Café", None, None)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("1.005", "1.01"), ("-1.005", "-1.01"), ("2", "2.0"), ("12345678901234.56", None)],
)
def test_numbers_are_rounded_half_up_and_shown_with_a_point(
    org: Any, given: str, kept: str | None
) -> None:
    """Currency leaves with a decimal point and every digit it has."""
    record_id = org.create("Account", Name="x")
    body = f'{{"BC_Balance__c": {given}}}'.encode()
    path = f"/sobjects/Account/{record_id}"
    headers = {"content-type": "application/json"}
    assert org.call("PATCH", path, content=body, headers=headers).status_code == 204
    answer = org.call("GET", path, params={"fields": "BC_Balance__c"})
    found = msgspec.json.Decoder(float_hook=Decimal).decode(answer.content)["BC_Balance__c"]
    assert str(found) == (kept or given)


def test_times_are_shown_as_the_vendor_writes_them(org: Any) -> None:
    """Instants with milliseconds and an offset without a colon, in UTC, to the second."""
    record_id = org.create("Account", Name="x", BC_As_Of__c="2026-01-31T13:34:56.789+01:00")
    assert org.read("Account", record_id)["BC_As_Of__c"] == "2026-01-31T12:34:56.000+0000"


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({}, (400, "REQUIRED_FIELD_MISSING")),
        ({"Name": " "}, (400, "REQUIRED_FIELD_MISSING")),
        ({"Name": "x" * 256}, (400, "STRING_TOO_LONG")),
        ({"Name": "x", "BillingCity": "😀" * 21}, (400, "STRING_TOO_LONG")),
        ({"Name": "x", "Nope__c": 1}, (400, "INVALID_FIELD")),
        ({"Name": "x", "Id": NAMELESS_ID}, (400, "INVALID_FIELD")),
        ({"Name": "x", "CreatedDate": "2026-01-01T00:00:00Z"}, "readonly"),
        ({"Name": "x", "MasterRecordId": None}, "readonly"),
        ({"Name": "x", "ParentId": "nonsense"}, (400, "MALFORMED_ID")),
        ({"Name": "x", "ParentId": "0035g0000000001AAA"}, (400, "MALFORMED_ID")),
        ({"Name": "x", "ParentId": NAMELESS_ID}, "missing parent"),
        ({"Name": "x", "AnnualRevenue": 10**18}, (400, "NUMBER_OUTSIDE_VALID_RANGE")),
        ({"Name": "x", "AnnualRevenue": "many"}, (400, "JSON_PARSER_ERROR")),
        ({"Name": 5}, (400, "JSON_PARSER_ERROR")),
        ({"Name": "x", "BC_As_Of__c": "2026-01-31T00:00:00"}, (400, "JSON_PARSER_ERROR")),
        ({"Name": "x", "CurrencyIsoCode": "XXX"}, "restricted"),
    ],
)
def test_what_breaks_a_rule_is_refused(
    org: Any, fields: dict[str, Any], refusal: tuple[int, str] | str
) -> None:
    """Each rule of the platform has its code, and nothing is stored."""
    named = {
        "readonly": (400, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        "missing parent": (400, "INVALID_CROSS_REFERENCE_KEY"),
        "restricted": (400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
    }
    wanted = named[refusal] if isinstance(refusal, str) else refusal
    assert org.refusal("POST", "/sobjects/Account", fields) == wanted
    assert org.query("SELECT COUNT() FROM Account")["totalSize"] == 0


def test_a_date_takes_no_time(org: Any) -> None:
    """A full timestamp in a date field is unreadable."""
    body = {"LastName": "x", "Birthdate": "2000-01-31T00:00:00Z"}
    assert org.refusal("POST", "/sobjects/Contact", body) == (400, "JSON_PARSER_ERROR")


def test_a_mail_address_has_its_form(org: Any) -> None:
    """Bad syntax is refused by its own code."""
    body = {"LastName": "x", "Email": "nobody@nowhere"}
    assert org.refusal("POST", "/sobjects/Contact", body) == (400, "INVALID_EMAIL_ADDRESS")


def test_a_field_without_permission_does_not_exist(org: Any) -> None:
    """Field-level security hides a field from describe, query, read and write alike."""
    record_id = org.create("Account", Name="x", BC_Balance__c=1)
    org.act("withdraw", permission="Account.BC_Balance__c")
    fields = [f["name"] for f in org.call("GET", "/sobjects/Account/describe").json()["fields"]]
    assert "BC_Balance__c" not in fields and "BC_Overdue__c" in fields
    assert "BC_Balance__c" not in org.read("Account", record_id)
    path = f"/sobjects/Account/{record_id}"
    assert org.refusal("PATCH", path, {"BC_Balance__c": 1}) == (400, "INVALID_FIELD")
    soql = {"q": "SELECT BC_Balance__c FROM Account"}
    assert org.refusal("GET", "/query", params=soql) == (400, "INVALID_FIELD")


def test_without_the_package_its_fields_do_not_exist(org: Any) -> None:
    """A missing deployment shows; deploying cures it."""
    org.act("remove_package")
    assert org.refusal("PATCH", "/sobjects/Account/BC_Customer_Id__c/x", {"Name": "n"}) == (
        404,
        "NOT_FOUND",
    )
    org.act("deploy_package")
    answer = org.call("PATCH", "/sobjects/Account/BC_Customer_Id__c/x", {"Name": "n"})
    assert answer.status_code == 201


def test_a_user_with_the_permission_set_alone_may_do_what_it_names(org: Any) -> None:
    """With a minimum profile, creating is refused, writing the package fields is not."""
    record_id = org.create("Account", Name="x")
    org.switch(integration_profile="minimum")
    assert org.refusal("POST", "/sobjects/Account", {"Name": "y"}) == (
        403,
        "INSUFFICIENT_ACCESS_OR_READONLY",
    )
    path = f"/sobjects/Account/{record_id}"
    assert org.call("PATCH", path, {"BC_Balance__c": 1}).status_code == 204
    assert org.refusal("PATCH", path, {"Phone": "1"}) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")


def test_validation_rules_of_an_administrator_refuse(org: Any) -> None:
    """A condition that holds stops the save."""
    org.act("add_validation_rule", sobject="Account", condition="Name LIKE 'bad%'", message="No.")
    assert org.refusal("POST", "/sobjects/Account", {"Name": "Bad one"}) == (
        400,
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
    )


def test_a_held_row_cannot_be_written_for_a_while(org: Any) -> None:
    """The lock passes by itself."""
    record_id = org.create("Account", Name="x")
    org.act("lock_record", record=record_id, times=1)
    path = f"/sobjects/Account/{record_id}"
    assert org.refusal("PATCH", path, {"Phone": "1"}) == (400, "UNABLE_TO_LOCK_ROW")
    assert org.call("PATCH", path, {"Phone": "1"}).status_code == 204


def test_every_touch_moves_the_stamp(org: Any) -> None:
    """SystemModstamp follows the clock, CreatedDate stays."""
    record_id = org.create("Account", Name="x")
    before = org.read("Account", record_id)
    org.move_clock(60)
    org.call("PATCH", f"/sobjects/Account/{record_id}", {"Phone": "1"})
    after = org.read("Account", record_id)
    assert after["SystemModstamp"] > before["SystemModstamp"]
    assert after["CreatedDate"] == before["CreatedDate"]


def test_post_can_carry_another_method(org: Any) -> None:
    """A PATCH can be tunnelled through POST."""
    record_id = org.create("Account", Name="x")
    path = f"/sobjects/Account/{record_id}"
    answer = org.call("POST", path, {"Phone": "9"}, params={"_HttpMethod": "PATCH"})
    assert answer.status_code == 204


def test_broken_and_foreign_bodies_are_refused(org: Any) -> None:
    """What is no JSON, and what claims to be something else, has its own refusal."""
    path = "/sobjects/Account"
    json_type = {"content-type": "application/json"}
    assert org.refusal("POST", path, content=b'{"Name": ', headers=json_type) == (
        400,
        "JSON_PARSER_ERROR",
    )
    xml_type = {"content-type": "application/xml"}
    assert org.call("POST", path, content=b"<a/>", headers=xml_type).status_code == 415


def test_describe_tells_what_a_client_needs(org: Any) -> None:
    """External ids, lengths, scales and relationships are described."""
    found = org.call("GET", "/sobjects/Order/describe").json()
    fields = {field["name"]: field for field in found["fields"]}
    external = fields["BC_Order_Id__c"]
    assert (external["externalId"], external["unique"], external["length"]) == (True, True, 80)
    assert fields["TotalAmount"]["createable"] is False
    assert (fields["TotalAmount"]["precision"], fields["TotalAmount"]["scale"]) == (18, 2)
    assert fields["AccountId"]["nillable"] is True
    assert "OrderItems" in [c["relationshipName"] for c in found["childRelationships"]]
    assert found["replicateable"] is True
    unchanged = {"if-modified-since": "Sun, 01 Jan 2034 00:00:00 GMT"}
    assert org.call("GET", "/sobjects/Order/describe", headers=unchanged).status_code == 304
    assert org.refusal("GET", "/sobjects/Nope/describe") == (404, "NOT_FOUND")


def test_a_single_currency_org_has_no_currency_field(org: Any) -> None:
    """The field and the object of currencies exist in multi-currency orgs only."""
    org.switch(multi_currency=False)
    soql = {"q": "SELECT CurrencyIsoCode FROM Order"}
    assert org.refusal("GET", "/query", params=soql) == (400, "INVALID_FIELD")
    soql = {"q": "SELECT Id FROM CurrencyType"}
    assert org.refusal("GET", "/query", params=soql) == (400, "INVALID_TYPE")


def test_the_write_log_tells_who_wrote_with_which_client(org: Any) -> None:
    """One entry per record, with the name from the call options."""
    last = org.admin.get("/writes").json()["last"]
    headers = {"sforce-call-options": "client=ml-connector"}
    org.call("POST", "/sobjects/Account", {"Name": "x"}, headers=headers)
    org.refusal("POST", "/sobjects/Account", {}, headers=headers)
    (entry,) = org.admin.get("/writes", params={"since": last}).json()["writes"]
    assert (entry["who"], entry["client"], entry["operation"], entry["fields"]) == (
        "integration@acme.example",
        "ml-connector",
        "create",
        {"Name": "x"},
    )
