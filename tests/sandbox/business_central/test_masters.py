"""Customers, contacts, items and the small tables: what may be written."""

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 400, "Application_DialogException"),
        ({"displayName": " "}, 400, "Application_DialogException"),
        ({"displayName": "x" * 101}, 400, "Application_StringExceededLength"),
        ({"displayName": "X", "city": "y" * 31}, 400, "Application_StringExceededLength"),
        ({"displayName": "X", "number": "n" * 21}, 400, "Application_StringExceededLength"),
        ({"displayName": "X", "country": "ZZ"}, 400, "Internal_InvalidTableRelation"),
        ({"displayName": "X", "blocked": "Maybe"}, 400, "Unknown"),
        ({"displayName": "X", "colour": "red"}, 400, "BadRequest"),
        ({"displayName": "X", "balanceDue": 1}, 400, "BadRequest_InvalidOperation"),
        ({"displayName": "X", "creditLimit": "12"}, 400, "BadRequest"),
        ({"displayName": 12}, 400, "BadRequest"),
        ({"displayName": "X", "paymentTermsId": "no"}, 400, "Application_InvalidGUID"),
        ({"displayName": "X", "email": "nobody"}, 400, "Application_DialogException"),
        ({"displayName": "X", "phoneNumber": "ask"}, 400, "Application_FieldValidationException"),
        ({"displayName": "X", "currencyCode": "XXX"}, 400, "Application_DialogException"),
        ({"displayName": "X", "number": "c100"}, 400, "Internal_EntityWithSameKeyExists"),
        (
            {"displayName": "X", "paymentTermsId": "11111111-1111-1111-1111-111111111111"},
            400,
            "Application_DialogException",
        ),
    ],
)
def test_refused_customers(tenant: Any, fields: Any, status: int, code: str) -> None:
    """Every rule of a customer has its code, and nothing is stored."""
    assert tenant.refusal("POST", "customers", fields) == (status, code)
    assert tenant.call("GET", "customers/$count").text == "3"


def test_customer_with_its_contact(tenant: Any) -> None:
    """Codes are folded, the company contact comes along, persons hang under it."""
    made = tenant.create(
        "customers", number=" a-17 ", displayName="Neu", country="de", blocked="Ship"
    )
    assert (made["number"], made["country"], made["blocked"]) == ("A-17", "DE", "Ship")
    path = f"customers({made['id']})"
    (company,) = tenant.values(f"{path}/contactsInformation")
    assert (company["contactType"], company["relatedType"]) == ("Company", "Customer")
    tenant.create(
        "contacts",
        number="P-1",
        type="Person",
        displayName="Ada",
        companyNumber=company["contactNumber"],
    )
    names = [row["contactName"] for row in tenant.values(f"{path}/contactsInformation")]
    assert names == ["Neu", "Ada"]
    tenant.change(path, city="Köln")
    contact = tenant.get(f"contacts({company['contactId']})")
    assert contact["city"] == "Köln"
    bad = {"type": "Person", "displayName": "B", "companyNumber": "NOBODY"}
    assert tenant.refusal("POST", "contacts", bad) == (400, "Internal_InvalidTableRelation")


def test_number_series(tenant: Any) -> None:
    """Numbers come from the series; by hand only where the series takes them."""
    assert tenant.create("customers", displayName="A")["number"] == "C00010"
    tenant.switch(manual_nos_customers=False, manual_nos_items=False)
    body = {"displayName": "B", "number": "X1"}
    assert tenant.refusal("POST", "customers", body) == (400, "Application_DialogException")
    assert tenant.refusal("POST", "items", body) == (400, "Application_DialogException")
    assert tenant.create("customers", displayName="B")["number"] == "C00011"
    tenant.switch(manual_nos_customers=True, duplicate_key_status=409)
    body = {"displayName": "B", "number": "C00011"}
    assert tenant.refusal("POST", "customers", body) == (409, "Internal_EntityWithSameKeyExists")


def test_renamed_customer(tenant: Any) -> None:
    """A customer's new number shows on its documents."""
    order = tenant.order()
    tenant.change(f"customers({tenant.ids['C100']})", number="c101")
    assert tenant.get(f"salesOrders({order['id']})")["customerNumber"] == "C101"


def test_entity_tags(tenant: Any) -> None:
    """A change needs a tag; a star always fits; a stale tag conflicts with 409."""
    path = f"customers({tenant.ids['C100']})"
    body = {"city": "Graz"}
    assert tenant.refusal("PATCH", path, body) == (400, "BadRequest_InvalidToken")
    assert tenant.refusal("PATCH", path, body, if_match="x") == (400, "BadRequest_InvalidToken")
    tag = tenant.get(path)["@odata.etag"]
    answer = tenant.call("PATCH", path, body, if_match=tag)
    assert answer.status_code == 200
    assert answer.json()["@odata.etag"] != tag
    stale = (409, "Request_EntityChanged")
    assert tenant.refusal("PATCH", path, body, if_match=tag) == stale
    assert tenant.refusal("DELETE", path, if_match=tag) == stale
    assert tenant.refusal("PATCH", "customers", body) == (405, "BadRequest_MethodNotAllowed")
    assert tenant.call("DELETE", path).status_code == 204


def test_id_and_code_must_agree(tenant: Any) -> None:
    """An id and a code for the same thing that differ are refused."""
    euro = tenant.values("currencies?$filter=code eq 'EUR'")[0]["id"]
    body = {"displayName": "X", "currencyId": euro, "currencyCode": "GBP"}
    assert tenant.refusal("POST", "customers", body) == (400, "Application_DialogException")
    made = tenant.create("customers", displayName="X", currencyId=euro, currencyCode="EUR")
    assert made["currencyCode"] == "EUR"
    local = tenant.change(f"customers({made['id']})", currencyCode="USD")
    assert local["currencyId"] == "00000000-0000-0000-0000-000000000000"


def test_items(tenant: Any) -> None:
    """An item takes number, unit and price; stock and unknown codes are refused."""
    made = tenant.create(
        "items",
        number="n-1",
        displayName="Nut",
        type="Non-Inventory",
        baseUnitOfMeasureCode="PCS",
        unitPrice=1,
    )
    assert (made["number"], made["type"]) == ("N-1", "Non_x002D_Inventory")
    assert made["generalProductPostingGroupCode"] == "RETAIL"
    refused = (
        ({"number": "N-2", "inventory": 5}, "Application_DialogException"),
        ({"number": "N-1"}, "Internal_EntityWithSameKeyExists"),
        ({"number": "N-2", "baseUnitOfMeasureCode": "KISTE"}, "Internal_InvalidTableRelation"),
        ({"number": "N-2", "gtin": "12AB"}, "Application_FieldValidationException"),
        ({"number": "N-2", "type": "Thing"}, "Unknown"),
    )
    for body, code in refused:
        assert tenant.refusal("POST", "items", body) == (400, code)


def test_without_template_no_documents(tenant: Any) -> None:
    """A customer or item made without a template has no posting groups, so no document."""
    tenant.switch(templates=False)
    customer = tenant.create("customers", displayName="Bare")
    body = {"customerId": customer["id"]}
    missing = (400, "Application_FieldValidationException")
    assert tenant.refusal("POST", "salesOrders", body) == missing
    item = tenant.create("items", number="BARE", baseUnitOfMeasureCode="PCS")
    body = {"customerNumber": "C100", "salesOrderLines": [{"itemId": item["id"], "quantity": 1}]}
    assert tenant.refusal("POST", "salesOrders", body) == missing


def test_small_tables(tenant: Any) -> None:
    """Codes are required and unique; what is in use stays."""
    made = tenant.create("paymentTerms", code="10 days", dueDateCalculation="10D")
    assert made["code"] == "10 DAYS"
    assert tenant.refusal("POST", "paymentTerms", {"code": "10 DAYS"})[1] == (
        "Internal_EntityWithSameKeyExists"
    )
    assert tenant.refusal("POST", "paymentTerms", {"displayName": "X"})[1] == (
        "BadRequest_RequiredParamNotProvided"
    )
    bad = {"code": "Y", "dueDateCalculation": "soon"}
    assert tenant.refusal("POST", "paymentTerms", bad) == (400, "BadRequest")
    germany = tenant.values("countriesRegions?$filter=code eq 'DE'")[0]["id"]
    assert tenant.refusal("DELETE", f"countriesRegions({germany})")[0] == 400
    assert tenant.refusal("POST", "accounts", {"number": "1"})[0] == 405


def test_dimensions(tenant: Any) -> None:
    """Default dimensions and dimension set lines agree with the dimension they name."""
    area, department = tenant.values("dimensions?$orderby=code&$expand=dimensionValues")
    path = f"customers({tenant.ids['C100']})/defaultDimensions"
    value = area["dimensionValues"][0]["id"]
    bad = {"dimensionId": department["id"], "dimensionValueId": value}
    assert tenant.refusal("POST", path, bad) == (400, "Application_DialogException")
    made = tenant.create(path, dimensionId=area["id"], dimensionValueId=value)
    assert made["dimensionCode"] == "AREA"
    order = tenant.order()
    lines = f"salesOrders({order['id']})/dimensionSetLines"
    tenant.create(lines, code="AREA", valueCode="NORTH")
    assert tenant.refusal("POST", lines, {"code": "AREA", "valueCode": "SOUTH"})[0] == 400
    assert [row["valueCode"] for row in tenant.values(lines)] == ["NORTH"]


def test_bodies(tenant: Any) -> None:
    """A body must be JSON of the right content type, and not cut short."""
    url = f"{tenant.company}/customers"
    headers = {"authorization": f"Bearer {tenant.token}"}
    form = tenant.client.post(url, data={"displayName": "X"}, headers=headers)
    assert form.status_code == 415
    headers["content-type"] = "application/json"
    short = tenant.client.post(url, content=b'{"displayName": "X', headers=headers)
    assert (short.status_code, short.json()["error"]["code"]) == (400, "BadRequest")
    quiet = tenant.call("POST", "customers", {"displayName": "X"}, prefer="return=minimal")
    assert quiet.status_code == 204
    assert "/customers(" in quiet.headers["location"]
