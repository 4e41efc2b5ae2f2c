"""Sales orders: deep insert, order of fields, amounts, states."""

from decimal import Decimal
from typing import Any

import pytest


def test_deep_insert(tenant: Any) -> None:
    """An order and its lines are made at once, with exact amounts; $expand shows the lines."""
    body = {
        "customerId": tenant.ids["C200"],
        "externalDocumentNumber": "sf-1",
        "currencyCode": "GBP",
        "salesOrderLines": [
            {"itemId": tenant.ids["1000"], "quantity": 3, "unitPrice": Decimal("19.995")},
            {"description": "Thank you"},
        ],
    }
    answer = tenant.call("POST", "salesOrders?$expand=salesOrderLines", body)
    order = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"].endswith(f"/salesOrders({order['id']})")
    assert (order["number"], order["externalDocumentNumber"]) == ("S-ORD101001", "SF-1")
    assert order["status"] == "Draft"
    first, comment = order["salesOrderLines"]
    assert (first["netAmount"], first["taxPercent"]) == (59.99, 20)
    assert first["shipQuantity"] == first["invoiceQuantity"] == 3
    assert (comment["lineType"], comment["sequence"]) == ("Comment", 20000)
    assert order["totalAmountExcludingTax"] == 59.99
    assert order["totalAmountIncludingTax"] == 71.99
    body["externalDocumentNumber"] = "sf-1"
    without = tenant.create("salesOrders", **body)
    assert "salesOrderLines" not in without
    tenant.switch(deep_insert_returns_lines="never")
    never = tenant.call("POST", "salesOrders?$expand=salesOrderLines", body).json()
    assert "salesOrderLines" not in never
    same = tenant.values("salesOrders?$filter=externalDocumentNumber eq 'SF-1'")
    assert len(same) == 3


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"itemId": "11111111-1111-1111-1111-111111111111"}, "Application_DialogException"),
        ({"lineType": "Item", "lineObjectNumber": "NOPE"}, "Application_DialogException"),
        ({"lineType": "Item", "quantity": 1}, "Application_FieldValidationException"),
        ({"description": "x", "quantity": 1}, "Application_FieldValidationException"),
        ({"amountExcludingTax": 1}, "BadRequest_InvalidOperation"),
        ({"itemNo": "1000"}, "BadRequest"),
    ],
)
def test_bad_line_leaves_nothing(tenant: Any, line: Any, code: str) -> None:
    """A line that is refused refuses the order; the number goes back to the series."""
    good = {"itemId": tenant.ids["1000"], "quantity": 1}
    body = {"customerNumber": "C100", "salesOrderLines": [good, line]}
    assert tenant.refusal("POST", "salesOrders", body) == (400, code)
    assert tenant.call("GET", "salesOrders/$count").text == "0"
    assert tenant.order()["number"] == "S-ORD101001"


def test_unit_must_be_the_items(tenant: Any) -> None:
    """A unit the item lacks is refused; with the unit the price follows its size."""
    line = {"itemId": tenant.ids["1100"], "unitOfMeasureCode": "BOX", "quantity": 1}
    body = {"customerNumber": "C100", "salesOrderLines": [line]}
    assert tenant.refusal("POST", "salesOrders", body) == (400, "Application_DialogException")
    tenant.act("add_item_unit", item="1100", code="BOX", quantity=40)
    order = tenant.call("POST", "salesOrders?$expand=salesOrderLines", body).json()
    assert order["salesOrderLines"][0]["unitPrice"] == 10


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "Application_DialogException"),
        ({"customerNumber": "NOBODY"}, "Application_DialogException"),
        ({"customerNumber": "C100", "number": "X"}, "BadRequest_InvalidOperation"),
        ({"customerNumber": "C100", "status": "Open"}, "BadRequest_InvalidOperation"),
        ({"customerNumber": "C100", "currencyCode": "XXX"}, "Application_DialogException"),
        ({"customerNumber": "C100", "pricesIncludeTax": True}, "Application_DialogException"),
        (
            {"customerNumber": "C100", "externalDocumentNumber": "x" * 36},
            "Application_StringExceededLength",
        ),
        ({"customerNumber": "C100", "orderDate": "2026-02-30"}, "BadRequest"),
        ({"customerNumber": "C100", "shipToCountry": "ZZ"}, "Internal_InvalidTableRelation"),
    ],
)
def test_refused_headers(tenant: Any, fields: Any, code: str) -> None:
    """Every rule of a header has its code."""
    assert tenant.refusal("POST", "salesOrders", fields) == (400, code)


def test_fields_are_taken_in_their_order(tenant: Any) -> None:
    """A customer after the currency resets it; a quantity after the price fetches it again."""
    line = {"itemId": tenant.ids["1000"], "unitPrice": Decimal("1.5"), "quantity": 2}
    body = {"currencyCode": "EUR", "customerNumber": "C200", "salesOrderLines": [line]}
    order = tenant.call("POST", "salesOrders?$expand=salesOrderLines", body).json()
    assert order["currencyCode"] == "GBP"
    assert order["salesOrderLines"][0]["unitPrice"] != 1.5


def test_lines_move_the_header(tenant: Any) -> None:
    """A changed line gives the header a new tag and new totals."""
    order = tenant.order()
    path = f"salesOrders({order['id']})"
    line = order["salesOrderLines"][0]
    tenant.change(f"{path}/salesOrderLines({line['id']})", quantity=1, unitPrice=10)
    after = tenant.get(path)
    assert after["@odata.etag"] != order["@odata.etag"]
    assert after["totalAmountExcludingTax"] == Decimal("34.00")
    tag = {"if_match": order["@odata.etag"]}
    stale = tenant.refusal("PATCH", path, {"email": "b@b.example"}, **tag)
    assert stale == (409, "Request_EntityChanged")
    refused = tenant.refusal(
        "PATCH", f"salesOrderLines({line['id']})", {"sequence": 5}, if_match="*"
    )
    assert refused == (400, "Application_DialogException")
    answer = tenant.call("DELETE", f"salesOrderLines({line['id']})")
    assert answer.status_code == 204
    assert tenant.get(path)["totalAmountExcludingTax"] == Decimal("24.00")
    nested = {"salesOrderLines": []}
    assert tenant.refusal("PATCH", path, nested, if_match="*") == (400, "BadRequest")


def test_discounts(tenant: Any) -> None:
    """Line and invoice discounts come off the net, to the cent."""
    order = tenant.order()
    path = f"salesOrders({order['id']})"
    lines = order["salesOrderLines"]
    tenant.change(f"salesOrderLines({lines[0]['id']})", discountPercent=10)
    changed = tenant.change(path, discountAmount=10)
    assert changed["totalAmountExcludingTax"] == Decimal("733.91")
    after = tenant.values(f"{path}/salesOrderLines")
    assert after[0]["discountAmount"] == Decimal("79.99")
    assert sum(line["invoiceDiscountAllocation"] for line in after) == 10
    assert sum(line["netAmount"] for line in after) == changed["totalAmountExcludingTax"]


def test_yen_has_no_cents(tenant: Any) -> None:
    """Amounts round as their currency does."""
    line = {"itemId": tenant.ids["1000"], "quantity": 3, "unitPrice": Decimal("99.5")}
    body = {"customerNumber": "C100", "currencyCode": "JPY", "salesOrderLines": [line]}
    order = tenant.call("POST", "salesOrders", body).json()
    assert order["totalAmountExcludingTax"] == 299


def test_released_orders_are_locked(tenant: Any) -> None:
    """A released order, or one under review, takes no change until it is reopened."""
    order = tenant.order()
    path = f"salesOrders({order['id']})"
    locked = (400, "Application_FieldValidationException")
    for act, status in (("release_order", "Open"), ("review_order", "In_x0020_Review")):
        tenant.act(act, order=order["number"])
        assert tenant.get(path)["status"] == status
        assert tenant.refusal("PATCH", path, {"email": ""}, if_match="*") == locked
        line = order["salesOrderLines"][0]["id"]
        assert tenant.refusal(
            "PATCH", f"salesOrderLines({line})", {"quantity": 1}, if_match="*"
        ) == (locked)
    tenant.act("reopen_order", order=order["number"])
    tenant.change(path, email="")
    assert tenant.call("DELETE", path).status_code == 204


@pytest.mark.parametrize(
    ("blocked", "orders", "invoices"),
    [("All", False, False), ("Invoice", False, False), ("Ship", False, True)],
)
def test_blocked_customers(tenant: Any, blocked: str, orders: bool, invoices: bool) -> None:
    """Each kind of block stops its documents."""
    tenant.act("block_customer", customer="C100", blocked=blocked)
    for entity, allowed in (("salesOrders", orders), ("salesInvoices", invoices)):
        answer = tenant.call("POST", entity, {"customerNumber": "C100"})
        assert (answer.status_code == 201) is allowed


def test_blocked_item(tenant: Any) -> None:
    """A blocked item goes on no line and is not posted."""
    order = tenant.order()
    tenant.act("block_item", item="1000")
    refused = (400, "Application_FieldValidationException")
    line = {"customerNumber": "C100", "salesOrderLines": [{"itemId": tenant.ids["1000"]}]}
    assert tenant.refusal("POST", "salesOrders", line) == refused
    action = f"salesOrders({order['id']})/Microsoft.NAV.shipAndInvoice"
    assert tenant.refusal("POST", action) == refused
